// L-BFGS with a strong Wolfe line search, as a machine that takes one evaluation at a time: so an iteration
// is an evaluation, and a checkpoint can be taken in the middle of a search.
//
// Clamped (options.clamp), each direction is first bent into the box of displayable pixels: d becomes
// P(base + t d) - base, and the search runs along this chord with t <= 1. The box is convex, so every trial
// is displayable, and the search sees a straight line with an exact slope. If the bent direction no longer
// descends, the projected steepest descent, which always does, takes its place.
//
// Preconditioned, H0 = gamma B with gamma = y.s / y.By. The recursion needs the products of y_i, s_i and By_i
// with g and y alone, never y_i itself: the history keeps B(g - g_previous) = Bg - Bg_previous in place of y,
// so each accepted point costs one application of B and no further pass over the history. lbfgs_dots gives
// <row, g>; <row, y> is the difference to what that was at the point before (in double, where nothing of
// float32's digits cancels), put where lbfgs_direction looks for it. B = I gives plain L-BFGS.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "engine/core/message.h"
#include "engine/style/line_search.h"
#include "engine/style/optimizer_parts.h"
#include "engine/style/preconditioner.h"

namespace impasto {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// The first move along the gradient, whose scale says nothing of lengths: so many grey levels (0..255) in
/// the mean over the picture.
constexpr double kFirstMove = 1;
constexpr double kShrink = 0.1, kLeastShrink = 1e-12;

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
        dot_(slot(parts.find("scalars"), 0)),
        minus_one_(slot(parts.find("scalars"), 1)),
        best_(slot(parts.find("scalars"), 2)) {
    tensors_ = {{"x", x_},
                {"previous_gradient", previous_gradient_},
                {"direction", direction_},
                {"base", base_},
                {"history", history_},
                {"state", state_}};
    if (options_.preconditioner == Preconditioner::kPyramid && takes_preconditioner(options_)) {
      const auto levels = PyramidPreconditioner::tensors(x_.shape, x_.dtype);
      std::vector<TensorView> views;
      for (const TensorSpec& level : levels) views.push_back(parts.find(level.name));
      preconditioner_.emplace(backend_, views);
      conditioned_ = parts.find("conditioned");
      previous_conditioned_ = parts.find("previous_conditioned");
      tensors_.emplace_back("previous_conditioned", previous_conditioned_);
      with_previous_.resize(static_cast<std::size_t>(history_.shape.h));
      host_dots_.resize(static_cast<std::size_t>(dots_.shape.c));
    }
    backend_.fill(minus_one_, -1);
    if (options_.clamp) backend_.clamp(x_, range_.lower, range_.upper);
    backend_.copy(base_, x_);
  }

  void step(Objective& objective) override {
    objective.evaluate(x_, gradient_);
    const double value = objective.value();
    switch (phase_) {
      case Phase::kStart:
        if (std::isfinite(value)) accept(value);
        return;
      case Phase::kSearch:
        switch (search_.judge(value, dot(gradient_, direction_))) {
          case WolfeSearch::Verdict::kTry: return place(search_.trial());
          case WolfeSearch::Verdict::kAccept: return accept(value);
          case WolfeSearch::Verdict::kReturn: phase_ = Phase::kReturn; return place(search_.best_length());
          case WolfeSearch::Verdict::kFail: return restart();
        }
        return;
      case Phase::kReturn: return value <= value_ ? accept(value) : restart();
    }
  }

  [[nodiscard]] ConstTensorView picture() const override {
    if (phase_ == Phase::kStart || search_.best_length() == 0) return base_;
    backend_.fill(best_, search_.best_length());
    move(gradient_, best_);  // scratch between two steps
    return gradient_;
  }

  [[nodiscard]] std::vector<double> host_state() const override {
    std::vector<double> state{static_cast<double>(phase_), value_, last_decrease_, steepest_ ? 1.0 : 0.0,
                              shrink_};
    const auto search = search_.state();
    state.insert(state.end(), search.begin(), search.end());
    state.insert(state.end(), with_previous_.begin(), with_previous_.end());
    return state;
  }

