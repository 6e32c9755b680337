#pragma once
// The start of L-BFGS's inverse Hessian where it is not a multiple of the identity.
#include <vector>

#include "engine/style/optimizer.h"

namespace impasto {

/// B = I + sum of g^k P_k P_k', k = 1 to kLevels, P_k = D'...D' with `halve`'s D and g = 4 kGain: symmetric
/// and positive definite by its form, for any size; computed as I + g D'(I + g D'(...) D) D. A constant
/// picture is multiplied by 1 + kGain + ... + kGain^kLevels, the finest pattern by little more than 1. So a
/// step moves coarse features further than the gradient does, in which they are faint because the objective
/// is flat along them.
class PyramidPreconditioner {
 public:
  static constexpr int kLevels = 4;
  static constexpr double kGain = 1;

  /// Its scratch, of the pictures that are halved.
  [[nodiscard]] static std::vector<TensorSpec> tensors(Shape picture, DType real);
  /// `levels`: memory for tensors(), in order.
  PyramidPreconditioner(Backend& backend, std::vector<TensorView> levels)
      : backend_(backend), levels_(std::move(levels)) {}

  /// out = B v; four reads and writes of a picture's size in all.
  void apply(TensorView out, ConstTensorView v);

 private:
  Backend& backend_;
  std::vector<TensorView> levels_;
};

}  // namespace impasto
