#pragma once
// Owners of what the CUDA runtime gives out.
#include <memory>
#include <type_traits>

#include "engine/backend/cuda/context.h"

namespace impasto::cuda {

template <auto kRelease>
struct Releases {
  template <class T>
  void operator()(T* held) const {
    (void)kRelease(held);
  }
};
using DeviceMemory = std::unique_ptr<void, Releases<cudaFree>>;
using PinnedMemory = std::unique_ptr<void, Releases<cudaFreeHost>>;
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Releases<cudaEventDestroy>>;

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
