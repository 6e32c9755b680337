#include "engine/backend/cuda/load.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace impasto::cuda {
namespace {

/// NVML's part in this. It tells of a GPU without a context on it, which takes hundreds of megabytes and
/// tenths of a second a GPU. Its indices are not CUDA's: a GPU is known by its place on the bus.
class Nvml {
 public:
  Nvml() {
    void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    const auto init = reinterpret_cast<int (*)()>(dlsym(library, "nvmlInit_v2"));
    find_ = reinterpret_cast<Find>(dlsym(library, "nvmlDeviceGetHandleByPciBusId_v2"));
    read_ = reinterpret_cast<Read>(dlsym(library, "nvmlDeviceGetMemoryInfo"));
    ready_ = init != nullptr && find_ != nullptr && read_ != nullptr && init() == 0;
  }
  /// False where it does not know.
  bool free_memory(int device, unsigned long long& bytes) const {
    std::array<char, 32> place{};
    void* handle = nullptr;
    Memory memory{};
    if (!ready_ || cudaDeviceGetPCIBusId(place.data(), place.size(), device) != cudaSuccess ||
        find_(place.data(), &handle) != 0 || read_(handle, &memory) != 0) {
      return false;
    }
    bytes = memory.free;
    return true;
  }

 private:
  struct Memory {
    unsigned long long total, free, used;
  };
  using Find = int (*)(const char*, void**);
  using Read = int (*)(void*, Memory*);
  Find find_ = nullptr;
  Read read_ = nullptr;
  bool ready_ = false;
};

/// 0 where the GPU does not answer.
unsigned long long free_memory(int device) {
  static const Nvml nvml;
  unsigned long long bytes = 0;
  if (nvml.free_memory(device, bytes)) return bytes;
  std::size_t free = 0, total = 0;
  const bool answers = cudaSetDevice(device) == cudaSuccess && cudaMemGetInfo(&free, &total) == cudaSuccess;
  (void)cudaGetLastError();
  return answers ? free : 0;
}

}  // namespace

std::vector<int> by_free_memory(int num_devices) {
  std::vector<int> devices(static_cast<std::size_t>(std::max(num_devices, 0)));
  std::iota(devices.begin(), devices.end(), 0);
  if (devices.size() < 2) return devices;
  std::vector<unsigned long long> free;
  for (const int device : devices) free.push_back(free_memory(device));
  std::ranges::stable_sort(devices, std::greater(),
                           [&](int device) { return free[static_cast<std::size_t>(device)]; });
  return devices;
}

}  // namespace impasto::cuda
