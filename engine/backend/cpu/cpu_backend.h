#pragma once
// The processor as a backend: float32, threads, the widest instruction set that the machine offers.
#include <memory>

#include "engine/backend/backend.h"

namespace impasto {

/// Precision fp32 (or auto): convolutions by Winograd; exact: direct ones. Error(kResources) for any other.
/// `threads` 0: usable_cores(). The instruction set can be forced with the environment variable
/// IMPASTO_CPU_ISA=baseline|avx2|avx512: Error(kUsage) for one that this machine does not have.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options);

}  // namespace impasto
