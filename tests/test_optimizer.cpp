// Gradient descent, Adam and L-BFGS without line search against plain implementations of their own.
#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/backend/devices.h"
#include "engine/core/error.h"
#include "tests/support/catch.h"
#include "tests/support/host_objective.h"
#include "tests/support/test_device.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// Every x that an optimiser moves to.
using Path = std::vector<Vector>;

Path plain_gradient_descent(const Function& f, Vector x, int steps, double rate, double momentum) {
  Path path;
  Vector v = zeros(x.size()), g(x.size());
  while (steps-- > 0) {
    f(x, g);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] -= rate * (v[i] = momentum * v[i] + g[i]);
    path.push_back(x);
  }
  return path;
}

Path plain_adam(const Function& f, Vector x, int steps, double rate, double b1, double b2, double epsilon) {
  Path path;
  Vector m = zeros(x.size()), v = zeros(x.size()), g(x.size());
  for (int k = 1; k <= steps; ++k) {
    f(x, g);
    for (std::size_t i = 0; i < x.size(); ++i) {
      m[i] += (1 - b1) * (g[i] - m[i]);
      v[i] += (1 - b2) * (g[i] * g[i] - v[i]);
      x[i] -= rate * (m[i] / (1 - std::pow(b1, k))) / (std::sqrt(v[i] / (1 - std::pow(b2, k))) + epsilon);
    }
    path.push_back(x);
  }
  return path;
}

/// The textbook's two loops over the pairs, with torch.optim.LBFGS' rules for the first step and for pairs.
/// Where x is kept within +-limit, a pair holds the move that was made.
Path plain_lbfgs(const Function& f, Vector x, int steps, double rate, std::size_t history,
                 double limit = std::numeric_limits<double>::infinity()) {
  struct Pair {
    Vector s, y;
    double rho;
  };
  Path path;
  std::deque<Pair> pairs;
  Vector g(x.size()), g_before, d;
  double t = 0, h0 = 1;
  for (int k = 0; k < steps; ++k) {
    f(x, g);
    double sum_abs = 0;
    for (const double value : g) sum_abs += std::abs(value);
    if (k > 0) {
      Pair pair{d, g, 0};
      for (std::size_t i = 0; i < x.size(); ++i) {
        pair.s[i] *= t;
        pair.y[i] -= g_before[i];
      }
      const double ys = dot(pair.y, pair.s);
      if (ys > 1e-10) {
        pair.rho = 1 / ys;
        h0 = ys / dot(pair.y, pair.y);
        if (pairs.size() == history) pairs.pop_front();
        pairs.push_back(pair);
      }
    }
    d = g;
    for (double& value : d) value = -value;
    std::vector<double> alphas(pairs.size());
    for (std::size_t j = pairs.size(); j-- > 0;) {
      alphas[j] = pairs[j].rho * dot(pairs[j].s, d);
      for (std::size_t i = 0; i < d.size(); ++i) d[i] -= alphas[j] * pairs[j].y[i];
    }
    for (double& value : d) value *= h0;
    for (std::size_t j = 0; j < pairs.size(); ++j) {
      const double beta = pairs[j].rho * dot(pairs[j].y, d);
      for (std::size_t i = 0; i < d.size(); ++i) d[i] += (alphas[j] - beta) * pairs[j].s[i];
    }
    t = (k == 0 ? std::min(1.0, 1 / sum_abs) : 1) * rate;
    g_before = g;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double moved = std::clamp(x[i] + t * d[i], -limit, limit);
      d[i] = (moved - x[i]) / t;
      x[i] = moved;
    }
    path.push_back(x);
  }
  return path;
}

Path run(Backend& backend, const OptimizerOptions& options, const Function& f, const Vector& start, int steps,
         const PixelRange& range = {}) {
  Rig rig(backend, options, start, range);
  HostObjective objective(backend, f);
  Path path;
  while (steps-- > 0) {
    rig.optimizer->step(objective);
    path.push_back(rig.x());
  }
  return path;
}

