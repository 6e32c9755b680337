// L-BFGS without line search: steps exactly as torch.optim.LBFGS does (first
// step min(1, 1/|g|_1), then 1, times the learning rate; a pair is kept if
// y.s > 1e-10). Everything stays on the device: nothing is read back.
#include <array>
#include <cmath>

#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/style/optimizer_parts.h"

namespace impasto {
namespace {

class Lbfgs final : public Optimizer {
 public:
  explicit Lbfgs(const OptimizerParts& parts)
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
        coefficients_(parts.find("coefficients")) {
    tensors_ = {{"x", x_},
                {"previous_gradient", previous_gradient_},
                {"direction", direction_},
                {"history", history_},
                {"state", state_}};
    if (options_.clamp) {
      minus_one_ = slot(parts.find("scalars"), 0);
      backend_.fill(minus_one_, -1);
    }
  }

  void step(Objective& objective) override {
    backend_.repeat(recording_, [&] { do_step(objective); });
  }
  [[nodiscard]] ConstTensorView picture() const override { return x_; }

  void restore_host_state(std::span<const double> state) override {
    Optimizer::restore_host_state(state);
    require_lbfgs_state(backend_, state_, history_.shape.h / 2);
  }

  [[nodiscard]] std::string advice() const override {
    constexpr double kManyCalls = 10;
    std::array<double, LbfgsState::kCalls + 1> head{};
    backend_.download(std::span<double>(head), {state_.data, {1, 1, head.size()}, DType::kFloat64});
    if (head[LbfgsState::kCount] > 0 || head[LbfgsState::kCalls] < kManyCalls) return {};
    return "line-search none: no pair of the history passed its test (y.s > 1e-10, as PyTorch's), so the "
           "picture "
           "hardly moved; use --line-search wolfe";
  }

 private:
  void do_step(Objective& objective) {
    objective.evaluate(x_, gradient_);
    // At the first step t and d are zero, so that the pair is refused and the direction is -g.
    backend_.lbfgs_push(history_, previous_gradient_, state_, direction_, gradient_);
    backend_.lbfgs_dots(dots_, history_, state_, gradient_);
    backend_.lbfgs_direction(coefficients_, state_, dots_,
                             {.learning_rate = options_.learning_rate.value_or(1)});
    const TensorView t = slot(state_, LbfgsState::kStep);
    if (!options_.clamp) {
      backend_.lincomb_step(x_, direction_, t, coefficients_, history_, gradient_);
      return;
    }
    backend_.lincomb(direction_, coefficients_, history_, gradient_);
    // The pair must hold the move that was made, not the one that was wished for: d becomes it, with t = 1.
    backend_.copy(base_, x_);
    backend_.add_scaled(x_, base_, t, direction_);
    backend_.clamp(x_, range_.lower, range_.upper);
    backend_.add_scaled(direction_, x_, minus_one_, base_);
    backend_.fill(t, 1);
  }

  OptimizerOptions options_;
  Backend& backend_;
  PixelRange range_;
  TensorView x_, gradient_, previous_gradient_, direction_, base_, history_, state_, dots_, coefficients_;
  TensorView minus_one_;
  std::unique_ptr<Recording> recording_;
};

}  // namespace

void require_lbfgs_state(Backend& backend, ConstTensorView state, std::int64_t slots) {
  std::array<double, LbfgsState::kCalls + 1> head{};
  backend.download(std::span<double>(head), {state.data, {1, 1, head.size()}, DType::kFloat64});
  const auto require = [](bool ok, const std::string& expected, double found) {
    if (ok) return;
    throw make_error(ErrorCode::kBadInput, "checkpoint: expected {} in L-BFGS's state, found {}", expected,
                     format_number(found));
  };
  const auto last = static_cast<double>(slots - 1);
  const std::string up_to = fmt::format(" from 0 to {}", slots - 1);
  require(is_count(head[LbfgsState::kCount], last), "a number of pairs" + up_to, head[LbfgsState::kCount]);
  require(is_count(head[LbfgsState::kSpare], last), "a spare slot" + up_to, head[LbfgsState::kSpare]);
  require(!std::isnan(head[LbfgsState::kStep]), "the length of a step", head[LbfgsState::kStep]);
  require(is_count(head[LbfgsState::kCalls]), "a number of calls", head[LbfgsState::kCalls]);
}

std::unique_ptr<Optimizer> make_lbfgs(const OptimizerParts& parts) { return std::make_unique<Lbfgs>(parts); }

}  // namespace impasto
