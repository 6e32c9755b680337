// Gradient descent that finds the length of its steps
// itself: its rules, one by one, and what it must survive.
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "engine/backend/devices.h"
#include "engine/core/error.h"
#include "tests/support/catch.h"
#include "tests/support/host_objective.h"

using namespace impasto;
using namespace impasto::test;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

OptimizerOptions automatic(double momentum = 0) {
  OptimizerOptions o;
  o.kind = OptimizerKind::kGradientDescent;
  o.momentum = momentum;
  return o;
}

double uphill(const Vector& x, Vector& g) {
  const double value = bowl(10)(x, g);
  for (double& component : g) component = -component;
  return value;
}

/// Every point at which the rules of docs/losses.md evaluate, written once more from the text alone.
std::vector<Vector> plain_path(const Function& f, const Vector& start, int steps, double momentum) {
  std::vector<Vector> path;
  Vector base, g(start.size()), g_base, s, best;
  std::deque<double> window;
  double t = 0, lowest = kInfinity;
  int bases = 0, cuts = 0, vain_starts = 0;
  Vector x = start;
  bool pushed = false;
  while (steps-- > 0) {
    path.push_back(x);
    const double value = f(x, g);
    const bool finite = std::isfinite(value) && std::isfinite(dot(g, g));
    if (finite && value < lowest) lowest = value, best = x;
    if (bases == 0) {
      if (!finite) continue;
      t = std::sqrt(static_cast<double>(x.size()) / dot(g, g)) / std::pow(4, vain_starts);
      base = x;
      g_base = g;
    } else {
      const double top = *std::max_element(window.begin(), window.end());
      const double slope = dot(g_base, combine(x, -1, base));
      const bool first = bases == 1 && cuts == 0 && vain_starts == 0;
      if (!finite || !(value <= (first ? top + 0.1 * std::abs(top) : top + 1e-4 * slope))) {
        if (!pushed && cuts == 12) {
          x = best;
          bases = 0;
          window.clear();
          vain_starts = (vain_starts + 1) % 13;
          continue;
        }
        if (!pushed) ++cuts, t /= 4;
        pushed = false;
        x = combine(base, -t, g_base);
        continue;
      }
      s = combine(x, -1, base);
      const Vector y = combine(g, -1, g_base);
      const double longer = dot(s, s) / dot(s, y);
      const double shorter = std::max(dot(s, y) / dot(y, y), longer / 100);
      t = dot(s, y) > 0 ? (momentum == 0 && bases % 2 == 1 ? longer : shorter) : 4 * t;
      base = x;
      g_base = g;
      vain_starts = 0;
    }
    window.push_back(value);
    if (window.size() > 10) window.pop_front();
    ++bases;
    cuts = 0;
    x = combine(base, -t, g_base);
    pushed = bases > 1 && momentum > 0;
    if (pushed && dot(g_base, combine(combine(x, momentum, s), -1, base)) < 0) {
      x = combine(x, momentum, s);
    } else {
      pushed = false;
    }
  }
  return path;
}

void require_plain_path(const std::function<Function()>& make, const Vector& start, int steps,
                        double momentum) {
  const auto backend = make_reference();
  Rig rig(*backend, automatic(momentum), start);
  HostObjective objective(*backend, make());
  INFO("momentum " << momentum);
  for (const Vector& point : plain_path(make(), start, steps, momentum)) {
    REQUIRE(relative_distance(rig.x(), point) < 1e-6);
    rig.optimizer->step(objective);
  }
}

Function scaled(const Function& f, double factor) {
  return [f, factor](const Vector& x, Vector& g) {
    const double value = f(x, g) * factor;
    for (double& component : g) component *= factor;
    return value;
  };
}

/// Lowest value of `steps` evaluations over the first.
double reached(Backend& backend, const OptimizerOptions& options, const Function& f, const Vector& start,
               int steps) {
  Rig rig(backend, options, start);
  HostObjective objective(backend, f);
  for (int i = 0; i < steps; ++i) rig.optimizer->step(objective);
  return objective.lowest / objective.trace[0];
}

}  // namespace