double worst_distance(const Path& a, const Path& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, relative_distance(a[i], b[i]));
  return worst;
}

OptimizerOptions descent(double rate, double momentum) {
  OptimizerOptions o;
  o.kind = OptimizerKind::kGradientDescent;
  o.learning_rate = rate;
  o.momentum = momentum;
  return o;
}
/// Without a rate.
OptimizerOptions descent(double momentum) {
  OptimizerOptions o = descent(1, momentum);
  o.learning_rate.reset();
  return o;
}
OptimizerOptions adam(double rate) {
  OptimizerOptions o;
  o.kind = OptimizerKind::kAdam;
  o.learning_rate = rate;
  return o;
}
OptimizerOptions lbfgs(int history) {
  OptimizerOptions o;
  o.history = history;
  o.line_search = LineSearch::kNone;
  return o;
}
OptimizerOptions wolfe(int history) {
  OptimizerOptions o;
  o.history = history;
  return o;
}
OptimizerOptions pyramid(int history) {
  OptimizerOptions o = wolfe(history);
  o.preconditioner = Preconditioner::kPyramid;
  return o;
}

}  // namespace

TEST_CASE("gradient descent with momentum follows its formula") {
  const auto backend = make_reference();
  const Vector start = noise(30, 1);
  const Path expected = plain_gradient_descent(bowl(20), start, 60, 0.01, 0.9);
  CHECK(worst_distance(run(*backend, descent(0.01, 0.9), bowl(20), start, 60), expected) < 1e-14);
}

TEST_CASE("Adam follows its formula") {
  const auto backend = make_reference();
  const Vector start = noise(30, 2);
  const Path expected = plain_adam(rosenbrock, start, 200, 0.02, 0.9, 0.999, 1e-8);
  CHECK(worst_distance(run(*backend, adam(0.02), rosenbrock, start, 200), expected) < 1e-11);
}

TEST_CASE("L-BFGS without line search takes the two-loop recursion's steps") {
  const auto backend = make_reference();
  const Vector start = noise(30, 3);
  for (const int history : {1, 2, 5, 10, 100}) {
    INFO("history " << history);
    const Path expected = plain_lbfgs(bowl(50), start, 25, 1, static_cast<std::size_t>(history));
    CHECK(worst_distance(run(*backend, lbfgs(history), bowl(50), start, 25), expected) < 1e-7);
  }
  OptimizerOptions half = lbfgs(10);
  half.learning_rate = 0.5;
  CHECK(worst_distance(run(*backend, half, bowl(50), start, 25), plain_lbfgs(bowl(50), start, 25, 0.5, 10)) <
        1e-7);
}

TEST_CASE("L-BFGS without line search refuses pairs of negative curvature as the recursion does") {
  const auto backend = make_reference();
  const Function wave = [](const Vector& x, Vector& g) {
    double value = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      value += std::cos(x[i]) + 0.01 * x[i] * x[i];
      g[i] = -std::sin(x[i]) + 0.02 * x[i];
    }
    return value;
  };
  // Without a line search the path soon is chaotic: each step multiplies the difference by 3 to 10.
  const Vector start = noise(30, 4);
  CHECK(worst_distance(run(*backend, lbfgs(5), wave, start, 15), plain_lbfgs(wave, start, 15, 1, 5)) < 1e-6);
}

TEST_CASE("L-BFGS without line search learns from the clamped move, not from the one wished for") {
  const auto backend = make_reference();
  OptimizerOptions options = lbfgs(5);
  options.clamp = true;
  options.learning_rate = 0.5;
  const Vector start = noise(30, 11);
  const Path clamped = run(*backend, options, bowl(50), start, 15, {{-4, -4, -4}, {4, 4, 4}});
  CHECK(worst_distance(clamped, plain_lbfgs(bowl(50), start, 15, 0.5, 5, 4)) < 1e-9);
}

