#include "engine/selftest/case_lists.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace impasto::op_cases {
namespace {

/// The state with `count` pairs before the spare slot, and nothing yet in the matrices.
std::vector<double> lbfgs_state(std::int64_t slots, std::int64_t count, std::int64_t spare, double calls) {
  std::vector<double> state(static_cast<std::size_t>(LbfgsState::size(slots)));
  state[LbfgsState::kCount] = static_cast<double>(count);
  state[LbfgsState::kSpare] = static_cast<double>(spare);
  state[LbfgsState::kStep] = 0.6;
  state[LbfgsState::kCalls] = calls;
  return state;
}

struct DirectionCase {
  const char* name;
  std::int64_t slots, count, spare;
  double calls;
  bool positive;  ///< y.s of the pair in the spare slot
};

/// State and dots of random pairs y = D s with a positive diagonal D, as a convex function would give them.
/// What belongs to slots not in use is NaN: it must not matter.
Call prepare_direction(OpBench& bench, const DirectionCase& c) {
  constexpr std::int64_t kLength = 50;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const std::int64_t rows = 2 * c.slots;
  std::vector<double> history = make_values(Values::kNormal, {rows, 1, kLength}, bench.seed());
  const std::vector<double> g = make_values(Values::kNormal, {1, 1, kLength}, bench.seed() + 1);
  for (std::int64_t i = 0; i < c.slots; ++i) {
    // 0: the spare slot itself, which holds no pair at the first call.
    const bool used = c.calls > 0 && (c.spare - i + c.slots) % c.slots <= c.count;
    for (std::int64_t k = 0; k < kLength; ++k) {
      double& s = history[at(i * kLength + k)];
      const double sign = i == c.spare && !c.positive ? -1 : 1;
      history[at((c.slots + i) * kLength + k)] = used ? sign * (0.5 + 0.1 * static_cast<double>(k)) * s : nan;
      if (!used) s = nan;
    }
  }
  const auto dot = [&](std::int64_t a, const double* b) {
    double sum = 0;
    for (std::int64_t k = 0; k < kLength; ++k) sum += history[at(a * kLength + k)] * b[k];
    return sum;
  };
  const auto row = [&](std::int64_t r) -> const double* { return history.data() + r * kLength; };
  std::vector<double> state = lbfgs_state(c.slots, c.count, c.spare, c.calls), dots;
  for (std::int64_t i = 0; i < c.slots; ++i) {
    for (std::int64_t j = 0; j < c.slots; ++j) {
      const bool known = i != c.spare && j != c.spare;
      state[at(LbfgsState::kMatrices + i * c.slots + j)] = known ? dot(i, row(c.slots + j)) : 0;
      state[at(LbfgsState::kMatrices + (c.slots + i) * c.slots + j)] =
          known ? dot(c.slots + i, row(c.slots + j)) : 0;
    }
  }
  for (const double* with : {row(c.slots + c.spare), g.data()}) {
    for (std::int64_t r = 0; r < rows; ++r) dots.push_back(dot(r, with));
  }
  double sum = 0, squares = 0;
  for (const double value : g) sum += std::abs(value), squares += value * value;
  dots.push_back(sum);
  dots.push_back(squares);
  // The state of slots not in use is 0 at the start.
  for (double& value : state) value = std::isnan(value) ? 0 : value;

  Backend& device = bench.backend();
  const auto coefficients = bench.output("coefficients", Role::kSlot, {1, 1, rows + 1});
  const auto state_view = bench.in_out("state", Role::kSlot, {1, 1, LbfgsState::size(c.slots)}, state);
  const auto dots_view = bench.input("dots", Role::kSlot, {1, 1, LbfgsState::num_dots(c.slots)}, dots);
  return [=, &device] { device.lbfgs_direction(coefficients, state_view, dots_view, {0.8, 1.5, 3}); };
}

/// A search between two finite ends that tries t = 1, from a base where J = 5 with the slope -2.
std::vector<double> searching_machine(double value, double slope) {
  std::vector<double> machine(LbfgsMachine::kSize);
  machine[LbfgsMachine::kPhase] = LbfgsMachine::kSearch;
  machine[LbfgsMachine::kValue] = 5;
  machine[LbfgsMachine::kShrink] = 0.1;
  const double line[WolfeSearch::kStateSize] = {5, -2, 0.5, 4.5, -1.5, 3, 6, 2, 0.5, 4.5, 1, 1e9, 3, 2};
  std::copy(std::begin(line), std::end(line), machine.begin() + LbfgsMachine::kLine);
  machine[LbfgsMachine::kTrialValue] = value;
  machine[LbfgsMachine::kSlope] = slope;
  return machine;
}

void add_decisions(Cases& cases) {
  struct Judged {
    const char* name;
    double value, slope;
  };
  for (const Judged& judged :
       {Judged{"accepts", 4, -0.5}, {"narrows from above", 5.5, 1}, {"narrows from below", 4.2, -1.9}}) {
    for (const LbfgsDecision after : {LbfgsDecision::kTakeDirection, LbfgsDecision::kTakeSteepest}) {
      for (const bool clamped : {false, true}) {
        const std::string text = std::string(judged.name) +
                                 (after == LbfgsDecision::kTakeDirection ? ", direction" : ", steepest") +
                                 (clamped ? ", clamped" : "");
        cases.push_back(
            {"lbfgs_decide", text, [=](OpBench& bench) -> Call {
               Backend& device = bench.backend();
               const auto machine = bench.in_out("machine", Role::kSlot, {1, 1, LbfgsMachine::kSize},
                                                 searching_machine(judged.value, judged.slope));
               std::vector<double> numbers = lbfgs_state(3, 1, 1, 4);
               numbers[LbfgsState::kSlope] = 0.3;  // no way down: anew from the gradient
               const auto state = bench.in_out("state", Role::kSlot, {1, 1, LbfgsState::size(3)}, numbers);
               const auto dots = bench.input("dots", Role::kSlot, {1, 1, 2}, {7, 3});
               const LbfgsDecisionParameters parameters{0.9, 300, clamped, false};
               return [=, &device] {
                 device.lbfgs_decide(machine, state, dots, LbfgsDecision::kJudge, parameters);
                 device.lbfgs_decide(machine, state, dots, after, parameters);
                 device.lbfgs_decide(machine, state, dots, LbfgsDecision::kTakeBent, parameters);
               };
             }});
      }
    }
  }
  for (const std::int64_t n : {1, 7, 300}) {
    cases.push_back({"weighted_sum", "of " + std::to_string(n), [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto out = bench.output("out", Role::kSlot, {1, 1, 1});
                       // Thirds: their products have more digits than a double.
                       std::vector<double> thirds = make_values(Values::kFeatures, {1, 1, n}, bench.seed());
                       for (double& value : thirds) value /= 3;
                       const auto weights = bench.input("weights", Role::kSlot, {1, 1, n}, thirds);
                       const auto values = bench.input("values", Role::kSlot, {1, 1, n}, thirds);
                       return [=, &device] { device.weighted_sum(out, weights, values); };
                     }});
  }
}

void add_conditioned(Cases& cases) {
  for (const std::int64_t slots : {2, 41}) {
    const std::string text = "slots " + std::to_string(slots);
    const std::vector<double> state = lbfgs_state(slots, slots - 1, slots / 2, 3);
    const Shape state_shape{1, 1, LbfgsState::size(slots)}, rows_shape{1, 1, 2 * slots};
    for (const std::int64_t n : {3, 1001}) {
      cases.push_back(
          {"lbfgs_pair_dots", text + " length " + std::to_string(n), [=](OpBench& bench) -> Call {
             Backend& device = bench.backend();
             const auto with = bench.in_out("with_previous", Role::kSlot, rows_shape, Values::kNormal);
             const auto history = bench.input("history", Role::kReal, {2 * slots, 1, n}, Values::kFeatures);
             const auto s = bench.input("state", Role::kSlot, state_shape, state);
             const auto v = bench.input("v", Role::kReal, {1, 1, n}, Values::kFeatures);
             return [=, &device] { device.lbfgs_pair_dots(with, history, s, v); };
           }});
    }
    cases.push_back({"lbfgs_condition", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const Shape dots_shape{1, 1, LbfgsState::num_dots(slots)};
                       std::vector<double> numbers = make_values(Values::kNormal, dots_shape, bench.seed());
                       numbers.back() = 4;  // a square
                       const auto dots = bench.in_out("dots", Role::kSlot, dots_shape, numbers);
                       const auto with =
                           bench.in_out("with_previous", Role::kSlot, rows_shape, Values::kNormal);
                       const auto products = bench.input("products", Role::kSlot, {1, 1, 2}, {9, 5});
                       return [=, &device] { device.lbfgs_condition(dots, with, products); };
                     }});
  }
}

}  // namespace

