#include "engine/style/optimizer.h"

#include "engine/core/message.h"
#include "engine/style/optimizer_parts.h"
#include "engine/style/preconditioner.h"

namespace impasto {

void Optimizer::restore_host_state(std::span<const double> state) {
  if (!state.empty()) {
    throw make_error(ErrorCode::kBadInput, "checkpoint: expected no numbers of optimizer state, found {}",
                     state.size());
  }
}

bool backs_off(const OptimizerOptions& options) {
  switch (options.kind) {
    case OptimizerKind::kGradientDescent: return !options.learning_rate;
    case OptimizerKind::kAdam: return false;
    case OptimizerKind::kLbfgs: break;
  }
  return options.line_search == LineSearch::kWolfe;
}

std::vector<TensorSpec> optimizer_tensors(const OptimizerOptions& options, Shape picture, DType real) {
  const auto scalars = [](const std::string& name, std::int64_t count) {
    return TensorSpec{name, {1, 1, count}, DType::kFloat64};
  };
  std::vector<TensorSpec> specs{{"x", picture, real}, {"gradient", picture, real}};
  switch (options.kind) {
    case OptimizerKind::kGradientDescent:
      if (options.learning_rate || options.momentum > 0) specs.push_back({"velocity", picture, real});
      if (options.learning_rate) break;
      specs.push_back({"base", picture, real});
      specs.push_back({"base_gradient", picture, real});
      specs.push_back({"best", picture, real});
      specs.push_back(scalars("dots", DescentMachine::kNumDots));
      specs.push_back(scalars("scalars", 2));
      specs.push_back(scalars("machine", DescentMachine::kSize));
      break;
    case OptimizerKind::kAdam:
      specs.push_back({"mean", picture, real});
      specs.push_back({"variance", picture, real});
      specs.push_back(scalars("step", 1));
      break;
    case OptimizerKind::kLbfgs: {
      const std::int64_t slots = options.history + 1;
      const bool has_base = options.line_search == LineSearch::kWolfe || options.clamp;
      specs.push_back({"previous_gradient", picture, real});
      specs.push_back({"direction", picture, real});
      if (has_base) specs.push_back({"base", picture, real});
      specs.push_back({"history", {2 * slots, 1, picture.elements()}, real});
      specs.push_back(scalars("state", LbfgsState::size(slots)));
      specs.push_back(scalars("dots", LbfgsState::num_dots(slots)));
      specs.push_back(scalars("coefficients", 2 * slots + 1));
      if (has_base) specs.push_back(scalars("scalars", 1));
      if (options.line_search == LineSearch::kWolfe) specs.push_back(scalars("machine", LbfgsMachine::kSize));
      if (options.preconditioner == Preconditioner::kPyramid && takes_preconditioner(options)) {
        specs.push_back({"conditioned", picture, real});
        specs.push_back({"previous_conditioned", picture, real});
        specs.push_back(scalars("with_previous", 2 * slots));
        specs.push_back(scalars("products", 2));
        for (TensorSpec& level : PyramidPreconditioner::tensors(picture, real)) specs.push_back(level);
      }
      break;
    }
  }
  return specs;
}

TensorView OptimizerParts::find(const std::string& name) const {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return tensors[i];
  }
  return {};
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, Backend& backend,
                                          std::span<const TensorView> tensors, const PixelRange& range) {
  if (tensors.empty()) throw Error(ErrorCode::kInternal, "optimizer: expected tensors, found none");
  const auto specs = optimizer_tensors(options, tensors[0].shape, backend.traits().real);
  if (tensors.size() != specs.size()) {
    throw make_error(ErrorCode::kInternal, "optimizer: expected {} tensors, found {}", specs.size(),
                     tensors.size());
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (tensors[i].shape != specs[i].shape || tensors[i].dtype != specs[i].dtype) {
      throw make_error(ErrorCode::kInternal, "optimizer: {}: expected {} {}, found {} {}", specs[i].name,
                       to_string(specs[i].shape), to_string(specs[i].dtype), to_string(tensors[i].shape),
                       to_string(tensors[i].dtype));
    }
    if (i > 0) backend.fill(tensors[i], 0);
  }
  const OptimizerParts parts{options, backend, range, specs, tensors};
  switch (options.kind) {
    case OptimizerKind::kGradientDescent:
      return options.learning_rate ? make_gradient_descent(parts) : make_gradient_descent_auto(parts);
    case OptimizerKind::kAdam: return make_adam(parts);
    case OptimizerKind::kLbfgs: break;
  }
  return options.line_search == LineSearch::kWolfe ? make_lbfgs_wolfe(parts) : make_lbfgs(parts);
}

}  // namespace impasto
