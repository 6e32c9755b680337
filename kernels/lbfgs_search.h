#pragma once
// What L-BFGS with the Wolfe line search decides after an evaluation: which of the steps that the optimiser
// has queued are to be done. A machine of doubles that lie in device memory: on a GPU a kernel of one thread
// moves it, the host waits for nothing. engine/style/lbfgs_wolfe.cpp has the steps.
#include "kernels/line_search.h"
#include "kernels/ops.h"

namespace impasto {

/// Where things lie in the machine's doubles (LbfgsMachine::kSize of them); zero at the start, but kShrink 1.
struct LbfgsMachine {
  // Phases.
  static constexpr int kStart = 0;   ///< x is the base, not evaluated or without a way down
  static constexpr int kSearch = 1;  ///< x is the search's trial
  static constexpr int kReturn = 2;  ///< x is the best point of a search that ended elsewhere
  // What a run goes on with.
  static constexpr int kPhase = 0;
  static constexpr int kValue = 1;         ///< J at the base
  static constexpr int kLastDecrease = 2;  ///< of J, by the last accepted step
  static constexpr int kSteepest = 3;      ///< 1: the direction is the negative gradient
  static constexpr int kShrink =
      4;                           ///< of steepest descent's first length, after searches that found nothing
  static constexpr int kLine = 5;  ///< WolfeSearch's state
  static constexpr int kStateSize = kLine + static_cast<int>(WolfeSearch::kStateSize);
  static constexpr int kBestLength = kLine + static_cast<int>(WolfeSearch::kBestLength);
  // What a decision reads.
  static constexpr int kTrialValue = kStateSize;  ///< J at x
  static constexpr int kSlope = kStateSize + 1;   ///< g.d, at x or, of a bent direction, at the base
  // What it says: 1, the steps that read this are done; 0, they are not.
  static constexpr int kAccepts = kStateSize + 2;   ///< x is the new base, and gets a direction
  static constexpr int kRestarts = kStateSize + 3;  ///< the direction is the negative gradient of the base
  static constexpr int kBends = kStateSize + 4;     ///< the new direction is bent into the box
  static constexpr int kStops = kStateSize + 5;     ///< no way down from the base
  static constexpr int kMoves = kStateSize + 6;     ///< x = base + t d, t in LbfgsState::kStep
  static constexpr int kSize = kStateSize + 7;
};

namespace lbfgs_search {

/// The first move along the gradient, whose scale says nothing of lengths: so many grey levels (0..255) in
/// the mean over the picture.
constexpr double kFirstMove = 1;
constexpr double kShrink = 0.1, kLeastShrink = 1e-12;

/// One decision: the doubles that it reads and writes.
struct Decider {
  double* machine;
  double* state;       ///< LbfgsState
  const double* sums;  ///< sum |g| and g.g, where d = -Bg near enough sum |Bg| and g.Bg
  const LbfgsDecisionParameters& p;

  using M = LbfgsMachine;

  IMPASTO_ANYWHERE void say(int flag) { machine[flag] = 1; }
  IMPASTO_ANYWHERE bool said(int flag) const { return machine[flag] != 0; }

  IMPASTO_ANYWHERE void move(double t) {
    state[LbfgsState::kStep] = t;
    say(M::kMoves);
  }

  /// A first length for d = -g or -Bg: a move of kFirstMove, or, where the last iteration gained little, the
  /// length that would gain twice as much on a parabola (Nocedal, Wright, eq. 3.60 and below).
  [[nodiscard]] IMPASTO_ANYWHERE double steepest_length() const {
    const double length = kFirstMove * p.elements / sums[0];
    const double decrease = machine[M::kLastDecrease];
    const double gain = decrease > 0 ? 4 * decrease / sums[1] : HUGE_VAL;
    return p.learning_rate * machine[M::kShrink] * line_search::lesser(length, gain);
  }

