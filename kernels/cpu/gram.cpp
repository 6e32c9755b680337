#include "kernels/cpu/gram.h"

#include <algorithm>

#include "kernels/cpu/pack.h"

namespace impasto::cpu {
namespace {

/// How a Gram matrix is cut into work items: `num_chunks` runs of `chunk` positions, each with sums of its
/// own, times `num_groups` of panels. A function of the sizes alone, so sums repeat whatever the threads.
struct GramPlan {
  std::int64_t chunk = 0, num_chunks = 0, num_groups = 0;
  std::int64_t padded_c = 0;
  std::int64_t scratch_floats = 0;  // of each thread
  [[nodiscard]] std::int64_t matrix() const { return padded_c * padded_c; }
  /// The chunks' sums come first in the workspace, then the threads' scratch.
  [[nodiscard]] std::size_t sums_bytes() const {
    return static_cast<std::size_t>(num_chunks * matrix()) * sizeof(double);
  }
};

GramPlan make_gram_plan(const Kernels& kernels, std::int64_t positions, std::int64_t c) {
  GramPlan plan;
  plan.padded_c = round_up(c, kernels.panel);
  // At most 16 MiB of sums for 512 channels, and 64 chunks for few.
  const std::int64_t most_chunks = std::clamp<std::int64_t>((std::int64_t{1} << 21) / plan.matrix(), 1, 64);
  plan.num_chunks = std::clamp<std::int64_t>(divide_up(positions, 4 * kGramBlock), 1, most_chunks);
  plan.chunk = std::max(kGramBlock, round_up(divide_up(positions, plan.num_chunks), kGramBlock));
  plan.num_chunks = std::max<std::int64_t>(1, divide_up(positions, plan.chunk));
  plan.num_groups = std::clamp<std::int64_t>(plan.padded_c / 128, 1, 8);
  plan.scratch_floats = kGramBlock * plan.padded_c;
  return plan;
}

/// g (c, c) from the chunks' sums, whose upper triangle counts: in square blocks, so that the mirrored half
/// is written a cache line at a time.
void add_chunks(ThreadPool& pool, const GramPlan& plan, float* g, const double* sums, std::int64_t c,
                double scale, bool accumulate) {
  pool.parallel_for(divide_up(c, kLine), [&](std::int64_t block, int) {
    const std::int64_t first_a = block * kLine, last_a = std::min(c, first_a + kLine);
    for (std::int64_t first_b = first_a; first_b < c; first_b += kLine) {
      for (std::int64_t a = first_a; a < last_a; ++a) {
        for (std::int64_t b = std::max(a, first_b); b < std::min(c, first_b + kLine); ++b) {
          double total = 0;
          for (std::int64_t chunk = 0; chunk < plan.num_chunks; ++chunk) {
            total += sums[chunk * plan.matrix() + a * plan.padded_c + b];
          }
          float* const out = g + a * c + b;
          const double held = accumulate ? static_cast<double>(*out) : 0.0;
          *out = g[b * c + a] = static_cast<float>(held + scale * total);
        }
      }
    }
  });
}

}  // namespace

std::size_t gram_workspace_bytes(const Kernels& kernels, int num_threads, std::int64_t positions,
                                 std::int64_t c) {
  const GramPlan plan = make_gram_plan(kernels, positions, c);
  const auto scratch = static_cast<std::size_t>(num_threads * plan.scratch_floats) * sizeof(float);
  const auto matrix = static_cast<std::size_t>(c * plan.padded_c) * sizeof(float);
  return std::max(plan.sums_bytes() + scratch, matrix);
}

void gram(const Kernels& kernels, ThreadPool& pool, float* g, const float* f, std::int64_t positions,
          std::int64_t c, double scale, bool accumulate, void* workspace) {
  const GramPlan plan = make_gram_plan(kernels, positions, c);
  auto* const sums = static_cast<double*>(workspace);
  auto* const scratch = reinterpret_cast<float*>(static_cast<std::byte*>(workspace) + plan.sums_bytes());
  pool.parallel_for(plan.num_chunks * plan.num_groups, [&](std::int64_t item, int thread) {
    const std::int64_t chunk = item / plan.num_groups, first = chunk * plan.chunk;
    kernels.gram_item(sums + chunk * plan.matrix(), f + first * c, std::min(plan.chunk, positions - first), c,
                      item % plan.num_groups, plan.num_groups, scratch + thread * plan.scratch_floats);
  });
  add_chunks(pool, plan, g, sums, c, scale, accumulate);
}

void gram_backward(const Kernels& kernels, ThreadPool& pool, float* df, const float* f, const float* dg,
                   std::int64_t positions, std::int64_t c, double scale, bool accumulate, bool mask,
                   void* workspace) {
  constexpr std::int64_t kPackedRows = 32, kLeastRows = 48, kMostRows = 384;
  // At least sixteen items a thread where that leaves enough of them to ask ahead for.
  const std::int64_t rows_at_once =
      std::clamp(positions / (std::int64_t{16} * pool.num_threads()), kLeastRows, kMostRows);
  auto* const matrix = static_cast<float*>(workspace);
  pool.parallel_for(divide_up(c, kPackedRows), [&](std::int64_t item, int) {
    pack_matrix(kernels, matrix, dg, c, static_cast<float>(scale), item * kPackedRows,
                std::min(c, (item + 1) * kPackedRows));
  });
  pool.parallel_for(divide_up(positions, rows_at_once), [&](std::int64_t item, int) {
    const std::int64_t first = item * rows_at_once;
    kernels.multiply_rows(df + first * c, f + first * c, std::min(rows_at_once, positions - first), c, matrix,
                          accumulate, mask);
  });
}

}  // namespace impasto::cpu
