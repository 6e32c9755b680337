#include "engine/style/preconditioner.h"

namespace impasto {

std::vector<TensorSpec> PyramidPreconditioner::tensors(Shape picture, DType real) {
  std::vector<TensorSpec> specs;
  for (int level = 1; level <= kLevels; ++level) {
    picture = halved(picture);
    specs.push_back({"level " + std::to_string(level), picture, real});
  }
  return specs;
}

void PyramidPreconditioner::apply(TensorView out, ConstTensorView v) {
  // The transpose's columns add up to a quarter: with 4, a constant keeps its value on the way back.
  constexpr double kUp = 4 * kGain;
  ConstTensorView finer = v;
  for (const TensorView& level : levels_) {
    backend_.halve(level, finer);
    finer = level;
  }
  for (std::size_t i = levels_.size() - 1; i > 0; --i) {
    backend_.halve_transposed_add(levels_[i - 1], levels_[i], kUp);
  }
  backend_.copy(out, v);
  backend_.halve_transposed_add(out, levels_.front(), kUp);
}

}  // namespace impasto
