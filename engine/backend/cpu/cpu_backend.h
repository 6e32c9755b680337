#pragma once
// The processor as a backend: float32, threads, the widest instruction set that the machine offers.
#include <memory>

#include "engine/backend/backend.h"

namespace impasto {

struct CpuOptions {
  Precision precision = Precision::kAuto;  ///< fp32 (or auto): convolutions by Winograd; exact: direct ones
  int threads = 0;                         ///< 0: usable_cores()
  bool autotune = false;                   ///< as in BackendOptions
  int conv_tile = 0;  ///< for tests: 2, 4 or 6, the edge of Winograd's tiles; 0: what is fastest
};

/// Error(kResources) for a precision that is not offered. The instruction set can be forced with the
/// environment variable IMPASTO_CPU_ISA=baseline|avx2|avx512: Error(kUsage) for one that this machine does
/// not have.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);

/// measure_peak_flops() of the processor.
[[nodiscard]] double measure_cpu_peak_flops(int threads);

}  // namespace impasto
