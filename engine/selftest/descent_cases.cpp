#include "engine/selftest/case_lists.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace impasto::op_cases {
namespace {

/// What was evaluated from a base in the middle of a run, of which no value of the last ten bases is above 5.
struct Judged {
  const char* name;
  double value;                               ///< J at x
  double gg = 3, ss = 2, sy = 0.5, yy = 0.7;  ///< of the gradient, and of the last move
  double slope = -1;                          ///< g.(x - b) of the next trial, as its momentum leads
  double started = 1, pushed = 1, count = 13, cuts = 1, shrink = 2;
};

std::vector<double> machine_of(const Judged& judged) {
  using M = DescentMachine;
  std::vector<double> machine(M::kSize, 1);  // flags of the iteration before
  machine[M::kStarted] = judged.started;
  machine[M::kPushed] = judged.pushed;
  machine[M::kCount] = judged.count;
  machine[M::kCuts] = judged.cuts;
  machine[M::kShrink] = judged.shrink;
  machine[M::kLength] = 0.3;
  machine[M::kSlope] = -0.2;
  machine[M::kBest] = 4.5;
  const double window[M::kMemory] = {4.6, 4.7, 4.5, 5, 4.9, 4.8, 4.7, 4.6, 4.7, 4.8};
  std::copy(std::begin(window), std::end(window), machine.begin() + M::kWindow);
  machine[M::kTrialValue] = judged.value;
  return machine;
}

}  // namespace

void add_descent(Cases& cases) {
  for (const Judged& judged :
       {Judged{.name = "the best", .value = 4.4}, Judged{.name = "a new base", .value = 4.9, .count = 14},
        Judged{.name = "a new base, steep", .value = 4.9, .yy = 9e9},
        Judged{.name = "a new base of no curvature", .value = 4.9, .sy = -1},
        Judged{.name = "a new base of no gradient", .value = 4.9, .gg = 0},
        Judged{.name = "momentum uphill", .value = 4.9, .slope = 1},
        Judged{.name = "the first base", .value = 9, .started = 0, .count = 0},
        Judged{.name = "the first move", .value = 5, .count = 1, .cuts = 0, .shrink = 0},
        Judged{.name = "too high, pushed", .value = 5}, Judged{.name = "too high", .value = 5, .pushed = 0},
        Judged{.name = "too high, the last cut", .value = 5, .pushed = 0, .cuts = 12},
        Judged{.name = "too high, the last start", .value = 5, .pushed = 0, .cuts = 12, .shrink = 12},
        Judged{.name = "no gradient", .value = 4, .gg = std::numeric_limits<double>::quiet_NaN()}}) {
    for (const bool has_momentum : {false, true}) {
      cases.push_back(
          {"descent_decide", std::string(judged.name) + (has_momentum ? ", momentum" : ""),
           [=](OpBench& bench) -> Call {
             using M = DescentMachine;
             Backend& device = bench.backend();
             const auto machine = bench.in_out("machine", Role::kSlot, {1, 1, M::kSize}, machine_of(judged));
             const auto dots = bench.input("dots", Role::kSlot, {1, 1, M::kNumDots},
                                           {judged.gg, judged.ss, judged.sy, judged.yy});
             const TensorView slope{machine.as<double>() + M::kSlope, {1, 1, 1}, machine.dtype};
             const DescentDecisionParameters parameters{300, has_momentum};
             return [=, &device] {
               device.descent_decide(machine, dots, DescentDecision::kJudge, parameters);
               device.descent_decide(machine, dots, DescentDecision::kTakeLength, parameters);
               device.fill(slope, judged.slope);
               device.descent_decide(machine, dots, DescentDecision::kTakeSlope, parameters);
             };
           }});
    }
  }
}

}  // namespace impasto::op_cases
