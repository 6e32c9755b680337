#pragma once
// What the optimisers' files share: how each is made from the tensors that optimizer_tensors lists.
#include <cmath>
#include <cstdint>
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

/// Error(kBadInput) "checkpoint: ..." unless the restored state (LbfgsState) counts pairs, names a slot of
/// the history and has a step's length; the rest of it is only computed with. Waits for the device.
void require_lbfgs_state(Backend& backend, ConstTensorView state, std::int64_t slots);

/// Is it a count, exact in a double, from 0 to `most`?
[[nodiscard]] inline bool is_count(double value, double most = 0x1p53) {
  return value >= 0 && value <= most && value == std::floor(value);
}

/// All of a float64 tensor; waits for it.
[[nodiscard]] inline std::vector<double> read_doubles(Backend& backend, ConstTensorView doubles) {
  std::vector<double> values(static_cast<std::size_t>(doubles.shape.elements()));
  backend.download(std::span(values), doubles);
  return values;
}

/// One double of a float64 tensor.
[[nodiscard]] inline TensorView slot(TensorView tensor, std::int64_t index) {
  return {tensor.as<double>() + index, {1, 1, 1}, DType::kFloat64};
}

}  // namespace impasto
