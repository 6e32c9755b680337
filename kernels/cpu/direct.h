#pragma once
// Direct 3x3 convolutions over all threads.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace impasto::cpu {

/// Scratch of all threads. h, w: the layer's input (forward) or gradient (backward); in_c, out_c: of this
/// direction.
[[nodiscard]] std::int64_t direct_scratch_floats(const Kernels& kernels, std::int64_t h, std::int64_t w,
                                                 std::int64_t in_c, std::int64_t out_c, int num_threads);

/// problem.filter: packed by pack_conv_filter(). scratch: direct_scratch_floats() of the same h and w.
void run_direct(const Kernels& kernels, ThreadPool& pool, const ConvProblem& problem, std::int64_t h,
                std::int64_t w, float* scratch);

}  // namespace impasto::cpu
