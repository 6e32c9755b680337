// L-BFGS with the strong Wolfe line search: convergence, and what it must survive.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "engine/backend/devices.h"
#include "kernels/line_search.h"
#include "tests/support/catch.h"
#include "tests/support/host_objective.h"

using namespace impasto;
using namespace impasto::test;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

OptimizerOptions wolfe(int history) {
  OptimizerOptions o;
  o.history = history;
  return o;
}

/// Evaluations until the lowest value is below `goal`; -1: not within the limit.
int evaluations_to(Backend& backend, const OptimizerOptions& options, const Function& f, const Vector& start,
                   double goal, int limit) {
  Rig rig(backend, options, start);
  HostObjective objective(backend, f);
  for (int i = 1; i <= limit; ++i) {
    rig.optimizer->step(objective);
    if (objective.lowest < goal) return i;
  }
  return -1;
}

}  // namespace

TEST_CASE("the line search ends at a point of the strong Wolfe conditions") {
  struct Line {
    const char* name;
    std::function<double(double)> value, slope;
    double first;
  };
  // Moré and Thuente's first function among them, from steps far too short and far too long.
  std::vector<Line> lines;
  for (const double first : {1e-3, 0.1, 1.0, 10.0, 1e3}) {
    lines.push_back({"parabola", [](double t) { return (t - 3) * (t - 3); },
                     [](double t) { return 2 * (t - 3); }, first});
    lines.push_back({"hollow", [](double t) { return -t / (t * t + 2); },
                     [](double t) { return (t * t - 2) / ((t * t + 2) * (t * t + 2)); }, first});
    lines.push_back({"well", [](double t) { return t * t * t * t / 4 - t; },
                     [](double t) { return t * t * t - 1; }, first});
    lines.push_back(
        {"waves",
         [](double t) { return std::cos(5 * t) - 1 + 0.05 * (t - 20) * (t - 20) - 0.3 * std::sin(5 * t); },
         [](double t) { return -5 * std::sin(5 * t) + 0.1 * (t - 20) - 1.5 * std::cos(5 * t); }, first});
  }
  for (const Line& line : lines) {
    INFO(line.name << " from " << line.first);
    WolfeSearch search;
    const double f0 = line.value(0), slope0 = line.slope(0);
    search.begin(f0, slope0, line.first, std::numeric_limits<double>::infinity());
    auto verdict = WolfeSearch::Verdict::kTry;
    double t = 0;
    int evaluations = 0;
    while (verdict == WolfeSearch::Verdict::kTry && ++evaluations < 100) {
      t = search.trial();
      REQUIRE(t > 0);
      verdict = search.judge(line.value(t), line.slope(t));
    }
    CHECK(verdict == WolfeSearch::Verdict::kAccept);
    CHECK(evaluations <= 8);
    CHECK(line.value(t) <= f0 + 1e-4 * t * slope0);
    CHECK(std::abs(line.slope(t)) <= 0.9 * std::abs(slope0));
  }
}

TEST_CASE("a first trial that satisfies the conditions is accepted at once") {
  WolfeSearch search;
  search.begin(9, -6, 1, 10);
  CHECK(search.trial() == 1);
  CHECK(search.judge(4, -4) == WolfeSearch::Verdict::kAccept);
}

TEST_CASE("a point that satisfies the conditions but is worse than one before it is not accepted") {
  WolfeSearch search;
  search.begin(0, -1, 1, std::numeric_limits<double>::infinity());
  CHECK(search.judge(-1, -0.95) == WolfeSearch::Verdict::kTry);  // lower, but still as steep
  CHECK(search.trial() >= 2);
  CHECK(search.judge(-0.9, 0.5) == WolfeSearch::Verdict::kTry);
  CHECK(search.best_length() == 1);
  CHECK(search.judge(-1.1, -0.1) == WolfeSearch::Verdict::kAccept);
}

