#pragma once
// What gradient descent that finds the length of its steps decides after an evaluation: which of the steps
// that the optimiser has queued are to be done. A machine of doubles in device memory, as that of
// kernels/lbfgs_search.h. engine/style/gradient_descent_auto.cpp has the steps.
//
// The trial is x = P(b - t g + mu s): b the base (the point accepted last), g its gradient, s the move that
// led to b, mu the momentum, P the projection onto displayable pixels (with clamp; else x itself).
//   - The first t moves the picture by kFirstMove. Then t is one of the two lengths of Barzilai and Borwein
//     (1988), with y the change of the gradient along s: long = s.s / s.y, short = s.y / y.y. Without
//     momentum they take turns; with momentum t is the short one, as the momentum makes the moves long.
//   - A trial is accepted if J(x) <= max(J of the last kMemory bases) + kDecrease g.(x - b): the non-monotone
//     rule of Grippo, Lampariello and Lucidi (1986), with these steps by Raydan (1997), projected by Birgin,
//     Martinez and Raydan (2000); the first move also if J rises by kFirstRise. Else, or where J is not
//     finite, it is taken back: tried again without momentum, then with t cut to a quarter, and after
//     kMostCuts cuts from the best point of all.
#include "kernels/line_search.h"
#include "kernels/ops.h"

namespace impasto {

/// Where things lie in the machine's doubles (DescentMachine::kSize of them); zero at the start, but kBest
/// infinite.
struct DescentMachine {
  static constexpr int kMemory = 10, kMostCuts = 12;
  // What a run goes on with.
  static constexpr int kStarted = 0;  ///< 0: x has yet to be evaluated as the first base
  static constexpr int kPushed = 1;   ///< 1: the trial has momentum
  static constexpr int kCount = 2;    ///< bases accepted since the start
  static constexpr int kCuts = 3;     ///< of t, since the last base
  static constexpr int kShrink = 4;   ///< of the first move, in cuts, after starts that led nowhere
  static constexpr int kLength = 5;   ///< t
  static constexpr int kSlope = 6;    ///< g.(x - b); a decision reads it
  static constexpr int kBest = 7;     ///< lowest value seen
  static constexpr int kWindow = 8;   ///< values of the last bases; base number k lies at k % kMemory
  static constexpr int kStateSize = kWindow + kMemory;
  // What else a decision reads, and leaves for the steps.
  static constexpr int kTrialValue = kStateSize;  ///< J at x
  static constexpr int kFactor = kStateSize + 1;  ///< -t
  // What it says: 1, the steps that read this are done; 0, they are not.
  static constexpr int kImproves = kStateSize + 2;  ///< x is the best point so far
  static constexpr int kAccepts = kStateSize + 3;   ///< x is the new base
  static constexpr int kRestarts = kStateSize + 4;  ///< x = the best point
  static constexpr int kMoves = kStateSize + 5;     ///< x = P(b - t g [+ mu s])
  static constexpr int kPushes = kStateSize + 6;    ///< with mu s
  static constexpr int kSize = kStateSize + 7;
  // The dots beside it: of the gradient at x, and of s and y of the move that led to a new base.
  static constexpr int kGg = 0, kSs = 1, kSy = 2, kYy = 3, kNumDots = 4;
};

namespace descent_search {

/// Root mean square over the picture's values, in grey levels (0..255): of the first move, whose length the
/// gradient alone does not tell, and the most that any step along the gradient may be.
constexpr double kFirstMove = 1, kLongestMove = 64;
/// The first move may raise the loss by this share. A flat picture lies at the kink of an L1 total variation:
/// along the gradient the loss rises there however short the step, and falls behind that.
constexpr double kFirstRise = 0.1;
constexpr double kCut = 0.25, kGrowth = 4;
/// The short length in parts of the long one, at least: where moves are so small that y is mostly rounding,
/// the short one shrinks without end.
constexpr double kLeastShort = 0.01;

/// One decision: the doubles that it reads and writes.
struct Decider {
  double* machine;
  const double* dots;
  const DescentDecisionParameters& p;

  using M = DescentMachine;

  IMPASTO_ANYWHERE void say(int flag) { machine[flag] = 1; }
  IMPASTO_ANYWHERE bool said(int flag) const { return machine[flag] != 0; }

