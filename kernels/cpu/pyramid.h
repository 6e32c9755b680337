#pragma once
#include <cstdint>

namespace impasto::cpu {

/// A tensor (h, w, c) that halve reads and halve_transposed_add adds to; the other side is (h', w', c) with
/// h' = ceil(h / 2), w' = ceil(w / 2). See kernels/ops.h.
struct HalvedShape {
  std::int64_t h, w, c;
};

/// Row `row` (of h') of y = D x.
void halve_row(float* y, const float* x, const HalvedShape& shape, std::int64_t row);
/// Row `row` (of h) of x += scale * D^T y.
void halve_transposed_add_row(float* x, const float* y, float scale, const HalvedShape& shape,
                              std::int64_t row);

}  // namespace impasto::cpu