TEST_CASE("the search never leaves its longest step and takes it when the slope still falls") {
  WolfeSearch search;
  search.begin(0, -1, 0.01, 1);
  auto verdict = WolfeSearch::Verdict::kTry;
  while (verdict == WolfeSearch::Verdict::kTry) {
    REQUIRE(search.trial() <= 1);
    verdict = search.judge(-search.trial(), -1);
  }
  CHECK(verdict == WolfeSearch::Verdict::kAccept);
  CHECK(search.trial() == 1);
}

TEST_CASE("a search without a better point fails after a bounded number of evaluations") {
  WolfeSearch search;
  search.begin(1, -1, 1, std::numeric_limits<double>::infinity());
  int evaluations = 1;
  while (search.judge(2, 1) == WolfeSearch::Verdict::kTry) ++evaluations;
  CHECK(evaluations == 20);
  CHECK(search.best_length() == 0);
}

TEST_CASE("values that are not finite halve the step") {
  WolfeSearch search;
  search.begin(1, -1, 1, std::numeric_limits<double>::infinity());
  CHECK(search.judge(kNaN, kNaN) == WolfeSearch::Verdict::kTry);
  CHECK(search.trial() == 0.5);
  CHECK(search.judge(std::numeric_limits<double>::infinity(), 1) == WolfeSearch::Verdict::kTry);
  CHECK(search.trial() == 0.25);
  CHECK(search.judge(0.9, -0.5) == WolfeSearch::Verdict::kAccept);
}

TEST_CASE("badly conditioned bowls and Rosenbrock's valley take few evaluations") {
  const auto backend = make_reference();
  // SciPy 1.x's L-BFGS-B with the same history needs 666, 196 and 1740.
  const int bowl_evaluations = evaluations_to(*backend, wolfe(10), bowl(1e4), zeros(300), 1e-6, 2000);
  const int valley_evaluations = evaluations_to(*backend, wolfe(10), rosenbrock, noise(30, 1), 1e-8, 2000);
  const int long_valley = evaluations_to(*backend, wolfe(10), rosenbrock, noise(300, 5), 1e-6, 5000);
  INFO(bowl_evaluations << " " << valley_evaluations << " " << long_valley);
  CHECK(bowl_evaluations > 0);
  CHECK(bowl_evaluations < 800);
  CHECK(valley_evaluations > 0);
  CHECK(valley_evaluations < 250);
  CHECK(long_valley > 0);
  CHECK(long_valley < 2100);
}

TEST_CASE("the gradient's scale does not matter") {
  const auto backend = make_reference();
  for (const double scale : {1e-8, 1.0, 1e8}) {
    const Function f = [scale](const Vector& x, Vector& g) {
      const double value = bowl(100)(x, g);
      for (double& component : g) component *= scale;
      return value * scale;
    };
    INFO(scale);
    // Pairs are kept above an absolute y.s = 1e-10, which bounds what the smallest scale can reach.
    const int evaluations = evaluations_to(*backend, wolfe(10), f, zeros(30), 0.1 * scale, 300);
    CHECK(evaluations > 0);
    CHECK(evaluations < 60);
  }
}

TEST_CASE("the picture is the best point ever evaluated, whenever the run ends") {
  const std::string device = GENERATE("reference", "cpu");
  const auto backend = make_backend({.device = device});
  std::mt19937 random(7);
  const Function rough = [](const Vector& x, Vector& g) {
    double value = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      value += x[i] * x[i] / 20 + std::sin(3 * x[i]);
      g[i] = x[i] / 10 + 3 * std::cos(3 * x[i]);
    }
    return value;
  };
  for (int trial = 0; trial < 200; ++trial) {
    const bool clamp = random() % 4 == 0;
    OptimizerOptions options = wolfe(1 + static_cast<int>(random() % 6));
    options.clamp = clamp;
    options.learning_rate = random() % 3 == 0 ? 5 : 1;  // too bold, so that searches have work to do
    const Function f = random() % 2 == 0 ? Function(rosenbrock) : rough;
    Vector start = noise(30, static_cast<std::uint32_t>(random()));
    for (double& value : start) value *= 3;
    INFO("trial " << trial << " clamp " << clamp);
    Rig rig(*backend, options, start, {{-2, -2, -2}, {2, 2, 2}});
    HostObjective objective(*backend, f);
    const int budget = 1 + static_cast<int>(random() % 60);
    for (int i = 0; i < budget; ++i) {
      rig.optimizer->step(objective);
      REQUIRE(value_at(f, rig.picture()) == objective.lowest);
    }
  }
}

