#pragma once
// What the optimisers' files share: how each is made from the tensors that optimizer_tensors lists.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/style/optimizer.h"

namespace impasto {

/// What every optimiser is made of. Tensors are found by the names of optimizer_tensors.
struct OptimizerParts {
  const OptimizerOptions& options;
  Backend& backend;
  const PixelRange& range;
  std::span<const TensorSpec> specs;
  std::span<const TensorView> tensors;

  /// Empty if there is none of that name.
  [[nodiscard]] TensorView find(const std::string& name) const;
};

[[nodiscard]] std::unique_ptr<Optimizer> make_gradient_descent(const OptimizerParts& parts);
[[nodiscard]] std::unique_ptr<Optimizer> make_gradient_descent_auto(const OptimizerParts& parts);
[[nodiscard]] std::unique_ptr<Optimizer> make_adam(const OptimizerParts& parts);
[[nodiscard]] std::unique_ptr<Optimizer> make_lbfgs(const OptimizerParts& parts);
[[nodiscard]] std::unique_ptr<Optimizer> make_lbfgs_wolfe(const OptimizerParts& parts);

/// One double of a float64 tensor.
[[nodiscard]] inline TensorView slot(TensorView tensor, std::int64_t index) {
  return {tensor.as<double>() + index, {1, 1, 1}, DType::kFloat64};
}

}  // namespace impasto
