#pragma once
// Losses over all threads. Contracts: kernels/ops.h.
#include <cstdint>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/runs.h"
#include "kernels/ops.h"

namespace impasto::cpu {

/// Returns the loss. d (n) or null.
[[nodiscard]] double squared_error(const Kernels& kernels, const Runs& runs, float* d, const float* x,
                                   const float* target, std::int64_t n, LossScales scales, bool accumulate,
                                   bool mask);
/// Returns the loss. x, d (h, w, 3); d may be null.
[[nodiscard]] double total_variation(const Kernels& kernels, const Runs& runs, float* d, const float* x,
                                     std::int64_t h, std::int64_t w, TotalVariation kind, double weight);

}  // namespace impasto::cpu
