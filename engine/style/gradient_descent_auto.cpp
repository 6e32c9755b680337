// Gradient descent that finds the length of its steps itself, as a machine that takes one evaluation at a
// time: so an iteration is an evaluation, and a checkpoint can be taken between any two.
//
// The rules are in kernels/descent_search.h, and are gone by where the numbers are (Backend::descent_decide);
// here all that may follow an evaluation is queued, and done where the machine says so (Backend::when).
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/message.h"
#include "engine/style/optimizer_parts.h"
#include "kernels/descent_search.h"

namespace impasto {
namespace {

using Machine = DescentMachine;

class GradientDescentAuto final : public Optimizer {
 public:
  explicit GradientDescentAuto(const OptimizerParts& parts)
      : backend_(parts.backend),
        range_(parts.range),
        clamp_(parts.options.clamp),
        has_momentum_(parts.options.momentum > 0),
        x_(parts.find("x")),
        gradient_(parts.find("gradient")),
        base_(parts.find("base")),
        base_gradient_(parts.find("base_gradient")),
        best_(parts.find("best")),
        velocity_(parts.find("velocity")),
        dots_(parts.find("dots")),
        machine_(parts.find("machine")),
        minus_one_(slot(parts.find("scalars"), 0)),
        minus_momentum_(slot(parts.find("scalars"), 1)) {
    tensors_ = {{"x", x_}, {"base", base_}, {"base_gradient", base_gradient_}, {"best", best_}};
    if (has_momentum_) tensors_.emplace_back("velocity", velocity_);
    decision_ = {.elements = static_cast<double>(x_.shape.elements()), .has_momentum = has_momentum_};
    backend_.fill(minus_one_, -1);
    backend_.fill(minus_momentum_, -parts.options.momentum);
    backend_.fill(slot(machine_, Machine::kBest), HUGE_VAL);
    if (clamp_) backend_.clamp(x_, range_.lower, range_.upper);
    backend_.copy(base_, x_);
    backend_.copy(best_, x_);
  }

  void step(Objective& objective) override {
    backend_.repeat(recording_, [&] { do_step(objective); });
  }

  [[nodiscard]] ConstTensorView picture() const override { return best_; }

  [[nodiscard]] std::vector<double> host_state() const override {
    std::vector<double> state = read_doubles(backend_, machine_);
    state.resize(Machine::kStateSize);
    return state;
  }

  void restore_host_state(std::span<const double> state) override {
    if (state.size() != Machine::kStateSize || !is_state(state)) {
      throw make_error(ErrorCode::kBadInput,
                       "checkpoint: expected {} numbers of gradient descent, found {} that are none",
                       int{Machine::kStateSize}, state.size());
    }
    std::vector<double> machine(state.begin(), state.end());
    machine.resize(Machine::kSize);
    backend_.upload(machine_, std::span<const double>(machine));
  }

 private:
  /// Slopes and values may be anything that a loss and its gradient can lead to.
  [[nodiscard]] static bool is_state(std::span<const double> state) {
    const auto values = state.subspan(Machine::kBest);  // and the window's
    return is_count(state[Machine::kStarted], 1) && is_count(state[Machine::kPushed], 1) &&
           is_count(state[Machine::kCount]) && state[Machine::kCount] >= state[Machine::kStarted] &&
           is_count(state[Machine::kCuts], Machine::kMostCuts) &&
           is_count(state[Machine::kShrink], Machine::kMostCuts) && state[Machine::kLength] >= 0 &&
           std::none_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
  }

  void do_step(Objective& objective) {
    objective.evaluate(x_, gradient_);
    objective.write_value(slot(machine_, Machine::kTrialValue));
    backend_.dot(slot(dots_, Machine::kGg), gradient_, gradient_);
    decide(DescentDecision::kJudge);
    when(Machine::kImproves, [&] { backend_.copy(best_, x_); });
    when(Machine::kAccepts, [&] { accept(); });
    decide(DescentDecision::kTakeLength);
    when(Machine::kRestarts, [&] { backend_.copy(x_, best_); });
    move(has_momentum_);
    if (has_momentum_) move(false);  // where it led uphill
  }
  void decide(DescentDecision decision) { backend_.descent_decide(machine_, dots_, decision, decision_); }
  template <class Work>
  void when(int flag, const Work& work) {
    backend_.when(slot(machine_, flag), work);
  }

  /// x, with its value and gradient, is the new base. What s and y are of a first one is never read.
  void accept() {
    // Both with the other sign, which cancels.
    const TensorView s = has_momentum_ ? velocity_ : base_, y = base_gradient_;
    backend_.add_scaled(s, base_, minus_one_, x_);
    backend_.add_scaled(y, base_gradient_, minus_one_, gradient_);
    backend_.dot(slot(dots_, Machine::kSs), s, s);
    backend_.dot(slot(dots_, Machine::kSy), s, y);
    backend_.dot(slot(dots_, Machine::kYy), y, y);
    backend_.copy(base_, x_);
    backend_.copy(base_gradient_, gradient_);
  }

  /// Moves x to the trial.
  void move(bool may_push) {
    when(Machine::kMoves,
         [&] { backend_.add_scaled(x_, base_, slot(machine_, Machine::kFactor), base_gradient_); });
    if (may_push) {
      when(Machine::kPushes, [&] { backend_.add_scaled(x_, x_, minus_momentum_, velocity_); });
    }
    when(Machine::kMoves, [&] {
      if (clamp_) backend_.clamp(x_, range_.lower, range_.upper);
      backend_.add_scaled(gradient_, x_, minus_one_, base_);  // scratch until the next evaluation
      backend_.dot(slot(machine_, Machine::kSlope), gradient_, base_gradient_);
    });
    decide(DescentDecision::kTakeSlope);
  }

  Backend& backend_;
  PixelRange range_;
  bool clamp_, has_momentum_;
  TensorView x_, gradient_, base_, base_gradient_, best_;
  TensorView velocity_;  ///< the last move, with the other sign
  TensorView dots_, machine_, minus_one_, minus_momentum_;
  DescentDecisionParameters decision_;
  std::unique_ptr<Recording> recording_;
};

}  // namespace

std::unique_ptr<Optimizer> make_gradient_descent_auto(const OptimizerParts& parts) {
  return std::make_unique<GradientDescentAuto>(parts);
}

}  // namespace impasto
