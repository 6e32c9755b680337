#pragma once
// How much of each GPU others use.
#include <vector>

namespace impasto::cuda {

/// The GPUs' indices, that with the most free memory first, and of equal ones the lower index. Asks the
/// driver's management library (NVML), and where there is none the CUDA runtime, which opens each GPU for it.
[[nodiscard]] std::vector<int> by_free_memory(int num_devices);

}  // namespace impasto::cuda