TEST_CASE("gradient descent without a rate follows its rules, point by point") {
  for (const double momentum : {0.0, 0.5, 0.9}) {
    for (const Function& f : {bowl(50), Function(rosenbrock)}) {
      require_plain_path([&] { return f; }, noise(30, 1), 60, momentum);
    }
  }
}

TEST_CASE("where no step leads down gradient descent starts again at the best point, with a shorter move") {
  for (const double momentum : {0.0, 0.9}) {
    require_plain_path([] { return uphill; }, noise(30, 1), 200, momentum);  // each start is in vain
    // At a base that need not be the best point all values are gone, so long that it starts again; twice.
    for (const int before : {15, 17, 19, 21}) {
      INFO("the first value gone is that after " << before);
      const auto outage = [before] {
        return [before, call = 0](const Vector& x, Vector& g) mutable {
          const bool gone = call >= before && (call - before) % 30 < 14;
          ++call;
          const double value = bowl(50)(x, g);
          return gone ? kNaN : value;
        };
      };
      require_plain_path(outage, noise(30, 1), 80, momentum);
    }
  }
}

TEST_CASE("a value is held against those of the last ten bases, no more and no fewer") {
  const auto backend = make_reference();
  std::vector<Vector> all{{100, 50, 50, 50, 50, 50, 50, 50, 50, 50, 99, 99.5, 50}};
  for (std::size_t high = 1; high < 10; ++high) {  // then the first base is the eleventh back
    all.emplace_back(13, 50)[0] = 100;
    all.back()[high] = 90;
    all.back()[11] = 89;
    all.back()[12] = 90.5;
  }
  for (const Vector& values : all) {
    int call = 0;
    const Function f = [&](const Vector&, Vector& g) {
      std::fill(g.begin(), g.end(), 1e-3);
      return values[static_cast<std::size_t>(call++)];
    };
    Rig rig(*backend, automatic(), zeros(30));
    HostObjective objective(*backend, f);
    double bases = 0;
    for (const double value : values) {
      rig.optimizer->step(objective);
      if (value != 99.5 && value != 90.5) ++bases;
      INFO(value << " is value " << call);
      CHECK(rig.optimizer->host_state()[2] == bases);
    }
  }
}

TEST_CASE("on a parabola of equal curvatures the third evaluation is at its lowest point") {
  const auto backend = make_reference();
  const Function f = [](const Vector& x, Vector& g) {
    double value = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      g[i] = 6 * (x[i] - 40);
      value += 3 * (x[i] - 40) * (x[i] - 40);
    }
    return value;
  };
  Rig rig(*backend, automatic(), zeros(3));
  HostObjective objective(*backend, f);
  for (int i = 0; i < 3; ++i) rig.optimizer->step(objective);
  CHECK(objective.trace[0] == Approx(9 * 1600));
  CHECK(objective.trace[1] == Approx(9 * 39 * 39));  // the first move: 1 grey level
  CHECK(objective.trace[2] < 1e-20);
  CHECK(rig.picture()[0] == Approx(40));
}

TEST_CASE("no scale of the objective and no condition keeps gradient descent without a rate from falling") {
  const auto backend = make_reference();
  for (const double momentum : {0.0, 0.9}) {
    for (const double factor : {1e-12, 1e-4, 1.0, 1e6, 1e12}) {
      INFO("momentum " << momentum << " factor " << factor);
      CHECK(reached(*backend, automatic(momentum), scaled(bowl(1e3), factor), zeros(300), 200) < 1e-3);
    }
  }
  CHECK(reached(*backend, automatic(), rosenbrock, noise(30, 2), 1000) < 1e-5);
  CHECK(reached(*backend, automatic(0.9), rosenbrock, noise(30, 2), 1000) < 5e-3);  // a narrow bend; 1.6e-3
}