  IMPASTO_ANYWHERE void accept(double value) {
    const bool first = machine[M::kPhase] == M::kStart;
    machine[M::kLastDecrease] = first ? 0 : machine[M::kValue] - value;
    if (!first) machine[M::kShrink] = 1;
    machine[M::kValue] = value;
    say(M::kAccepts);
  }
  /// Where steepest descent was tried already, a shorter way.
  IMPASTO_ANYWHERE void restart() {
    double& shrink = machine[M::kShrink];
    if (said(M::kSteepest)) shrink = shrink > kLeastShrink ? shrink * lbfgs_search::kShrink : 1;
    machine[M::kSteepest] = 1;
    say(M::kRestarts);
  }

  IMPASTO_ANYWHERE void judge() {
    for (int flag = M::kAccepts; flag < M::kSize; ++flag) machine[flag] = 0;
    const double value = machine[M::kTrialValue];
    switch (static_cast<int>(machine[M::kPhase])) {
      case M::kStart:
        if (line_search::is_finite(value)) accept(value);
        return;
      case M::kSearch: return judge_trial(value);
      default: return value <= machine[M::kValue] ? accept(value) : restart();
    }
  }
  IMPASTO_ANYWHERE void judge_trial(double value) {
    WolfeSearch search;
    search.restore(machine + M::kLine);
    const WolfeSearch::Verdict verdict = search.judge(value, machine[M::kSlope]);
    search.save(machine + M::kLine);
    switch (verdict) {
      case WolfeSearch::Verdict::kTry: return move(search.trial());
      case WolfeSearch::Verdict::kAccept: return accept(value);
      case WolfeSearch::Verdict::kReturn: machine[M::kPhase] = M::kReturn; return move(search.best_length());
      case WolfeSearch::Verdict::kFail: return restart();
    }
  }

  IMPASTO_ANYWHERE void take_direction() {
    if (!said(M::kAccepts)) return;
    const bool no_pair = state[LbfgsState::kCount] == 0;
    machine[M::kSteepest] = no_pair && !p.preconditioned;  // -Bg is not steepest: after it restart() tries -g
    aim(state[LbfgsState::kSlope], no_pair ? steepest_length() : p.learning_rate);
  }
  IMPASTO_ANYWHERE void take_steepest() {
    if (!said(M::kRestarts)) return;
    aim(-sums[1], steepest_length());
  }
  /// A direction of this slope, to go along from this length on.
  IMPASTO_ANYWHERE void aim(double slope, double length) {
    if (p.clamped && slope < 0) {
      state[LbfgsState::kStep] = length;
      return say(M::kBends);
    }
    begin(slope, length, HUGE_VAL);
  }
  IMPASTO_ANYWHERE void take_bent() {
    if (!said(M::kBends)) return;
    machine[M::kBends] = 0;
    begin(machine[M::kSlope], 1, 1);
  }
  IMPASTO_ANYWHERE void begin(double slope, double length, double longest) {
    if (slope < 0 && line_search::is_finite(slope)) {
      WolfeSearch search;
      search.begin(machine[M::kValue], slope, length, longest);
      search.save(machine + M::kLine);
      machine[M::kPhase] = M::kSearch;
      return move(length);
    }
    if (!said(M::kSteepest)) return restart();
    machine[M::kPhase] = M::kStart;
    say(M::kStops);
  }
};

}  // namespace lbfgs_search

/// lbfgs_decide of kernels/ops.h.
IMPASTO_ANYWHERE void lbfgs_decide(double* machine, double* state, const double* sums, LbfgsDecision decision,
                                   const LbfgsDecisionParameters& parameters) {
  lbfgs_search::Decider decider{machine, state, sums, parameters};
  switch (decision) {
    case LbfgsDecision::kJudge: return decider.judge();
    case LbfgsDecision::kTakeDirection: return decider.take_direction();
    case LbfgsDecision::kTakeSteepest: return decider.take_steepest();
    case LbfgsDecision::kTakeBent: return decider.take_bent();
  }
}

}  // namespace impasto