  void restore_host_state(std::span<const double> state) override {
    constexpr std::size_t kOwn = 5, kSearch = kOwn + WolfeSearch::kStateSize;
    const std::size_t all = kSearch + with_previous_.size();
    if (state.size() != all || !is_count(state[0], 2) || std::isnan(state[1]) || std::isnan(state[2]) ||
        !is_count(state[3], 1) || !(state[4] > 0 && state[4] <= 1) ||
        !WolfeSearch::is_state(state.subspan<kOwn, WolfeSearch::kStateSize>())) {
      throw make_error(ErrorCode::kBadInput,
                       "checkpoint: expected {} numbers of a line search, found {} that are none", all,
                       state.size());
    }
    require_lbfgs_state(backend_, state_, history_.shape.h / 2);
    phase_ = static_cast<Phase>(static_cast<int>(state[0]));
    value_ = state[1];
    last_decrease_ = state[2];
    steepest_ = state[3] != 0;
    shrink_ = state[4];
    search_.restore(state.subspan<kOwn, WolfeSearch::kStateSize>());
    const std::span<const double> rest = state.subspan(kSearch);
    std::copy(rest.begin(), rest.end(), with_previous_.begin());
  }

 private:
  enum class Phase : std::uint8_t {
    kStart,   ///< x is the base, not evaluated or without a way down
    kSearch,  ///< x is the search's trial
    kReturn,  ///< x is the best point of a search that ended elsewhere
  };

  double dot(ConstTensorView a, ConstTensorView b) {
    backend_.dot(dot_, a, b);
    return read(dot_);
  }
  double read(TensorView value) {
    double number = 0;
    backend_.download(std::span<double>(&number, 1), value);
    return number;
  }

  /// out = base + t d
  void move(TensorView out, ConstTensorView t) const {
    backend_.add_scaled(out, base_, t, direction_);
    if (options_.clamp) backend_.clamp(out, range_.lower, range_.upper);
  }
  /// x = base + t d; t stays in the state, where lbfgs_push expects the length of the accepted step.
  void place(double t) {
    backend_.fill(slot(state_, LbfgsState::kStep), t);
    move(x_, slot(state_, LbfgsState::kStep));
  }

  /// x, with its value and gradient, is the new base.
  void accept(double value) {
    last_decrease_ = phase_ == Phase::kStart ? 0 : value_ - value;
    if (phase_ != Phase::kStart) shrink_ = 1;
    value_ = value;
    backend_.copy(base_, x_);
    push();
    backend_.lbfgs_direction(coefficients_, state_, dots_, options_.learning_rate.value_or(1));
    backend_.lincomb(direction_, coefficients_, history_, preconditioner_ ? conditioned_ : gradient_);
    std::array<double, LbfgsState::kSlope + 1> head{};
    backend_.download(std::span<double>(head), {state_.data, {1, 1, head.size()}, DType::kFloat64});
    const bool no_pair = head[LbfgsState::kCount] == 0;
    steepest_ = no_pair && !preconditioner_;  // -Bg is not steepest: after it restart() tries -g
    begin_search(head[LbfgsState::kSlope], no_pair ? steepest_length() : options_.learning_rate.value_or(1));
  }

  /// The accepted point's pair into the spare slot, and all inner products with it and the gradient.
  void push() {
    if (!preconditioner_) {
      backend_.lbfgs_push(history_, previous_gradient_, state_, direction_, gradient_);
      backend_.lbfgs_dots(dots_, history_, state_, gradient_);
      return;
    }
    preconditioner_->apply(conditioned_, gradient_);
    backend_.lbfgs_push(history_, previous_conditioned_, state_, direction_, conditioned_);
    backend_.lbfgs_dots(dots_, history_, state_, gradient_);
    const auto num_rows = static_cast<std::size_t>(history_.shape.h), slots = num_rows / 2;
    const auto spare = static_cast<std::size_t>(read(slot(state_, LbfgsState::kSpare)));
    for (const std::size_t row : {spare, slots + spare}) {
      with_previous_[row] = dot(history_row(row), previous_gradient_);
    }
    backend_.copy(previous_gradient_, gradient_);

    backend_.download(std::span(host_dots_), dots_);
    const std::span<double> with_s(host_dots_.data(), num_rows), with_y(with_s.data() + num_rows, num_rows),
        with_g(with_y.data() + num_rows, num_rows);
    for (std::size_t row = 0; row < num_rows; ++row) {
      with_y[row] = with_g[row] - with_previous_[row];
      with_previous_[row] = with_g[row];
    }
    with_s[slots + spare] = with_y[spare];
    // Of the gradient alone, for the direction -Bg: sum |g| times |Bg| / |g|, near enough to sum |Bg|; g.Bg.
    double &sum_abs = host_dots_[host_dots_.size() - 2], &square = host_dots_.back();
    if (square > 0) sum_abs *= std::sqrt(dot(conditioned_, conditioned_) / square);
    square = dot(gradient_, conditioned_);
    backend_.upload(dots_, std::span<const double>(host_dots_));
  }
  [[nodiscard]] ConstTensorView history_row(std::size_t row) const {
    const std::size_t bytes = row * static_cast<std::size_t>(x_.shape.elements()) * size_of(x_.dtype);
    return {static_cast<const std::byte*>(history_.data) + bytes, x_.shape, x_.dtype};
  }

