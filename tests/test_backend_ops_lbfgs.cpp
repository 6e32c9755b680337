// The L-BFGS primitives together, against the two-loop recursion of the textbook (Nocedal, Wright, algorithm
// 7.4) on plain vectors, with the rules of torch.optim.LBFGS for steps and rejected pairs.
#include <cmath>
#include <deque>
#include <numeric>

#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/test_device.h"

using namespace impasto;
using test::require_close;
using Numbers = std::vector<double>;

namespace {

double dot(const Numbers& a, const Numbers& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

class TwoLoops {
 public:
  TwoLoops(std::size_t history, double learning_rate) : history_(history), learning_rate_(learning_rate) {}

  void step(const Numbers& g) {
    if (d.empty()) {
      double sum = 0;
      for (const double value : g) sum += std::abs(value);
      t = std::min(1.0, 1 / sum) * learning_rate_;
    } else {
      Numbers s = d, y = g;
      for (std::size_t i = 0; i < g.size(); ++i) s[i] *= t, y[i] -= previous_[i];
      if (dot(y, s) > 1e-10) {
        if (pairs.size() == history_) pairs.pop_front();
        pairs.push_back({s, y});
      }
      t = learning_rate_;
    }
    d = g;
    for (double& value : d) value = -value;
    std::vector<double> alphas;
    for (auto pair = pairs.rbegin(); pair != pairs.rend(); ++pair) {
      alphas.push_back(dot(pair->s, d) / dot(pair->y, pair->s));
      for (std::size_t i = 0; i < d.size(); ++i) d[i] -= alphas.back() * pair->y[i];
    }
    if (!pairs.empty()) {
      const double h0 = dot(pairs.back().y, pairs.back().s) / dot(pairs.back().y, pairs.back().y);
      for (double& value : d) value *= h0;
    }
    for (const auto& pair : pairs) {
      const double beta = dot(pair.y, d) / dot(pair.y, pair.s);
      for (std::size_t i = 0; i < d.size(); ++i) d[i] += pair.s[i] * (alphas.back() - beta);
      alphas.pop_back();
    }
    previous_ = g;
  }

  struct Pair {
    Numbers s, y;
  };
  std::deque<Pair> pairs;
  Numbers d;
  double t = 0;

 private:
  std::size_t history_;
  double learning_rate_;
  Numbers previous_;
};

}  // namespace

TEST_CASE("the L-BFGS primitives give the two-loop recursion's directions") {
  test::TestDevice device(GENERATE(from_range(test::op_devices())));
  const std::int64_t history = GENERATE(1, 3, 10);
  constexpr std::int64_t kLength = 42;
  constexpr double kLearningRate = 0.8;
  const std::int64_t slots = history + 1;
  // Directions amplify the rounding of s and y: 4e-6 measured in float32.
  const double bound = device->traits().real == DType::kFloat64 ? 1e-9 : 2e-5;
  INFO(device->info().name << ", history " << history);

  // Nothing but the state is initialised: the first call must not read the rest.
  const auto rows = device.empty_real({2 * slots, 1, kLength}), previous = device.empty_real({1, 14, 3});
  const auto d = device.empty_real({1, 14, 3});
  const auto state = device.slots(Numbers(static_cast<std::size_t>(LbfgsState::size(slots))));
  const auto dots = device.empty({1, 1, LbfgsState::num_dots(slots)}, DType::kFloat64);
  const auto coefficients = device.empty({1, 1, 2 * slots + 1}, DType::kFloat64);

  // A quadratic bowl with eigenvalues 0.5 to 4.6; at two steps the gradient stands still, so that y = 0, and
  // at one it turns back, so that y.s < 0: those pairs are rejected.
  TwoLoops expected(static_cast<std::size_t>(history), kLearningRate);
  Numbers x(kLength, 1.0), g(kLength);
  int num_rejected = 0;
  for (int step = 0; step < 16; ++step) {
    if (step == 9) {
      for (std::size_t i = 0; i < g.size(); ++i) g[i] -= 0.1 * expected.d[i];
    } else if (step != 4 && step != 12) {
      for (std::size_t i = 0; i < g.size(); ++i) {
        g[i] = (0.5 + 0.1 * static_cast<double>(i)) * (x[i] - std::sin(static_cast<double>(i)));
      }
    }
    const Numbers before = expected.pairs.empty() ? Numbers{} : expected.pairs.back().s;
    expected.step(g);
    num_rejected += step > 0 && !expected.pairs.empty() && expected.pairs.back().s == before;

    const auto device_g = device.real({1, 14, 3}, g);
    device->lbfgs_push(rows, previous, state, d, device_g);
    device->lbfgs_dots(dots, rows, state, device_g);
    device->lbfgs_direction(coefficients, state, dots, kLearningRate);
    device->lincomb(d, coefficients, rows, device_g);

    INFO("step " << step);
    const Numbers found = device.read(state);
    CHECK(found[LbfgsState::kCount] == static_cast<double>(expected.pairs.size()));
    CHECK(found[LbfgsState::kCalls] == step + 1);
    require_close(found[LbfgsState::kStep], expected.t, device.bound(1e-6));
    require_close(device.read(d), expected.d, bound);
    require_close(found[LbfgsState::kSlope], dot(g, expected.d), bound);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += expected.t * expected.d[i];
  }
  CHECK(num_rejected == 3);
}
