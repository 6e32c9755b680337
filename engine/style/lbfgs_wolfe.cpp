// L-BFGS with a strong Wolfe line search, as a machine that takes one evaluation at a time: so an iteration
// is an evaluation, and a checkpoint can be taken in the middle of a search.
//
// What follows an evaluation depends on its value. The decisions are made where the numbers are
// (Backend::lbfgs_decide, kernels/lbfgs_search.h); here all that may follow is queued, and done where the
// machine says so (Backend::when). So an iteration is always the same work, which a device can record and
// replay, and the host waits for nothing.
//
// Clamped (options.clamp), each direction is first bent into the box of displayable pixels: d becomes
// P(base + t d) - base, and the search runs along this chord with t <= 1. The box is convex, so every trial
// is displayable, and the search sees a straight line with an exact slope. If the bent direction no longer
// descends, the projected steepest descent, which always does, takes its place.
//
// H0 = 2 gamma, gamma the mean of y.s / y.y over the newest pairs, twice as long as is usual:
// docs/optimisation.md has what that saves.
//
// Preconditioned, H0 = 2 gamma B with gamma of y.s / y.By. The recursion needs the products of y_i, s_i and
// By_i with g and y alone, never y_i itself: the history keeps B(g - g_previous) = Bg - Bg_previous in place
// of y, so each accepted point costs one application of B and no further pass over the history. lbfgs_dots
// gives <row, g>; <row, y> is the difference to what that was at the point before (in double, where nothing
// of float32's digits cancels), put where lbfgs_direction looks for it. B = I is without a preconditioner.
#include <algorithm>
#include <optional>
#include <vector>

#include "engine/core/message.h"
#include "engine/style/optimizer_parts.h"
#include "engine/style/preconditioner.h"
#include "kernels/lbfgs_search.h"

namespace impasto {
namespace {

using Machine = LbfgsMachine;

/// A pair's y.s / y.y is the inverse curvature of the stiffest directions that its step still had. A history
/// knows those; what is left to H0 is flatter, and the line search is there where it is not.
constexpr double kH0Factor = 2;
/// From pair to pair y.s / y.y changes by a factor of two and more; its mean leads to fewer evaluations.
constexpr std::int64_t kH0Pairs = 10;

class LbfgsWolfe final : public Optimizer {
 public:
  explicit LbfgsWolfe(const OptimizerParts& parts)
      : options_(parts.options),
        backend_(parts.backend),
        range_(parts.range),
        x_(parts.find("x")),
        gradient_(parts.find("gradient")),
        previous_gradient_(parts.find("previous_gradient")),
        direction_(parts.find("direction")),
        base_(parts.find("base")),
        history_(parts.find("history")),
        state_(parts.find("state")),
        dots_(parts.find("dots")),
        coefficients_(parts.find("coefficients")),
        machine_(parts.find("machine")),
        minus_one_(slot(parts.find("scalars"), 0)) {
    tensors_ = {{"x", x_},
                {"previous_gradient", previous_gradient_},
                {"direction", direction_},
                {"base", base_},
                {"history", history_},
                {"state", state_}};
    decision_ = {.learning_rate = options_.learning_rate.value_or(1),
                 .elements = static_cast<double>(x_.shape.elements()),
                 .clamped = options_.clamp};
    if (options_.preconditioner == Preconditioner::kPyramid && takes_preconditioner(options_)) {
      const auto levels = PyramidPreconditioner::tensors(x_.shape, x_.dtype);
      std::vector<TensorView> views;
      for (const TensorSpec& level : levels) views.push_back(parts.find(level.name));
      preconditioner_.emplace(backend_, views);
      conditioned_ = parts.find("conditioned");
      previous_conditioned_ = parts.find("previous_conditioned");
      with_previous_ = parts.find("with_previous");
      products_ = parts.find("products");
      tensors_.emplace_back("previous_conditioned", previous_conditioned_);
      decision_.preconditioned = true;
    }
    backend_.fill(minus_one_, -1);
    backend_.fill(slot(machine_, Machine::kShrink), 1);
    if (options_.clamp) backend_.clamp(x_, range_.lower, range_.upper);
    backend_.copy(base_, x_);
  }

  void step(Objective& objective) override {
    backend_.repeat(recording_, [&] { do_step(objective); });
  }

  [[nodiscard]] ConstTensorView picture() const override {
    const std::vector<double> machine = read_doubles(backend_, machine_);
    if (machine[Machine::kPhase] == Machine::kStart || machine[Machine::kBestLength] == 0) return base_;
    move(gradient_, slot(machine_, Machine::kBestLength));  // scratch between two steps
    return gradient_;
  }

  [[nodiscard]] std::vector<double> host_state() const override {
    std::vector<double> state = read_doubles(backend_, machine_);
    state.resize(Machine::kStateSize);
    if (preconditioner_) {
      const std::vector<double> with_previous = read_doubles(backend_, with_previous_);
      state.insert(state.end(), with_previous.begin(), with_previous.end());
    }
    return state;
  }

  void restore_host_state(std::span<const double> state) override {
    const std::size_t all =
        Machine::kStateSize + static_cast<std::size_t>(preconditioner_ ? with_previous_.shape.elements() : 0);
    if (state.size() != all || !is_machine(state)) {
      throw make_error(ErrorCode::kBadInput,
                       "checkpoint: expected {} numbers of a line search, found {} that are none", all,
                       state.size());
    }
    require_lbfgs_state(backend_, state_, history_.shape.h / 2);
    std::vector<double> machine(Machine::kSize);
    std::copy_n(state.begin(), Machine::kStateSize, machine.begin());
    backend_.upload(machine_, std::span<const double>(machine));
    if (preconditioner_) backend_.upload(with_previous_, state.subspan(Machine::kStateSize));
  }