TEST_CASE(
    "a start at a kink, from which the loss rises before it falls, is left; a steeper rise is not climbed") {
  const auto backend = make_reference();
  // A function of m = mean |x|: from 100 at 0 it rises by 0.9 k at the first move's m = 1, and falls to 100
  // - 3.35 k at 5.2.
  const auto hump = [](double k) {
    return [k](const Vector& x, Vector& g) {
      double m = 0;
      for (const double v : x) m += std::abs(v) / static_cast<double>(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        g[i] = k * (1.59 - 1.4 * m + 0.04 * m * m * m) * (x[i] < 0 ? -1 : 1) / static_cast<double>(x.size());
      }
      return 100 + k * (1.59 * m - 0.7 * m * m + 0.01 * m * m * m * m);
    };
  };
  for (const double momentum : {0.0, 0.9}) {
    INFO("momentum " << momentum);
    Vector start = noise(30, 4);
    for (double& v : start) v *= 1e-6;
    CHECK(reached(*backend, automatic(momentum), hump(11), start, 30) < 0.65);
    CHECK(reached(*backend, automatic(momentum), hump(12), start, 30) > 0.999);
  }
}

TEST_CASE("a step into values that are not finite is taken back") {
  const auto backend = make_reference();
  for (const double bad : {kNaN, kInfinity}) {
    for (const double momentum : {0.0, 0.9}) {
      // The lowest point lies near the edge of the ball beyond which there are no values.
      const Function f = [bad](const Vector& x, Vector& g) {
        double value = 0, radius = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double a = 1 + static_cast<double>(i), d = x[i] - 0.099;
          value += a * d * d;
          g[i] = 2 * a * d;
          radius += x[i] * x[i];
        }
        if (radius <= 0.01 * static_cast<double>(x.size())) return value;
        std::fill(g.begin(), g.end(), bad);
        return bad;
      };
      Rig rig(*backend, automatic(momentum), zeros(30));
      HostObjective objective(*backend, f);
      int in_a_row = 0, most = 0;
      for (int i = 0; i < 300; ++i) {
        rig.optimizer->step(objective);
        in_a_row = std::isfinite(objective.trace.back()) ? 0 : in_a_row + 1;
        most = std::max(most, in_a_row);
        REQUIRE(value_at(f, rig.picture()) == objective.lowest);
      }
      INFO("momentum " << momentum << " lowest " << objective.lowest);
      CHECK(most > 0);
      CHECK(most < 20);  // more end a render
      CHECK(objective.lowest < 1e-6);
    }
  }
}

TEST_CASE("a gradient that is not finite beside a finite value is taken back as well") {
  const auto backend = make_reference();
  int call = 0;
  const Function f = [&call](const Vector& x, Vector& g) {
    const double value = bowl(10)(x, g);
    if (++call % 5 == 0) g[0] = kInfinity;
    return value;
  };
  Rig rig(*backend, automatic(), zeros(30));
  HostObjective objective(*backend, f);
  for (int i = 0; i < 100; ++i) rig.optimizer->step(objective);
  CHECK(objective.lowest < 1e-3 * objective.trace[0]);
  CHECK(
      std::all_of(objective.trace.begin(), objective.trace.end(), [](double v) { return std::isfinite(v); }));
}

TEST_CASE("a start that cannot be evaluated and a flat place are left as they are") {
  const auto backend = make_reference();
  const Function nowhere = [](const Vector&, Vector& g) {
    std::fill(g.begin(), g.end(), kNaN);
    return kNaN;
  };
  const Vector start = noise(30, 9);
  for (const double momentum : {0.0, 0.9}) {
    Rig lost(*backend, automatic(momentum), start), flat(*backend, automatic(momentum), Vector(30, 1.0));
    HostObjective no_value(*backend, nowhere), valley(*backend, rosenbrock);
    for (int i = 0; i < 10; ++i) {
      lost.optimizer->step(no_value);
      flat.optimizer->step(valley);
    }
    CHECK(lost.picture() == start);
    CHECK(flat.picture() == Vector(30, 1.0));
  }
}

