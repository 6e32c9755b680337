#pragma once
// Gram matrices and their gradients over all threads. Contracts: kernels/ops.h.
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace impasto::cpu {

/// Of gram() and of gram_backward(), for features (positions, c).
[[nodiscard]] std::size_t gram_workspace_bytes(const Kernels& kernels, int num_threads,
                                               std::int64_t positions, std::int64_t c);

/// workspace: gram_workspace_bytes(), aligned to a cache line.
void gram(const Kernels& kernels, ThreadPool& pool,
          float* g,        // (c, c)
          const float* f,  // (positions, c)
          std::int64_t positions, std::int64_t c, double scale, bool accumulate, void* workspace);

void gram_backward(const Kernels& kernels, ThreadPool& pool,
                   float* df,        // (positions, c)
                   const float* f,   // (positions, c)
                   const float* dg,  // (c, c)
                   std::int64_t positions, std::int64_t c, double scale, bool accumulate, bool mask,
                   void* workspace);

}  // namespace impasto::cpu
