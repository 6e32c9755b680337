// The L-BFGS primitives together, against the two-loop recursion of the textbook (Nocedal, Wright, algorithm
// 7.4) on plain vectors, with the rules of torch.optim.LBFGS for steps and rejected pairs.
#include <array>
#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <numeric>
#include <random>

#include "engine/selftest/op_bench.h"
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
  TwoLoops(std::size_t history, const LbfgsDirectionParameters& parameters)
      : history_(history), parameters_(parameters) {}

  void step(const Numbers& g) {
    if (d.empty()) {
      double sum = 0;
      for (const double value : g) sum += std::abs(value);
      t = std::min(1.0, 1 / sum) * parameters_.learning_rate;
    } else {
      Numbers s = d, y = g;
      for (std::size_t i = 0; i < g.size(); ++i) s[i] *= t, y[i] -= previous_[i];
      if (dot(y, s) > 1e-10) {
        if (pairs.size() == history_) pairs.pop_front();
        pairs.push_back({s, y});
      }
      t = parameters_.learning_rate;
    }
    d = g;
    for (double& value : d) value = -value;
    std::vector<double> alphas;
    for (auto pair = pairs.rbegin(); pair != pairs.rend(); ++pair) {
      alphas.push_back(dot(pair->s, d) / dot(pair->y, pair->s));
      for (std::size_t i = 0; i < d.size(); ++i) d[i] -= alphas.back() * pair->y[i];
    }
    if (!pairs.empty()) {
      const std::size_t newest = std::min(pairs.size(), static_cast<std::size_t>(parameters_.h0_pairs));
      double h0 = 0;
      for (std::size_t k = pairs.size() - newest; k < pairs.size(); ++k)
        h0 += dot(pairs[k].y, pairs[k].s) / dot(pairs[k].y, pairs[k].y);
      h0 *= parameters_.h0_factor / static_cast<double>(newest);
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
  LbfgsDirectionParameters parameters_;
  Numbers previous_;
};

}  // namespace