TEST_CASE("every optimiser comes close to a bowl's lowest point") {
  const auto backend = make_reference();
  const Vector start = noise(30, 5);
  for (const OptimizerOptions& options :
       {descent(0.02, 0.9), descent(0), descent(0.9), adam(1), lbfgs(10), wolfe(10)}) {
    INFO(to_string(options.kind) << " " << to_string(options.line_search));
    Rig rig(*backend, options, start);
    HostObjective objective(*backend, bowl(20));
    for (int i = 0; i < 400; ++i) rig.optimizer->step(objective);
    Vector gradient(start.size());
    CHECK(bowl(20)(rig.picture(), gradient) < 1e-6 * objective.trace[0]);
  }
}

TEST_CASE("a step allocates nothing and needs no more than the tensors it names") {
  const auto backend = make_reference();
  for (const OptimizerOptions& base :
       {descent(0.01, 0.5), descent(0), descent(0.5), adam(1), lbfgs(3), wolfe(3), pyramid(3)}) {
    for (const bool clamp : {false, true}) {
      OptimizerOptions options = base;
      options.clamp = clamp;
      Rig rig(*backend, options, noise(30, 6));
      HostObjective objective(*backend, rosenbrock);
      const auto before = backend->num_allocations();
      for (int i = 0; i < 50; ++i) rig.optimizer->step(objective);
      CHECK(backend->num_allocations() == before);
      CHECK(rig.tensors[0].data == rig.optimizer->tensors()[0].second.data);
      const auto specs = optimizer_tensors(options, {1, 10, 3}, DType::kFloat64);
      CHECK(specs[0].name == "x");
      CHECK(specs[1].name == "gradient");
      for (const auto& [name, view] : rig.optimizer->tensors()) {
        const auto spec = std::find_if(specs.begin(), specs.end(),
                                       [&wanted = name](const auto& s) { return s.name == wanted; });
        REQUIRE(spec != specs.end());
        CHECK(spec->shape == view.shape);
      }
    }
  }
}

TEST_CASE("a clamped optimiser stays in the displayable range and finds the best point at its edge") {
  const auto backend = make_reference();
  // Lowest points lie at 10 sin(i): many are outside of the range, whose channels differ.
  const PixelRange range{{-2, -3, -4}, {5, 6, 7}};
  Vector best(30);
  for (std::size_t i = 0; i < best.size(); ++i) {
    best[i] = std::clamp(10 * std::sin(static_cast<double>(i)), range.lower[i % 3], range.upper[i % 3]);
  }
  for (OptimizerOptions options :
       {descent(0.02, 0.5), descent(0), descent(0.5), adam(0.5), lbfgs(10), wolfe(10)}) {
    INFO(to_string(options.kind) << " " << to_string(options.line_search));
    options.clamp = true;
    Rig rig(*backend, options, noise(30, 7), range);
    HostObjective objective(*backend, bowl(20));
    for (int i = 0; i < 300; ++i) {
      rig.optimizer->step(objective);
      const Vector x = rig.x();
      for (std::size_t j = 0; j < x.size(); ++j) {
        REQUIRE(x[j] >= range.lower[j % 3]);
        REQUIRE(x[j] <= range.upper[j % 3]);
      }
    }
    CHECK(relative_distance(rig.picture(), best) < 1e-3);
  }
}

