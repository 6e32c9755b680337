#pragma once
// Shapes of packed operands and of scratch, and the packing itself. Sizes depend on the instruction set only
// through Kernels::vector_floats and Kernels::panel.
#include <cstdint>

#include "kernels/cpu/kernels.h"

namespace impasto::cpu {

/// Floats of a packed filter (3,3,in_c,out_c).
[[nodiscard]] std::int64_t packed_filter_floats(const Kernels& kernels, std::int64_t in_c,
                                                std::int64_t out_c);
/// `filter` (3,3,in_c,out_c). Flipped: packs the filter of backward-data instead, (3,3,out_c,in_c) with
/// (dy,dx) -> (2-dy,2-dx); its packed_filter_floats() are those of (out_c, in_c).
/// Layout: [block of in_c][panel of out_c][dy][dx][c of the block][k of the panel], zero beyond out_c; for
/// few_outputs(): [dy][dx][vector of in_c][k][lane].
void pack_conv_filter(const Kernels& kernels, float* packed, const float* filter, std::int64_t in_c,
                      std::int64_t out_c, bool flipped);
/// h, w: the layer's input (forward) or gradient (backward), which bounds the output of both.
[[nodiscard]] ConvTiling make_conv_tiling(const Kernels& kernels, std::int64_t h, std::int64_t w,
                                          std::int64_t in_c, std::int64_t out_c, int num_threads);
[[nodiscard]] std::int64_t num_conv_items(const ConvProblem& problem, const ConvTiling& tiling);

/// Packs rows [first, last) of scale * matrix (c,c) to [panel][row][column of the panel], zero beyond c.
void pack_matrix(const Kernels& kernels, float* packed, const float* matrix, std::int64_t c, float scale,
                 std::int64_t first, std::int64_t last);

}  // namespace impasto::cpu