TEST_CASE("the L-BFGS primitives give the two-loop recursion's directions") {
  test::TestDevice device(GENERATE(from_range(test::op_devices())));
  const std::int64_t history = GENERATE(1, 3, 10);
  constexpr std::int64_t kLength = 42;
  constexpr double kLearningRate = 0.8;
  const double h0_factor = GENERATE(1.0, 2.5);
  const std::int64_t h0_pairs = GENERATE(1, 4);
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
  TwoLoops expected(static_cast<std::size_t>(history), {kLearningRate, h0_factor, h0_pairs});
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
    device->lbfgs_direction(coefficients, state, dots, {kLearningRate, h0_factor, h0_pairs});
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

TEST_CASE("a device decides as the host does, to the last bit") {
  test::TestDevice device(GENERATE(from_range(test::op_devices())));
  const bool clamped = GENERATE(false, true);
  const LbfgsDecisionParameters parameters{0.9, 300, clamped, false};
  std::mt19937 random(7);
  const auto uniform = [&] { return static_cast<double>(random()) / 0x1p32; };

  Numbers machine(LbfgsMachine::kSize), state(LbfgsState::size(3));
  machine[LbfgsMachine::kShrink] = 1;
  std::array<int, 5> said{};
  const auto on_device = device.slots(machine), device_state = device.slots(state),
             dots = device.slots({1, 1});
  for (int step = 0; step < 3000; ++step) {
    INFO(device->info().name << ", step " << step);
    // Along the search a steep cubic, so that it interpolates; now and then anything, or no number.
    const double* const line = machine.data() + LbfgsMachine::kLine;
    const double t = line[10], first_slope = line[1], a = 20 * uniform(), b = uniform();
    const bool follows = random() % 4 != 0;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    machine[LbfgsMachine::kTrialValue] =
        random() % 16 == 0 ? nan
        : follows          ? machine[LbfgsMachine::kValue] + t * (first_slope + t * (a + t * b))
                           : machine[LbfgsMachine::kValue] + uniform() - 0.7;
    machine[LbfgsMachine::kSlope] = follows ? first_slope + t * (2 * a + t * 3 * b) : uniform() - 0.5;
    state[LbfgsState::kCount] = static_cast<double>(random() % 3);
    state[LbfgsState::kSlope] = random() % 8 == 0 ? 1.0 : -uniform();
    const Numbers sums{100 * uniform(), random() % 4 == 0 ? 0 : uniform()};
    device->upload(on_device, std::span<const double>(machine));
    device->upload(device_state, std::span<const double>(state));
    device->upload(dots, std::span<const double>(sums));
    for (const LbfgsDecision decision :
         {LbfgsDecision::kJudge, LbfgsDecision::kTakeDirection, LbfgsDecision::kTakeBent,
          LbfgsDecision::kTakeSteepest, LbfgsDecision::kTakeBent}) {
      lbfgs_decide(machine.data(), state.data(), sums.data(), decision, parameters);
      device->lbfgs_decide(on_device, device_state, dots, decision, parameters);
    }
    const Numbers found = device.read(on_device), found_state = device.read(device_state);
    REQUIRE(std::memcmp(found.data(), machine.data(), found.size() * sizeof(double)) == 0);
    REQUIRE(std::memcmp(found_state.data(), state.data(), found_state.size() * sizeof(double)) == 0);
    for (std::size_t i = 0; i < said.size(); ++i) said[i] += machine[LbfgsMachine::kAccepts + i] != 0;
  }
  const int bends = said[2], restarts = said[1];
  CHECK(bends == 0);  // taken back by the decision after it
  CHECK(restarts > 5);
  for (const std::size_t i : {0, 3, 4}) CHECK(said[i] > 5);
}

TEST_CASE("what depends on a flag is done where it is set, and nothing of it where it is not") {
  test::TestDevice device(GENERATE(from_range(test::op_devices())));
  constexpr std::int64_t kSlots = 3, kLength = 1000;
  const Shape picture{20, 50, 1}, halved{10, 25, 1}, rgb{1, 4, 3};
  const auto values = [&](Shape shape, std::uint64_t seed) {
    return device.real(shape, make_values(Values::kNormal, shape, seed));
  };
  for (const double flag : {1.0, 0.0}) {
    INFO(device->info().name << ", flag " << flag);
    const auto when = device.slots({flag}), t = device.slots({0.5});
    Numbers numbers(static_cast<std::size_t>(LbfgsState::size(kSlots)));
    numbers[LbfgsState::kCalls] = 1;
    const auto state = device.slots(numbers), dots = device.slots(Numbers(LbfgsState::num_dots(kSlots), 0.5));
    const auto coefficients = device.slots(Numbers(2 * kSlots + 1, 1)),
               with = device.slots(Numbers(2 * kSlots, 1));
    const auto products = device.slots({2, 3}), sum = device.slots({7});
    const auto history = values({2 * kSlots, 1, kLength}, 1), g = values(picture, 2), x = values(picture, 3);
    const auto previous = values(picture, 4), d = values(picture, 5), half = values(halved, 6),
               pixels = values(rgb, 7);
    const struct {
      const char* name;
      TensorView changed;
      std::function<void()> call;
    } operations[] = {
        {"fill", half, [&] { device->fill(half, 3); }},
        {"copy", x, [&] { device->copy(x, g); }},
        {"clamp", pixels,
         [&] {
           device->clamp(pixels, {0, 0, 0}, {0, 0, 0});
         }},
        {"add_scaled", x, [&] { device->add_scaled(x, x, t, d); }},
        {"dot", sum, [&] { device->dot(sum, g, d); }},
        {"halve", half, [&] { device->halve(half, g); }},
        {"halve_transposed_add", x, [&] { device->halve_transposed_add(x, half, 1); }},
        {"lbfgs_push", history, [&] { device->lbfgs_push(history, previous, state, d, g); }},
        {"lbfgs_dots", dots, [&] { device->lbfgs_dots(dots, history, state, g); }},
        {"lbfgs_pair_dots", with, [&] { device->lbfgs_pair_dots(with, history, state, g); }},
        {"lbfgs_condition", dots, [&] { device->lbfgs_condition(dots, with, products); }},
        {"lbfgs_direction", coefficients, [&] { device->lbfgs_direction(coefficients, state, dots, {}); }},
        {"lincomb", d, [&] { device->lincomb(d, coefficients, history, g); }},
    };
    for (const auto& operation : operations) {
      INFO(operation.name);
      const Numbers before = device.read(operation.changed);
      device->when(when, operation.call);
      CHECK((device.read(operation.changed) != before) == (flag != 0));
    }
    // And after it the flag is forgotten.
    device->fill(x, 8);
    CHECK(device.read(x) == Numbers(static_cast<std::size_t>(picture.elements()), 8));
  }
}