void add_lbfgs(Cases& cases) {
  add_decisions(cases);
  add_conditioned(cases);
  for (const std::int64_t slots : {2, 5, 11}) {
    for (const std::int64_t n : {3, 1001, 60000}) {
      const std::int64_t spare = slots / 2;
      const std::string text = "slots " + std::to_string(slots) + " length " + std::to_string(n);
      const Shape all{2 * slots, 1, n}, one{1, n / 3, 3};
      const std::vector<double> state = lbfgs_state(slots, slots - 1, spare, 3);  // all slots in use
      const Shape state_shape{1, 1, LbfgsState::size(slots)};
      cases.push_back(
          {"lbfgs_push", text, [=](OpBench& bench) -> Call {
             Backend& device = bench.backend();
             const auto history = bench.in_out("history", Role::kReal, all, Values::kNormal);
             const auto previous = bench.in_out("g_previous", Role::kReal, {1, 1, n}, Values::kNormal);
             const auto s = bench.input("state", Role::kSlot, state_shape, state);
             const auto d = bench.input("d", Role::kReal, {1, 1, n}, Values::kNormal);
             const auto g = bench.input("g", Role::kReal, {1, 1, n}, Values::kNormal);
             return [=, &device] { device.lbfgs_push(history, previous, s, d, g); };
           }});
      for (const LbfgsDots of : {LbfgsDots::kOfGradient, LbfgsDots::kOfPairAndGradient}) {
        cases.push_back({"lbfgs_dots", text + (of == LbfgsDots::kOfGradient ? "" : ", pair"),
                         [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const Shape dots_shape{1, 1, LbfgsState::num_dots(slots)};
                           const auto dots =
                               of == LbfgsDots::kOfGradient
                                   ? bench.in_out("dots", Role::kSlot, dots_shape, Values::kNormal)
                                   : bench.output("dots", Role::kSlot, dots_shape);
                           const auto history = bench.input("history", Role::kReal, all, Values::kFeatures);
                           const auto s = bench.input("state", Role::kSlot, state_shape, state);
                           const auto g = bench.input("g", Role::kReal, n % 3 == 0 ? one : Shape{1, 1, n},
                                                      Values::kFeatures);
                           return [=, &device] { device.lbfgs_dots(dots, history, s, g, of); };
                         }});
      }
    }
  }
  for (const DirectionCase& c : {DirectionCase{"first call", 5, 0, 0, 0, true},
                                 {"second call", 5, 0, 0, 1, true},
                                 {"second call, rejected", 5, 0, 0, 1, false},
                                 {"growing", 5, 2, 2, 3, true},
                                 {"full, wraps round", 5, 4, 4, 9, true},
                                 {"full, spare in the middle", 5, 4, 2, 12, true},
                                 {"full, rejected", 5, 4, 1, 12, false},
                                 {"history of one", 2, 1, 1, 5, true}}) {
    cases.push_back({"lbfgs_direction", c.name, [=](OpBench& bench) { return prepare_direction(bench, c); }});
  }
}

}  // namespace impasto::op_cases
