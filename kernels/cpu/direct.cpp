#include "kernels/cpu/direct.h"

#include "kernels/cpu/pack.h"

namespace impasto::cpu {

std::int64_t direct_scratch_floats(const Kernels& kernels, std::int64_t h, std::int64_t w, std::int64_t in_c,
                                   std::int64_t out_c, int num_threads) {
  return num_threads * make_conv_tiling(kernels, h, w, in_c, out_c, num_threads).scratch_floats;
}

void run_direct(const Kernels& kernels, ThreadPool& pool, const ConvProblem& problem, std::int64_t h,
                std::int64_t w, float* scratch) {
  const ConvTiling tiling = make_conv_tiling(kernels, h, w, problem.in_c, problem.out_c, pool.num_threads());
  pool.parallel_for(num_conv_items(problem, tiling), [&](std::int64_t item, int thread) {
    kernels.conv_item(problem, tiling, item, scratch + thread * tiling.scratch_floats);
  });
}

}  // namespace impasto::cpu