TEST_CASE("in float32 the paths stay beside those in double") {
  const auto reference = make_reference(), cpu = make_backend({.device = "cpu", .threads = 2});
  const Vector start = noise(300, 10);
  const auto distance = [&](const OptimizerOptions& options, const Function& f, int steps) {
    return worst_distance(run(*cpu, options, f, start, steps), run(*reference, options, f, start, steps));
  };
  // Measured: 1e-7, 3e-7, 4e-5 (far from the lowest point, where rounding grows), 3e-7; 6e-7, 2e-7.
  CHECK(distance(descent(0.01, 0.9), bowl(20), 60) < 5e-7);
  CHECK(distance(adam(0.05), bowl(20), 60) < 2e-6);
  CHECK(distance(lbfgs(10), bowl(20), 15) < 2e-4);
  CHECK(distance(wolfe(10), bowl(20), 15) < 2e-6);
  CHECK(distance(descent(0), bowl(20), 15) < 2e-6);
  CHECK(distance(descent(0.9), bowl(20), 15) < 2e-6);
}

namespace {

void check_resumes_with_same_bits(Backend& backend, const OptimizerOptions& options, const Function& f,
                                  int steps) {
  INFO(to_string(options.kind) << " " << to_string(options.line_search) << " clamp " << options.clamp);
  const PixelRange range{{-1, -1, -1}, {0.8, 0.9, 1.1}};
  Rig whole(backend, options, noise(30, 8), range);
  HostObjective objective(backend, f);
  std::vector<std::vector<Vector>> tensors;
  std::vector<std::vector<double>> host;
  for (int i = 0; i < steps; ++i) {
    whole.optimizer->step(objective);
    host.push_back(whole.optimizer->host_state());
    CHECK(host[0].size() == host.back().size());
    tensors.emplace_back();
    for (const auto& [name, view] : whole.optimizer->tensors()) {
      tensors.back().push_back(download(backend, view));
    }
  }
  const Vector expected = whole.picture();
  for (std::size_t from = 0; from < host.size(); ++from) {
    Rig resumed(backend, options, zeros(30), range);
    for (std::size_t j = 0; j < tensors[from].size(); ++j) {
      backend.upload(resumed.optimizer->tensors()[j].second, std::span<const double>(tensors[from][j]));
    }
    resumed.optimizer->restore_host_state(host[from]);
    HostObjective rest(backend, f);
    for (std::size_t i = from + 1; i < host.size(); ++i) {
      resumed.optimizer->step(rest);
      REQUIRE(rest.trace.back() == objective.trace[i]);
    }
    REQUIRE(resumed.picture() == expected);
  }
}

}  // namespace

TEST_CASE("state saved after any step continues with the same bits") {
  const std::string device = GENERATE(from_range(test::op_devices()));
  const auto backend = test::open_without_recording(device);  // the objective is on the host
  for (OptimizerOptions options :
       {descent(1e-4, 0.9), descent(0), descent(0.9), adam(0.1), lbfgs(3), wolfe(3), pyramid(3)}) {
    for (const bool clamp : {false, true}) {
      options.clamp = clamp;
      check_resumes_with_same_bits(*backend, options, rosenbrock, 40);
    }
  }
  // Searches that fail, restart and fail again.
  const Function uphill = [](const Vector& x, Vector& g) {
    const double value = bowl(10)(x, g);
    for (double& component : g) component = -component;
    return value;
  };
  check_resumes_with_same_bits(*backend, wolfe(3), uphill, 70);
  check_resumes_with_same_bits(*backend, descent(0.9), uphill, 30);
}

