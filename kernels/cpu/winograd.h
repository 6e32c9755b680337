#pragma once
// How a 3x3 convolution by Winograd's F(m x m, 3x3) is cut into work items, and the run. Filters are
// transformed anew in each run, a part of the output channels at a time: that costs a few percent of the
// products, and nothing of the nine to twenty-eight times of a filter's memory that keeping them would cost.
#include <vector>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace impasto::cpu {

struct WinogradPlan {
  WinogradLayout layout;
  /// true: a thread takes `block` tiles through all steps in scratch of its own; the filter is transformed
  /// once. false: the threads share each step of `block` tiles and `part` output channels.
  bool own_blocks = false;
  std::int64_t num_tiles = 0, block = 0;
  std::int64_t part = 0;                                  // output channels, a multiple of the panel
  std::int64_t u_floats = 0, v_floats = 0, m_floats = 0;  // v and m: of each thread if own_blocks
  [[nodiscard]] std::int64_t scratch_floats(int num_threads) const {
    return u_floats + (v_floats + m_floats) * (own_blocks ? num_threads : 1);
  }
};

/// What a run's speed depends on, and with m its rounding.
struct WinogradChoice {
  int m = 0;
  bool own_blocks = false;
  std::int64_t block = 0, part = 0;
};
[[nodiscard]] WinogradChoice choose_winograd(const Kernels& kernels, std::int64_t out_h, std::int64_t out_w,
                                             std::int64_t in_c, std::int64_t out_c);
/// What is worth timing, choose_winograd()'s first; no two make the same plan.
[[nodiscard]] std::vector<WinogradChoice> winograd_candidates(const Kernels& kernels, std::int64_t out_h,
                                                              std::int64_t out_w, std::int64_t in_c,
                                                              std::int64_t out_c);
[[nodiscard]] WinogradPlan make_winograd_plan(const Kernels& kernels, std::int64_t out_h, std::int64_t out_w,
                                              std::int64_t in_c, std::int64_t out_c,
                                              const WinogradChoice& choice);

/// One copy of a filter (3,3,in_c,out_c) for both directions: [block of in_c][block of out_c][tap][16][16],
/// zero beyond the channels.
[[nodiscard]] std::int64_t winograd_filter_floats(std::int64_t in_c, std::int64_t out_c);
void pack_winograd_filter(float* packed, const float* filter, std::int64_t in_c, std::int64_t out_c);

/// problem.filter: packed, of the layer itself. scratch: plan.scratch_floats(), aligned to a cache line. The
/// result depends on plan.layout.m, not on how the work is cut.
void run_winograd(const Kernels& kernels, ThreadPool& pool, const ConvProblem& problem,
                  const WinogradPlan& plan, float* scratch);

}  // namespace impasto::cpu
