#pragma once
// The CUDA device behind the seam.
#include "engine/backend/backend.h"
#include "engine/backend/cuda/context.h"
#include "engine/backend/cuda/module.h"

namespace impasto::cuda {

/// The precisions of a GPU, what auto means first.
[[nodiscard]] std::vector<Precision> precisions_of(const DeviceProperties& properties);

/// What a GPU is and has free, without a backend on it. Error if it does not answer.
[[nodiscard]] DeviceInfo describe(const DeviceProperties& properties);

/// Error(kResources) with the reason if the GPU cannot be used. A precision that the GPU lacks is taken as
/// auto: the caller compares with info().precisions.
[[nodiscard]] std::unique_ptr<Backend> make_cuda_backend(int device, const CudaOptions& options);

}  // namespace impasto::cuda
