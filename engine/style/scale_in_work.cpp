#include "engine/style/scale_in_work.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/core/trace.h"
#include "engine/style/checkpoint_device.h"

namespace impasto {
namespace {

/// An optimiser that backs off from points without a finite loss may meet this many of them in a row.
constexpr int kMaxNonFinite = 20;

template <class T>
bool is_finite(const std::vector<T>& x) {
  return std::all_of(x.begin(), x.end(), [](T v) { return std::isfinite(v); });
}

/// Evaluates as the other does, and refuses a gradient that is not finite: a search takes none of its steps
/// and would stay where it is.
class FirstEvaluation final : public Objective {
 public:
  FirstEvaluation(Backend& backend, StyleObjective& objective, TensorView slot)
      : backend_(backend), objective_(objective), slot_(slot) {}
  void evaluate(ConstTensorView x, TensorView gradient) override {
    objective_.evaluate(x, gradient);
    double square = 0;
    backend_.dot(slot_, gradient, gradient);
    backend_.download(std::span<double>(&square, 1), slot_);
    finite_ = std::isfinite(square);
  }
  void write_value(TensorView slot) override { objective_.write_value(slot); }
  [[nodiscard]] bool finite() const { return finite_; }

 private:
  Backend& backend_;
  StyleObjective& objective_;
  TensorView slot_;
  bool finite_ = true;
};

}  // namespace

ScaleInWork::ScaleInWork(Backend& backend, Executor& executor, const StyleOptions& options,
                         const NetworkPlan& evaluation, ScaleMemory memory, Place place)
    : backend_(backend),
      options_(options),
      memory_(std::move(memory)),
      place_(place),
      objective_(backend, executor, options.objective, memory_.objective, pass(evaluation)),
      convergence_(options.tolerance) {}

void ScaleInWork::start(std::span<const float> x, const PixelRange& range) {
  backend_.upload(memory_.optimizer.front(), x);
  OptimizerOptions options = options_.optimizer;
  options.history = place_.history;
  optimizer_ = make_optimizer(options, backend_, memory_.optimizer, range);
}

bool ScaleInWork::has_all(const Checkpoint& checkpoint) const {
  const auto tensors = optimizer_->tensors();
  return std::all_of(tensors.begin(), tensors.end(), [&](const auto& wanted) {
    return std::any_of(checkpoint.tensors.begin(), checkpoint.tensors.end(),
                       [&](const Checkpoint::Tensor& t) {
                         return t.name == wanted.first && t.shape == wanted.second.shape;
                       });
  });
}

void ScaleInWork::restore(const Checkpoint& checkpoint, Resume how) {
  if (how == Resume::kExact || has_all(checkpoint)) {
    for (const auto& [name, view] : optimizer_->tensors()) restore_tensor(backend_, checkpoint, name, view);
    optimizer_->restore_host_state(checkpoint.host_state);
  } else {
    const auto& [name, x] = optimizer_->tensors().front();
    restore_tensor(backend_, checkpoint, name, x);
  }
  convergence_.restore(checkpoint.best_losses, checkpoint.iteration);
  iteration_ = reported_ = static_cast<int>(checkpoint.iteration);
  if (iteration_ > 0) {  // what there is if nothing after this is finite
    good_ = turn_of(iteration_);
    backend_.copy(memory_.pictures[*good_], optimizer_->picture());
    if (!is_finite(download(memory_.pictures[*good_]))) {
      throw Error(ErrorCode::kBadInput, "checkpoint: expected a picture of finite numbers, found others");
    }
  }
  if (how == Resume::kElsewhere) return calibrate();
  const bool wanted = backend_.traits().scaled_gradients;
  if (const auto scale = recorded_gradient_scale(checkpoint, wanted)) backend_.set_gradient_scale(*scale);
}

void ScaleInWork::calibrate() {
  if (!backend_.traits().scaled_gradients) return;
  objective_.calibrate(optimizer_->tensors().front().second, memory_.optimizer[1]);
}

bool ScaleInWork::may_begin(bool last) const {
  return iteration_ < place_.iterations && !last && !convergence_.reached();
}

bool ScaleInWork::may_run_ahead(int exact_every) const {
  const bool exact = exact_every > 0 && (place_.before + iteration_) % exact_every == 0;
  return backend_.traits().asynchronous && !exact && !convergence_.may_be_next();
}

void ScaleInWork::queue() {
  ++iteration_;
  const TraceRange trace(fmt::format("iteration {}", iteration_));
  const std::size_t turn = turn_of(iteration_);
  if (good_ != turn || num_bad_ == 0) {
    backend_.copy(memory_.pictures[turn], optimizer_->tensors().front().second);
  }
  if (iteration_ == 1 && searches()) {
    FirstEvaluation first(backend_, objective_, spare_number());
    optimizer_->step(first);
    finite_gradient_ = first.finite();
  } else {
    optimizer_->step(objective_);
  }
  objective_.queue_values();
}

TensorView ScaleInWork::spare_number() const {
  const TensorView& x = memory_.optimizer.front();
  const auto specs = optimizer_tensors(options_.optimizer, x.shape, x.dtype);
  const auto dots = std::find_if(specs.begin(), specs.end(), [](const auto& s) { return s.name == "dots"; });
  const auto index = static_cast<std::size_t>(dots - specs.begin());
  return {memory_.optimizer.at(index).data, {1, 1, 1}, DType::kFloat64};
}

bool ScaleInWork::advance(bool last, int exact_every) {
  if (reported_ == iteration_) {
    if (!may_begin(last)) return false;
    queue();
  }
  if (reported_ + 1 == iteration_ && may_begin(last) && may_run_ahead(exact_every)) queue();
  ++reported_;
  values_ = &objective_.take_values();
  check_finite(values_->total);
  check_moves();
  convergence_.add(values_->total);
  lowest_ = std::min(lowest_, values_->total);
  if (reported_ == 1) first_ = values_->total;
  return true;
}

void ScaleInWork::check_moves() {
  const char* found = nullptr;
  if (!finite_gradient_) {
    found = "a finite gradient, found another";
  } else if (!searches() && at_end()) {
    if (!is_finite(download(optimizer_->picture()))) found = "finite pixels, found others";
    for (const auto& [name, view] : optimizer_->tensors()) {
      if (name != "variance") continue;  // Adam's, which stands still where that is infinite
      std::vector<double> variance(static_cast<std::size_t>(view.shape.elements()));
      backend_.download(std::span(variance), view);
      if (!is_finite(variance)) found = "a gradient whose square is finite, found another";
    }
  }
  if (found == nullptr) return;
  failed_ = true;
  throw make_error(
      ErrorCode::kBadInput,
      "optimisation: expected {} after iteration {} of scale {}, most of it of {}; smaller weights "
      "of the losses may help",
      found, reported_, place_.scale + 1, objective_.largest_term());
}

std::string ScaleInWork::advice() const {
  constexpr int kEnough = 10;
  if (std::string own = optimizer_->advice(); !own.empty()) return own;
  if (const int saturated = objective_.num_saturated(); 10 * saturated > reported_) {
    return fmt::format(
        "precision: expected gradients within fp16's largest number, found that {} of {} evaluations "
        "of scale {} met larger ones, which were cut; --precision bf16 has room for them",
        saturated, reported_, place_.scale + 1);
  }
  if (!searches() || !first_ || reported_ < kEnough || !(*first_ > 0) || lowest_ < *first_) return {};
  return fmt::format(
      "optimisation: expected a loss that falls, found that none of {} steps of scale {} led below the "
      "first, "
      "{}; the picture is as it was. Smaller weights of the losses, or --precision, may help",
      reported_ - 1, place_.scale + 1, format_number(*first_));
}

void ScaleInWork::check_finite(double loss) {
  if (std::isfinite(loss)) {
    num_bad_ = 0;
    good_ = turn_of(reported_);
    return;
  }
  if (++num_bad_ <= (searches() && reported_ > 1 ? kMaxNonFinite : 0)) return;
  failed_ = true;
  const char* const advice = place_.before + reported_ > 1 && !searches() ? "a smaller --learning-rate"
                                                                          : "smaller weights of the losses";
  throw make_error(
      ErrorCode::kBadInput,
      "optimisation: expected a finite loss, found {} (by {}) at iteration {} of scale {}; {} may "
      "help",
      format_number(loss), objective_.largest_term(), reported_, place_.scale + 1, advice);
}

std::vector<float> ScaleInWork::download(ConstTensorView view) const {
  std::vector<float> host(static_cast<std::size_t>(view.shape.elements()));
  backend_.download(std::span(host), view);
  return host;
}

std::vector<float> ScaleInWork::x() const {
  if (!failed_) {
    std::vector<float> x = download(optimizer_->picture());
    if (!good_ || is_finite(x)) return x;
  }
  // Where no loss of this scale was finite, what it began with.
  return download(memory_.pictures[good_.value_or(turn_of(reported_))]);
}

void ScaleInWork::save(Checkpoint& checkpoint) const {
  checkpoint.scale = place_.scale;
  checkpoint.iteration = iteration_;
  checkpoint.host_state = optimizer_->host_state();
  checkpoint.best_losses = convergence_.best();
  if (backend_.traits().scaled_gradients) {
    checkpoint.device["gradient_scale"] = format_number(backend_.gradient_scale());
  }
  for (const auto& [name, view] : optimizer_->tensors()) {
    checkpoint.tensors.push_back(save_tensor(backend_, name, view));
  }
}

}  // namespace impasto