  IMPASTO_ANYWHERE void judge() {
    for (int flag = M::kImproves; flag < M::kSize; ++flag) machine[flag] = 0;
    const double value = machine[M::kTrialValue];
    const bool finite = line_search::is_finite(value) && line_search::is_finite(dots[M::kGg]);
    if (finite && value < machine[M::kBest]) {
      machine[M::kBest] = value;
      say(M::kImproves);
    }
    const bool started = machine[M::kStarted] != 0;
    if (finite && (!started || value <= highest_allowed())) {
      say(M::kAccepts);
    } else if (started) {
      take_back();
    }
  }
  [[nodiscard]] IMPASTO_ANYWHERE double highest_allowed() const {
    const double* const window = machine + M::kWindow;
    double highest = window[0];
    for (int i = 1; i < M::kMemory && i < machine[M::kCount]; ++i) {
      highest = line_search::greater(highest, window[i]);
    }
    const bool is_first_move = machine[M::kCount] == 1 && machine[M::kCuts] == 0 && machine[M::kShrink] == 0;
    if (is_first_move) return highest + kFirstRise * fabs(highest);
    const double demanded = line_search::kDecrease * machine[M::kSlope];
    return -demanded <= line_search::kRounding * fabs(highest) ? highest : highest + demanded;
  }
  IMPASTO_ANYWHERE void take_back() {
    double& shrink = machine[M::kShrink];
    if (said(M::kPushed)) {
      machine[M::kPushed] = 0;
    } else if (machine[M::kCuts] < M::kMostCuts) {
      machine[M::kCuts] += 1;
      machine[M::kLength] *= kCut;
    } else {  // No way down from here: again from the best point, with a smaller first move.
      machine[M::kStarted] = 0;
      shrink = shrink < M::kMostCuts ? shrink + 1 : 0;
      return say(M::kRestarts);
    }
    move();
  }
  IMPASTO_ANYWHERE void move() {
    machine[M::kFactor] = -machine[M::kLength];
    machine[M::kPushes] = machine[M::kPushed];
    say(M::kMoves);
  }

  IMPASTO_ANYWHERE void take_length() {
    if (!said(M::kAccepts)) return;
    const bool first = machine[M::kStarted] == 0;
    machine[M::kLength] = first ? first_length() : next_length();
    machine[M::kPushed] = !first && p.has_momentum;
    if (first) {
      machine[M::kStarted] = 1;
      machine[M::kCount] = 0;
    } else {
      machine[M::kShrink] = 0;
    }
    machine[M::kWindow + static_cast<std::int64_t>(machine[M::kCount]) % M::kMemory] =
        machine[M::kTrialValue];
    machine[M::kCount] += 1;
    machine[M::kCuts] = 0;
    move();
  }
  /// The length that moves the picture by so many grey levels.
  [[nodiscard]] IMPASTO_ANYWHERE double length_of(double grey_levels) const {
    return dots[M::kGg] > 0 ? grey_levels * sqrt(p.elements / dots[M::kGg]) : 0;
  }
  [[nodiscard]] IMPASTO_ANYWHERE double first_length() const {
    double factor = 1;  // powers of 1/4 are exact
    for (int i = 0; i < machine[M::kShrink]; ++i) factor *= kCut;
    return length_of(kFirstMove) * factor;
  }
  [[nodiscard]] IMPASTO_ANYWHERE double next_length() const {
    const double ss = dots[M::kSs], sy = dots[M::kSy], yy = dots[M::kYy];
    const bool is_long = !p.has_momentum && static_cast<std::int64_t>(machine[M::kCount]) % 2 == 1;
    double length = is_long ? ss / sy : line_search::greater(sy / yy, kLeastShort * ss / sy);
    // Along a move without curvature, or with negative curvature, longer steps cost nothing.
    if (!(sy > 0) || !line_search::is_finite(length)) length = kGrowth * machine[M::kLength];
    return line_search::lesser(length, length_of(kLongestMove));
  }

  /// A momentum that leads uphill is left out, and x moved once more.
  IMPASTO_ANYWHERE void take_slope() {
    if (!said(M::kMoves)) return;
    const bool uphill = said(M::kPushed) && !(machine[M::kSlope] < 0);
    machine[M::kMoves] = uphill;
    if (uphill) machine[M::kPushed] = 0;
  }
};

}  // namespace descent_search

/// descent_decide of kernels/ops.h.
IMPASTO_ANYWHERE void descent_decide(double* machine, const double* dots, DescentDecision decision,
                                     const DescentDecisionParameters& parameters) {
  descent_search::Decider decider{machine, dots, parameters};
  switch (decision) {
    case DescentDecision::kJudge: return decider.judge();
    case DescentDecision::kTakeLength: return decider.take_length();
    case DescentDecision::kTakeSlope: return decider.take_slope();
  }
}

}  // namespace impasto
