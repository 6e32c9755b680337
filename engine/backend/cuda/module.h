#pragma once
// What libimpasto_cuda.so offers to the program that opens it at run time. The program itself needs no CUDA
// library; the module needs cudart, cuDNN and cuBLAS, and finds the driver through cudart.
#include <memory>
#include <vector>

#include "engine/backend/device_status.h"

namespace impasto {

struct CudaOptions {
  Precision precision = Precision::kAuto;
  bool autotune = false;  ///< times the choices instead of taking the first
  bool record = true;     ///< false: Backend::repeat never records, for profilers and tests
};

struct CudaModule {
  /// Digest of the headers that both sides were compiled with: a module of another build is refused.
  const char* seam;
  /// Error(kResources) with the reason if the device cannot be used.
  std::unique_ptr<Backend> (*open)(int device, const CudaOptions& options);
  int (*num_devices)();
  /// Their indices in the order in which auto tries them: the most free memory first.
  std::vector<int> (*by_load)();
  /// What a device is, or why it cannot be used; opens nothing on it.
  DeviceStatus (*describe)(int device);
};

/// The module, opened at the first call and kept; null with the reason if it cannot be. Thread safe.
[[nodiscard]] const CudaModule* find_cuda_module(std::string* reason);

}  // namespace impasto

/// The module's only symbol.
extern "C" const impasto::CudaModule* impasto_cuda_module();
