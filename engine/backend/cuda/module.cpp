#include "engine/backend/cuda/module.h"

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/cuda/cudnn_graph.h"
#include "engine/backend/cuda/load.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace {

using namespace impasto;

constexpr int kLeastCapability = 75;  // what the kernels are made for

/// Empty if the GPU can be used.
std::string why_unusable(const cuda::DeviceProperties& p) {
  const int capability = 10 * p.major + p.minor;
  const std::string has =
      p.name + " has compute capability " + std::to_string(p.major) + "." + std::to_string(p.minor);
  if (capability < kLeastCapability) return has + ", and 7.5 is the least";
  cuda::check(cudaSetDevice(p.index), "cudaSetDevice");
  const cudaError_t code = cuda::find_code();
  if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorInvalidDeviceFunction) {
    (void)cudaGetLastError();
    return has + ", for which the CUDA module was not compiled (CMAKE_CUDA_ARCHITECTURES=" +
           std::to_string(capability) + ")";
  }
  cuda::check(code, "the look for kernels");
  return cuda::why_unfit_cudnn(cudnnGetVersion());
}

/// The backend; what keeps one from being made may be that others have the memory.
std::unique_ptr<Backend> opened(int device, const CudaOptions& options) {
  try {
    return cuda::make_cuda_backend(device, options);
  } catch (const Error& error) {
    std::size_t free = 0, total = 0;
    if (cudaMemGetInfo(&free, &total) != cudaSuccess) throw;
    throw Error(error.code(), std::string(error.what()) + ", where " +
                                  format_bytes(static_cast<double>(free)) + " of " +
                                  format_bytes(static_cast<double>(total)) + " are free");
  }
}

std::unique_ptr<Backend> open(int device, const CudaOptions& options) {
  std::string reason;
  try {
    reason = why_unusable(cuda::device_properties_of(device));
    if (reason.empty()) return opened(device, options);
  } catch (const Error& error) {
    reason = error.what();
  }
  throw Error(ErrorCode::kResources,
              "device 'cuda:" + std::to_string(device) + "': expected a usable GPU, but " + reason);
}

int num_devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::vector<int> by_load() { return cuda::by_free_memory(num_devices()); }

DeviceStatus describe(int device) {
  DeviceStatus status;
  status.info.name = "cuda:" + std::to_string(device);
  try {
    const cuda::DeviceProperties properties = cuda::device_properties_of(device);
    status.unusable_because = why_unusable(properties);
    if (status.unusable_because.empty()) status.info = cuda::describe(properties);
  } catch (const Error& error) {
    status.unusable_because = error.what();
  }
  return status;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const CudaModule* impasto_cuda_module() {
  static constexpr CudaModule module{IMPASTO_SEAM, open, num_devices, by_load, describe};
  return &module;
}