TEST_CASE("a function that is not finite beyond a radius is solved inside it") {
  const auto backend = make_reference();
  // The lowest point lies at 0.99 of the radius, and the first step goes far beyond it.
  for (const double bad : {kNaN, std::numeric_limits<double>::infinity()}) {
    const Function f = [bad](const Vector& x, Vector& g) {
      double value = 0, radius = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double a = 1 + static_cast<double>(i), d = x[i] - 0.099;
        value += a * d * d;
        g[i] = 2 * a * d;
        radius += x[i] * x[i];
      }
      if (std::sqrt(radius) > 0.1 * std::sqrt(static_cast<double>(x.size()))) {
        std::fill(g.begin(), g.end(), kNaN);
        return bad;
      }
      return value;
    };
    Rig rig(*backend, wolfe(5), zeros(30));
    HostObjective objective(*backend, f);
    for (int i = 0; i < 200; ++i) rig.optimizer->step(objective);
    CHECK(objective.lowest < 1e-9);
    CHECK(value_at(f, rig.picture()) == objective.lowest);
    CHECK(std::count_if(objective.trace.begin(), objective.trace.end(),
                        [](double v) { return !std::isfinite(v); }) > 0);
  }
}

TEST_CASE("a start that cannot be evaluated is left as it is") {
  const auto backend = make_reference();
  const Function f = [](const Vector&, Vector& g) {
    std::fill(g.begin(), g.end(), kNaN);
    return kNaN;
  };
  const Vector start = noise(30, 9);
  Rig rig(*backend, wolfe(5), start);
  HostObjective objective(*backend, f);
  for (int i = 0; i < 5; ++i) rig.optimizer->step(objective);
  CHECK(rig.picture() == start);
}

TEST_CASE("a flat place is left as it is") {
  const auto backend = make_reference();
  Rig rig(*backend, wolfe(5), Vector(30, 1.0));
  HostObjective objective(*backend, rosenbrock);
  for (int i = 0; i < 10; ++i) rig.optimizer->step(objective);
  CHECK(rig.picture() == Vector(30, 1.0));
  CHECK(objective.lowest == 0);
}

TEST_CASE("a wrong gradient costs evaluations but not the picture") {
  const auto backend = make_reference();
  const Function uphill = [](const Vector& x, Vector& g) {
    const double value = bowl(10)(x, g);
    for (double& component : g) component = -component;
    return value;
  };
  Rig rig(*backend, wolfe(5), zeros(30));
  HostObjective objective(*backend, uphill);
  for (int i = 0; i < 100; ++i) rig.optimizer->step(objective);
  CHECK(value_at(uphill, rig.picture()) == objective.trace[0]);
}

TEST_CASE("after a search that failed the history starts anew with the next step") {
  const auto backend = make_reference();
  int call = 0;
  const Function f = [&call](const Vector& x, Vector& g) {
    const double value = bowl(100)(x, g);
    return ++call > 10 && call <= 30 ? value + 1e6 : value;  // twenty evaluations without a better point
  };
  Rig rig(*backend, wolfe(5), zeros(30));
  HostObjective objective(*backend, f);
  const auto state = [&rig, &backend](const std::string& wanted) {
    for (const auto& [name, view] : rig.optimizer->tensors()) {
      if (name == wanted) return download(*backend, view);
    }
    return Vector{};
  };
  for (int i = 0; i < 10; ++i) rig.optimizer->step(objective);
  CHECK(state("state")[LbfgsState::kCount] == 5);
  for (int i = 0; i < 20; ++i) rig.optimizer->step(objective);
  CHECK(state("state")[LbfgsState::kCount] == 0);
  const Vector base = state("base");
  while (state("base") == base && call < 40) rig.optimizer->step(objective);
  CHECK(state("state")[LbfgsState::kCount] == 1);
}

