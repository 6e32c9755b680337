// Gradient descent that finds the length of its steps itself, as a machine that takes one evaluation at a
// time: so an iteration is an evaluation, and a checkpoint can be taken between any two.
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
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/core/message.h"
#include "engine/style/optimizer_parts.h"

namespace impasto {
namespace {

/// Root mean square over the picture's values, in grey levels (0..255): of the first move, whose length the
/// gradient alone does not tell, and the most that any step along the gradient may be.
constexpr double kFirstMove = 1, kLongestMove = 64;
constexpr std::size_t kMemory = 10;
constexpr double kDecrease = 1e-4;  // as c1 of a Wolfe search
/// The first move may raise the loss by this share. A flat picture lies at the kink of an L1 total variation:
/// along the gradient the loss rises there however short the step, and falls behind that.
constexpr double kFirstRise = 0.1;
constexpr double kRounding = 1e-7;  // of a loss made of float32 sums, relative
constexpr double kCut = 0.25, kGrowth = 4;
constexpr double kMostCuts = 12;
/// The short length in parts of the long one, at least: where moves are so small that y is mostly rounding,
/// the short one shrinks without end.
constexpr double kLeastShort = 0.01;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class GradientDescentAuto final : public Optimizer {
 public:
  explicit GradientDescentAuto(const OptimizerParts& parts)
      : backend_(parts.backend),
        range_(parts.range),
        clamp_(parts.options.clamp),
        momentum_(parts.options.momentum),
        x_(parts.find("x")),
        gradient_(parts.find("gradient")),
        base_(parts.find("base")),
        base_gradient_(parts.find("base_gradient")),
        best_(parts.find("best")),
        velocity_(parts.find("velocity")),
        dots_(parts.find("dots")),
        minus_one_(slot(parts.find("scalars"), 0)),
        factor_(slot(parts.find("scalars"), 1)) {
    tensors_ = {{"x", x_}, {"base", base_}, {"base_gradient", base_gradient_}, {"best", best_}};
    if (momentum_ > 0) tensors_.emplace_back("velocity", velocity_);
    backend_.fill(minus_one_, -1);
    if (clamp_) backend_.clamp(x_, range_.lower, range_.upper);
    backend_.copy(base_, x_);
    backend_.copy(best_, x_);
    state_.fill(0);
    state_[kBest] = kInfinity;
  }

  void step(Objective& objective) override {
    objective.evaluate(x_, gradient_);
    const double value = objective.value();
    backend_.dot(slot(dots_, kGg), gradient_, gradient_);
    const double gg = read(slot(dots_, kGg));
    const bool finite = std::isfinite(value) && std::isfinite(gg);
    if (finite && value < state_[kBest]) {
      state_[kBest] = value;
      backend_.copy(best_, x_);
    }
    if (state_[kStarted] == 0) {
      if (finite) begin(value, gg);
    } else if (finite && value <= highest_allowed()) {
      accept(value, gg);
    } else {
      take_back();
    }
  }

  [[nodiscard]] ConstTensorView picture() const override { return best_; }

  [[nodiscard]] std::vector<double> host_state() const override { return {state_.begin(), state_.end()}; }

  void restore_host_state(std::span<const double> state) override {
    if (state.size() != kStateSize || !is_state(state)) {
      throw make_error(ErrorCode::kBadInput,
                       "checkpoint: expected {} numbers of gradient descent, found {} that are none",
                       std::size_t{kStateSize}, state.size());
    }
    std::copy(state.begin(), state.end(), state_.begin());
  }

 private:
  enum State : std::size_t {
    kStarted,  ///< 0: x has yet to be evaluated as the first base
    kPushed,   ///< 1: the trial has momentum
    kCount,    ///< bases accepted since the start
    kCuts,     ///< of t, since the last base
    kShrink,   ///< of the first move, in cuts, after starts that led nowhere
    kLength,   ///< t
    kSlope,    ///< g.(x - b)
    kBest,     ///< lowest value seen
    kWindow,   ///< values of the last kMemory bases; base number k lies at k % kMemory
    kStateSize = kWindow + kMemory
  };
  /// Slopes and values may be anything that a loss and its gradient can lead to.
  [[nodiscard]] static bool is_state(std::span<const double> state) {
    const auto values = state.subspan(kBest);  // and the window's
    return is_count(state[kStarted], 1) && is_count(state[kPushed], 1) && is_count(state[kCount]) &&
           state[kCount] >= state[kStarted] && is_count(state[kCuts], kMostCuts) &&
           is_count(state[kShrink], kMostCuts) && state[kLength] >= 0 &&
           std::none_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
  }

  enum Dot : std::int64_t { kGg, kSs, kSy, kYy, kGs, kNumDots };

  double read(ConstTensorView value) {
    double number = 0;
    backend_.download(std::span<double>(&number, 1), value);
    return number;
  }

  [[nodiscard]] bool is_first_move() const {
    return state_[kCount] == 1 && state_[kCuts] == 0 && state_[kShrink] == 0;
  }

  [[nodiscard]] double highest_allowed() const {
    const auto known = static_cast<std::ptrdiff_t>(std::min<double>(state_[kCount], kMemory));
    const double highest = *std::max_element(state_.begin() + kWindow, state_.begin() + kWindow + known);
    if (is_first_move()) return highest + kFirstRise * std::abs(highest);
    const double demanded = kDecrease * state_[kSlope];
    return -demanded <= kRounding * std::abs(highest) ? highest : highest + demanded;
  }

  void remember(double value) {
    state_[kWindow + static_cast<std::size_t>(state_[kCount]) % kMemory] = value;
    state_[kCount] += 1;
    state_[kCuts] = 0;
  }

  /// The length that moves the picture by so many grey levels.
  [[nodiscard]] double length_of(double move, double gg) const {
    return gg > 0 ? move * std::sqrt(static_cast<double>(x_.shape.elements()) / gg) : 0;
  }

  /// x is the first base.
  void begin(double value, double gg) {
    state_[kStarted] = 1;
    state_[kCount] = 0;
    remember(value);
    backend_.copy(base_, x_);
    backend_.copy(base_gradient_, gradient_);
    state_[kLength] = length_of(kFirstMove, gg) * std::pow(kCut, state_[kShrink]);
    state_[kPushed] = 0;
    place();
  }

  /// x, with its value and gradient, is the new base.
  void accept(double value, double gg) {
    // base becomes -s and its gradient -y; the signs cancel.
    backend_.add_scaled(base_, base_, minus_one_, x_);
    backend_.add_scaled(base_gradient_, base_gradient_, minus_one_, gradient_);
    backend_.dot(slot(dots_, kSs), base_, base_);
    backend_.dot(slot(dots_, kSy), base_, base_gradient_);
    backend_.dot(slot(dots_, kYy), base_gradient_, base_gradient_);
    if (momentum_ > 0) backend_.copy(velocity_, base_);
    backend_.copy(base_, x_);
    backend_.copy(base_gradient_, gradient_);
    std::array<double, kNumDots> dots{};
    backend_.download(std::span<double>(dots), dots_);
    choose_length(dots[kSs], dots[kSy], dots[kYy], gg);
    remember(value);
    state_[kShrink] = 0;
    state_[kPushed] = momentum_ > 0 ? 1 : 0;
    place();
  }

  void choose_length(double ss, double sy, double yy, double gg) {
    const double shortest = std::max(sy / yy, kLeastShort * ss / sy);
    const bool is_long = momentum_ == 0 && static_cast<std::int64_t>(state_[kCount]) % 2 == 1;
    double length = is_long ? ss / sy : shortest;
    // Along a move without curvature, or with negative curvature, longer steps cost nothing.
    if (!(sy > 0) || !std::isfinite(length)) length = kGrowth * state_[kLength];
    state_[kLength] = std::min(length, length_of(kLongestMove, gg));
  }

  void take_back() {
    if (state_[kPushed] != 0) {
      state_[kPushed] = 0;
    } else if (state_[kCuts] < kMostCuts) {
      state_[kCuts] += 1;
      state_[kLength] *= kCut;
    } else {  // No way down from here: again from the best point, with a smaller first move.
      state_[kStarted] = 0;
      state_[kShrink] = state_[kShrink] < kMostCuts ? state_[kShrink] + 1 : 0;
      backend_.copy(x_, best_);
      return;
    }
    place();
  }

  /// Moves x to the trial. A momentum that leads uphill is left out.
  void place() {
    move();
    if (state_[kPushed] != 0 && !(state_[kSlope] < 0)) {
      state_[kPushed] = 0;
      move();
    }
  }
  void move() {
    backend_.fill(factor_, -state_[kLength]);
    backend_.add_scaled(x_, base_, factor_, base_gradient_);
    if (state_[kPushed] != 0) {
      backend_.fill(factor_, -momentum_);  // velocity holds -s
      backend_.add_scaled(x_, x_, factor_, velocity_);
    }
    if (clamp_) backend_.clamp(x_, range_.lower, range_.upper);
    backend_.add_scaled(gradient_, x_, minus_one_, base_);  // scratch until the next evaluation
    backend_.dot(slot(dots_, kGs), gradient_, base_gradient_);
    state_[kSlope] = read(slot(dots_, kGs));
  }

  Backend& backend_;
  PixelRange range_;
  bool clamp_;
  double momentum_;
  TensorView x_, gradient_, base_, base_gradient_, best_, velocity_, dots_, minus_one_, factor_;
  std::array<double, kStateSize> state_{};
};

}  // namespace

std::unique_ptr<Optimizer> make_gradient_descent_auto(const OptimizerParts& parts) {
  return std::make_unique<GradientDescentAuto>(parts);
}

}  // namespace impasto
