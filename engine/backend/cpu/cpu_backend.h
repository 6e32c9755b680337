#pragma once
// The processor as a backend: float32, threads, the widest instruction set that the machine offers.
#include <memory>

#include "engine/backend/backend.h"

namespace impasto {

/// `threads` <= 0: usable_cores(). Error(kResources) for a precision other than float32 (or auto). The
/// instruction set can be forced with the environment variable IMPASTO_CPU_ISA=baseline|avx2|avx512:
/// Error(kUsage) for one that this machine does not have.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(Precision precision, int threads);

}  // namespace impasto