  /// Forgets the history and goes down the gradient of the base itself, which always descends, bent into the
  /// box too. Where that was tried already, a shorter way.
  void restart() {
    if (steepest_) shrink_ = shrink_ > kLeastShrink ? shrink_ * kShrink : 1;
    steepest_ = true;
    backend_.fill(state_, 0);
    backend_.fill(slot(state_, LbfgsState::kCalls), 1);  // at a first call the pair would be refused
    backend_.lbfgs_dots(dots_, history_, state_, previous_gradient_);
    backend_.fill(coefficients_, 0);
    backend_.fill(slot(coefficients_, coefficients_.shape.c - 1), -1);
    backend_.lincomb(direction_, coefficients_, history_, previous_gradient_);
    const double length = steepest_length();
    begin_search(-squared_gradient(), length);
  }

  /// g.g, or g.Bg where d = -Bg.
  [[nodiscard]] double squared_gradient() { return read(slot(dots_, dots_.shape.c - 1)); }
  /// A first length for d = -g or -Bg: a move of kFirstMove, or, where the last iteration gained little, the
  /// length that would gain twice as much on a parabola (Nocedal, Wright, eq. 3.60 and below).
  [[nodiscard]] double steepest_length() {
    const double sum_abs = read(slot(dots_, dots_.shape.c - 2));
    const double length = kFirstMove * static_cast<double>(x_.shape.elements()) / sum_abs;
    const double gain = last_decrease_ > 0 ? 4 * last_decrease_ / squared_gradient() : kInfinity;
    return options_.learning_rate.value_or(1) * shrink_ * std::min(length, gain);
  }

  void begin_search(double slope, double length) {
    double longest = kInfinity;
    if (options_.clamp && slope < 0) {
      place(length);
      backend_.add_scaled(direction_, x_, minus_one_, base_);
      slope = dot(previous_gradient_, direction_);
      length = longest = 1;
    }
    if (slope < 0 && std::isfinite(slope)) {
      search_.begin(value_, slope, length, longest);
      phase_ = Phase::kSearch;
      return place(length);
    }
    if (!steepest_) return restart();
    // No way down from here. With t and d zero the next push is refused.
    phase_ = Phase::kStart;
    backend_.fill(state_, 0);
    backend_.fill(direction_, 0);
    backend_.copy(x_, base_);
  }

  OptimizerOptions options_;
  Backend& backend_;
  PixelRange range_;
  /// previous_gradient_ is the gradient at the base.
  TensorView x_, gradient_, previous_gradient_, direction_, base_, history_, state_, dots_, coefficients_;
  TensorView dot_, minus_one_, best_;
  std::optional<PyramidPreconditioner> preconditioner_;
  TensorView conditioned_, previous_conditioned_;  ///< B times the gradient, and at the base
  std::vector<double> with_previous_;              ///< <row of the history, previous_gradient_>
  std::vector<double> host_dots_;                  ///< scratch
  WolfeSearch search_;
  Phase phase_ = Phase::kStart;
  double value_ = 0;          ///< at the base
  double last_decrease_ = 0;  ///< of the value, by the last accepted step
  bool steepest_ = false;     ///< the direction is the negative gradient
  double shrink_ = 1;         ///< of steepest descent's first length, after searches that found nothing
};

}  // namespace

std::unique_ptr<Optimizer> make_lbfgs_wolfe(const OptimizerParts& parts) {
  return std::make_unique<LbfgsWolfe>(parts);
}

}  // namespace impasto
