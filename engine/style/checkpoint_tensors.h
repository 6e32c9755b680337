#pragma once
// Between the optimiser's tensors on the device and a checkpoint's.
#include <string>

#include "engine/backend/backend.h"
#include "engine/style/checkpoint.h"

namespace impasto {

/// A float32 or float64 tensor as it goes into a checkpoint; waits for the device.
[[nodiscard]] Checkpoint::Tensor save_tensor(Backend& backend, const std::string& name, TensorView view);
/// The tensor of that name into `view`. Error(kBadInput)
/// where there is none, or one of another shape, type or size.
void restore_tensor(Backend& backend, const Checkpoint& checkpoint, const std::string& name, TensorView view);

}  // namespace impasto