 private:
  [[nodiscard]] static bool is_machine(std::span<const double> s) {
    return is_count(s[Machine::kPhase], Machine::kReturn) && !std::isnan(s[Machine::kValue]) &&
           !std::isnan(s[Machine::kLastDecrease]) && is_count(s[Machine::kSteepest], 1) &&
           s[Machine::kShrink] > 0 && s[Machine::kShrink] <= 1 &&
           WolfeSearch::is_state(s.data() + Machine::kLine);
  }

  void do_step(Objective& objective) {
    objective.evaluate(x_, gradient_);
    objective.write_value(slot(machine_, Machine::kTrialValue));
    backend_.dot(slot(machine_, Machine::kSlope), gradient_, direction_);
    decide(LbfgsDecision::kJudge);
    when(Machine::kAccepts, [&] { accept(); });
    decide(LbfgsDecision::kTakeDirection);
    bend();
    when(Machine::kRestarts, [&] { restart(); });
    decide(LbfgsDecision::kTakeSteepest);
    bend();
    when(Machine::kStops, [&] {
      // No way down from here. With t and d zero the next push is refused.
      backend_.fill(state_, 0);
      backend_.fill(direction_, 0);
      backend_.copy(x_, base_);
    });
    when(Machine::kMoves, [&] { move(x_, slot(state_, LbfgsState::kStep)); });
  }
  void decide(LbfgsDecision decision) { backend_.lbfgs_decide(machine_, state_, dots_, decision, decision_); }
  template <class Work>
  void when(int flag, const Work& work) {
    backend_.when(slot(machine_, flag), work);
  }

  /// out = base + t d
  void move(TensorView out, ConstTensorView t) const {
    backend_.add_scaled(out, base_, t, direction_);
    if (options_.clamp) backend_.clamp(out, range_.lower, range_.upper);
  }

  /// x, with its value and gradient, is the new base. Its pair goes into the spare slot.
  void accept() {
    backend_.copy(base_, x_);
    if (preconditioner_) {
      push_conditioned();
    } else {
      backend_.lbfgs_push(history_, previous_gradient_, state_, direction_, gradient_);
      backend_.lbfgs_dots(dots_, history_, state_, gradient_);
    }
    backend_.lbfgs_direction(
        coefficients_, state_, dots_,
        {.learning_rate = options_.learning_rate.value_or(1), .h0_factor = kH0Factor, .h0_pairs = kH0Pairs});
    backend_.lincomb(direction_, coefficients_, history_, preconditioner_ ? conditioned_ : gradient_);
  }
  void push_conditioned() {
    preconditioner_->apply(conditioned_, gradient_);
    backend_.lbfgs_push(history_, previous_conditioned_, state_, direction_, conditioned_);
    backend_.lbfgs_dots(dots_, history_, state_, gradient_, LbfgsDots::kOfGradient);
    backend_.lbfgs_pair_dots(with_previous_, history_, state_, previous_gradient_);
    backend_.copy(previous_gradient_, gradient_);
    backend_.dot(slot(products_, 0), conditioned_, conditioned_);
    backend_.dot(slot(products_, 1), gradient_, conditioned_);
    backend_.lbfgs_condition(dots_, with_previous_, products_);
  }

  /// Forgets the history and goes down the gradient of the base itself, which always descends, bent into the
  /// box too.
  void restart() {
    backend_.fill(state_, 0);
    backend_.fill(slot(state_, LbfgsState::kCalls), 1);  // at a first call the pair would be refused
    backend_.lbfgs_dots(dots_, history_, state_, previous_gradient_, LbfgsDots::kOfGradient);
    backend_.fill(coefficients_, 0);
    backend_.fill(slot(coefficients_, coefficients_.shape.c - 1), -1);
    backend_.lincomb(direction_, coefficients_, history_, previous_gradient_);
  }

  void bend() {
    if (!options_.clamp) return;
    when(Machine::kBends, [&] {
      move(x_, slot(state_, LbfgsState::kStep));
      backend_.add_scaled(direction_, x_, minus_one_, base_);
      backend_.dot(slot(machine_, Machine::kSlope), previous_gradient_, direction_);
    });
    decide(LbfgsDecision::kTakeBent);
  }

  OptimizerOptions options_;
  Backend& backend_;
  PixelRange range_;
  /// previous_gradient_ is the gradient at the base.
  TensorView x_, gradient_, previous_gradient_, direction_, base_, history_, state_, dots_, coefficients_;
  TensorView machine_, minus_one_;
  std::optional<PyramidPreconditioner> preconditioner_;
  TensorView conditioned_, previous_conditioned_;  ///< B times the gradient, and at the base
  TensorView with_previous_;                       ///< <row of the history, previous_gradient_>
  TensorView products_;
  LbfgsDecisionParameters decision_;
  std::unique_ptr<Recording> recording_;
};

}  // namespace

std::unique_ptr<Optimizer> make_lbfgs_wolfe(const OptimizerParts& parts) {
  return std::make_unique<LbfgsWolfe>(parts);
}

}  // namespace impasto