TEST_CASE("a state with a number that no such optimiser can have is refused") {
  const auto backend = make_reference();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Forged {
    OptimizerOptions options;
    std::string tensor;  // none: of the host
    std::size_t at;
    std::vector<double> values;
  };
  const std::vector<double> no_count{-1, 0.5, nan, 1e300, HUGE_VAL};
  auto no_slot = no_count;
  no_slot.push_back(4);
  std::vector<Forged> all{{adam(0.1), "step", 0, no_count}, {wolfe(3), "", 0, {-1, 0.5, 3, nan}}};
  for (const OptimizerOptions& options : {lbfgs(3), wolfe(3), pyramid(3)}) {
    all.push_back({options, "state", LbfgsState::kCount, no_slot});
    all.push_back({options, "state", LbfgsState::kSpare, no_slot});
    all.push_back({options, "state", LbfgsState::kCalls, no_count});
    all.push_back({options, "state", LbfgsState::kStep, {nan}});
  }
  for (const std::size_t at : {1, 2}) all.push_back({wolfe(3), "", at, {nan}});  // values
  all.push_back({wolfe(3), "", 3, {-1, 0.5, 2, nan}});                           // steepest
  all.push_back({wolfe(3), "", 4, {0, 2, nan}});                                 // shrink
  for (const std::size_t at : {7, 10, 13, 15, 16, 17, 18}) all.push_back({wolfe(3), "", at, {-1, nan}});
  for (const std::size_t at : {0, 1}) all.push_back({descent(0.9), "", at, {-1, 0.5, 2, nan}});
  all.push_back({descent(0.9), "", 2, {-1, 0, 0.5, nan, 1e300}});  // bases, one at least once started
  for (const std::size_t at : {3, 4}) all.push_back({descent(0.9), "", at, {-1, 0.5, 13, nan}});
  all.push_back({descent(0.9), "", 5, {-1, nan}});
  for (const std::size_t at : {7, 8, 17}) all.push_back({descent(0.9), "", at, {nan}});

  for (const Forged& forged : all) {
    Rig rig(*backend, forged.options, zeros(6));
    HostObjective objective(*backend, rosenbrock);
    for (int i = 0; i < 6; ++i) rig.optimizer->step(objective);
    std::vector<double> state = rig.optimizer->host_state();
    CHECK_NOTHROW(rig.optimizer->restore_host_state(state));
    TensorView tensor;
    for (const auto& [name, view] : rig.optimizer->tensors()) {
      if (name == forged.tensor) tensor = view;
    }
    REQUIRE(tensor.empty() == forged.tensor.empty());
    for (const double value : forged.values) {
      INFO(to_string(forged.options.kind) << " " << forged.tensor << "[" << forged.at << "] = " << value);
      const auto restored_with = [&](double number) {
        if (tensor.empty()) {
          state.at(forged.at) = number;
        } else {
          tensor.as<double>()[forged.at] = number;  // the reference device's memory is the host's
        }
        rig.optimizer->restore_host_state(state);
      };
      const double before = tensor.empty() ? state.at(forged.at) : tensor.as<double>()[forged.at];
      CHECK_THROWS_WITH(restored_with(value), ContainsSubstring("checkpoint: expected "));
      CHECK_NOTHROW(restored_with(before));
    }
  }
}

TEST_CASE("state of another optimiser is refused") {
  const auto backend = make_reference();
  Rig search(*backend, wolfe(3), zeros(6)), plain(*backend, adam(1), zeros(6));
  CHECK_THROWS_AS(plain.optimizer->restore_host_state(search.optimizer->host_state()), Error);
  CHECK_THROWS_AS(search.optimizer->restore_host_state({}), Error);
  Rig automatic(*backend, descent(0), zeros(6));
  CHECK_THROWS_AS(automatic.optimizer->restore_host_state(search.optimizer->host_state()), Error);
  CHECK_THROWS_AS(search.optimizer->restore_host_state(automatic.optimizer->host_state()), Error);
  std::vector<double> state = search.optimizer->host_state();
  state[0] = 7;
  CHECK_THROWS_AS(search.optimizer->restore_host_state(state), Error);
}

TEST_CASE("memory of the wrong number or shape is refused") {
  const auto backend = make_reference();
  const Rig rig(*backend, adam(1), zeros(6));
  auto tensors = rig.tensors;
  std::swap(tensors[2], tensors[4]);
  CHECK_THROWS_WITH(make_optimizer(adam(1), *backend, tensors, {}), ContainsSubstring("mean: expected"));
  tensors.pop_back();
  CHECK_THROWS_WITH(make_optimizer(adam(1), *backend, tensors, {}), ContainsSubstring("expected 5 tensors"));
}
