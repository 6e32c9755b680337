#pragma once
// Gram matrices by cuBLAS: F^T F in the activations' type with float sums, split over the positions so that
// no float sum is long; the parts are added up in double by kernels/cuda.
#include "engine/backend/cuda/context.h"

namespace impasto::cuda {

/// How the positions of a feature map are split: `num_parts`
/// of `part` positions each, then one of `rest` (0: none).
struct GramSplit {
  std::int64_t part = 0, num_parts = 0, rest = 0;
  [[nodiscard]] std::int64_t total_parts() const { return num_parts + (rest > 0 ? 1 : 0); }
};
[[nodiscard]] GramSplit split_gram(std::int64_t positions, std::int64_t channels, int num_sms);
[[nodiscard]] std::size_t gram_workspace_bytes(Shape features, int num_sms);

/// parts (total_parts, C, C) float, overwritten; returns their number. The upper triangle counts. Goes on
/// beside, after all that is queued.
std::int64_t gram_parts(Context& context, float* parts, ConstTensorView f);

/// df (N, C) (+)= scale * f * dg; all of the activations' type.
void gram_backward(Context& context, TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                   Accumulate accumulate);

}  // namespace impasto::cuda