TEST_CASE("a bent direction that goes uphill costs no evaluation") {
  const auto backend = make_reference();
  // Neighbours are strongly coupled, so that the part of a direction that the box leaves may ascend.
  const Function f = [](const Vector& x, Vector& g) {
    double value = 0;
    std::fill(g.begin(), g.end(), 0.0);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double pull = 8 * std::sin(7.0 * static_cast<double>(i));
      value -= pull * x[i];
      g[i] -= pull;
      const double sum = x[i] + 0.98 * x[(i + 1) % x.size()];
      value += sum * sum / 2;
      g[i] += sum;
      g[(i + 1) % x.size()] += 0.98 * sum;
    }
    return value;
  };
  OptimizerOptions options = wolfe(8);
  options.clamp = true;
  Rig rig(*backend, options, noise(30, 12), {{-3, -1, -2}, {1, 2, 3}});
  HostObjective objective(*backend, f);
  Vector before;
  for (int i = 0; i < 40; ++i) {
    const Vector x = rig.x();
    INFO("step " << i);
    if (x == before) {  // only where there is no way down inside the box
      Vector g(x.size());
      f(x, g);
      for (std::size_t j = 0; j < x.size(); ++j) {
        const double to =
            std::clamp(x[j] - g[j], std::array{-3., -1., -2.}[j % 3], std::array{1., 2., 3.}[j % 3]);
        REQUIRE(to == Approx(x[j]));
      }
      break;
    }
    before = x;
    rig.optimizer->step(objective);
  }
}

TEST_CASE("a loss rounded to float32 does not keep the search from going on") {
  const auto backend = make_reference();
  // The loss has an offset, so that near the end its decreases are lost in rounding; the gradient has not.
  const Function f = [](const Vector& x, Vector& g) {
    return static_cast<double>(static_cast<float>(1000 + bowl(100)(x, g)));
  };
  Rig rig(*backend, wolfe(10), zeros(300));
  HostObjective objective(*backend, f);
  for (int i = 0; i < 300; ++i) rig.optimizer->step(objective);
  Vector gradient(300);
  const double reached = bowl(100)(rig.picture(), gradient);
  INFO("reached " << reached);
  CHECK(reached < 2e-4);  // one rounding of 1000 is 6e-5
}

TEST_CASE("float32 vectors reach their own rounding") {
  const auto backend = make_backend({.device = "cpu"});
  Rig rig(*backend, wolfe(10), zeros(300));
  HostObjective objective(*backend, bowl(1e3));
  for (int i = 0; i < 400; ++i) rig.optimizer->step(objective);
  // Each x is off its place by up to half a unit of float32,
  // 4.8e-7 at 10: a sum of about 2e-9. Measured: 1.1e-8.
  INFO("lowest " << objective.lowest);
  CHECK(objective.lowest < 5e-8);
  CHECK(value_at(bowl(1e3), rig.picture()) == objective.lowest);
}

TEST_CASE("a noisy loss does not keep the search from going on") {
  const auto backend = make_reference();
  // Noise of 1e-7 relative, fixed for each point: what float32 sums do.
  const Function f = [](const Vector& x, Vector& g) {
    const double value = 1000 + bowl(100)(x, g);
    double hash = 0;
    for (const double component : x) hash += component * 12345.678;
    return value * (1 + 1e-7 * std::sin(hash * 1e6));
  };
  Rig rig(*backend, wolfe(10), zeros(300));
  HostObjective objective(*backend, f);
  for (int i = 0; i < 300; ++i) rig.optimizer->step(objective);
  Vector gradient(300);
  const double reached = bowl(100)(rig.picture(), gradient);
  INFO("reached " << reached);
  CHECK(reached < 1e-2);
  CHECK(value_at(f, rig.picture()) == objective.lowest);
}
