#pragma once
// Owners of what CUDA's libraries give out.
#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <type_traits>

namespace impasto::cuda {

/// Error(kInternal) unless it succeeded; memory that is not there is Error(kResources).
void check(cudaError_t status, const std::string& what);

template <auto kRelease>
struct Releases {
  template <class T>
  void operator()(T* held) const {
    (void)kRelease(held);
  }
};
template <class Handle, auto kRelease>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Releases<kRelease>>;

using DeviceMemory = Owned<void*, cudaFree>;
using PinnedMemory = Owned<void*, cudaFreeHost>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Graph = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

inline DeviceMemory make_device_memory(std::size_t bytes) {
  void* data = nullptr;
  check(cudaMalloc(&data, bytes), "cudaMalloc");
  return DeviceMemory(data);
}
/// Host memory that copies reach without stopping.
inline PinnedMemory make_pinned_memory(std::size_t bytes) {
  void* data = nullptr;
  check(cudaMallocHost(&data, bytes), "page-locked memory");
  return PinnedMemory(data);
}
inline Event make_event(unsigned flags = cudaEventDefault) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, flags), "cudaEventCreate");
  return Event(event);
}

}  // namespace impasto::cuda