TEST_CASE("a wrong gradient costs evaluations but not the picture of gradient descent") {
  const auto backend = make_reference();
  Rig rig(*backend, automatic(0.9), zeros(30));
  HostObjective objective(*backend, uphill);
  for (int i = 0; i < 200; ++i) rig.optimizer->step(objective);
  CHECK(value_at(uphill, rig.picture()) == objective.lowest);
  CHECK(objective.lowest <= objective.trace[0]);
}

TEST_CASE("the picture of gradient descent without a rate is the best point ever evaluated") {
  const std::string device = GENERATE("reference", "cpu");
  const auto backend = make_backend({.device = device, .threads = 2});
  const Function rough = [](const Vector& x, Vector& g) {
    double value = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      value += x[i] * x[i] / 20 + std::sin(3 * x[i]);
      g[i] = x[i] / 10 + 3 * std::cos(3 * x[i]);
    }
    return value;
  };
  for (std::uint32_t trial = 0; trial < 16; ++trial) {
    OptimizerOptions options = automatic(trial % 2 == 0 ? 0.8 : 0);
    options.clamp = trial % 4 < 2;
    INFO("trial " << trial);
    Rig rig(*backend, options, noise(30, trial), {{-2, -2, -2}, {2, 2, 2}});
    const Function f = trial % 3 == 0 ? rough : Function(rosenbrock);
    HostObjective objective(*backend, f);
    for (int i = 0; i < 40; ++i) {
      rig.optimizer->step(objective);
      REQUIRE(value_at(f, rig.picture()) == objective.lowest);
    }
  }
}

TEST_CASE("a loss rounded to float32 does not keep gradient descent from going on") {
  const auto backend = make_reference();
  const Function f = [](const Vector& x, Vector& g) {
    return static_cast<double>(static_cast<float>(1000 + bowl(100)(x, g)));
  };
  for (const double momentum : {0.0, 0.9}) {
    Rig rig(*backend, automatic(momentum), zeros(300));
    HostObjective objective(*backend, f);
    for (int i = 0; i < 300; ++i) rig.optimizer->step(objective);
    const double left = value_at(bowl(100), rig.picture());
    INFO("momentum " << momentum << " left " << left);
    CHECK(left < 2e-3);  // one rounding of 1000 is 6e-5
  }
}

TEST_CASE("every number of the state of gradient descent without a rate is restored") {
  const auto backend = make_reference();
  Rig rig(*backend, automatic(0.9), noise(30, 3)), other(*backend, automatic(0.9), zeros(30));
  HostObjective objective(*backend, rosenbrock);
  for (int i = 0; i < 25; ++i) rig.optimizer->step(objective);
  const std::vector<double> state = rig.optimizer->host_state();
  CHECK(state.size() == 18);                                // as in every checkpoint so far
  CHECK(std::count(state.begin(), state.end(), 0.0) <= 4);  // flags and counts of cuts; all others are in use
  other.optimizer->restore_host_state(state);
  CHECK(other.optimizer->host_state() == state);
}

TEST_CASE("numbers that are no state of gradient descent without a rate are refused") {
  const auto backend = make_reference();
  Rig rig(*backend, automatic(), zeros(6));
  std::vector<double> state = rig.optimizer->host_state();
  CHECK_NOTHROW(rig.optimizer->restore_host_state(state));
  for (const auto& [index, bad] :
       {std::pair{0, 0.5}, {0, kNaN}, {1, 2.0}, {2, -1.0}, {2, kNaN}, {2, 1e300}}) {
    std::vector<double> spoiled = state;
    spoiled[static_cast<std::size_t>(index)] = bad;
    INFO(index << " " << bad);
    CHECK_THROWS_AS(rig.optimizer->restore_host_state(spoiled), Error);
  }
  state.pop_back();
  CHECK_THROWS_AS(rig.optimizer->restore_host_state(state), Error);
}
