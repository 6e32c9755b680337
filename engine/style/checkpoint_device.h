#pragma once
// Between what a device holds of a render, tensors and choices, and what a checkpoint records of it.
#include <optional>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/style/checkpoint.h"
#include "engine/style/scale_layout.h"

namespace impasto {

/// A float32 or float64 tensor as it goes into a checkpoint; waits for the device.
[[nodiscard]] Checkpoint::Tensor save_tensor(Backend& backend, const std::string& name, TensorView view);
/// The tensor of that name into `view`. Error(kBadInput)
/// where there is none, or one of another shape, type or size.
void restore_tensor(Backend& backend, const Checkpoint& checkpoint, const std::string& name, TensorView view);

/// Version, device and precision, which the bits of a result hang on: "impasto 0.1.0, cpu avx2, fp32".
[[nodiscard]] std::string maker(const Backend& backend);
/// Where another one made the checkpoint, which one, as it says; else nothing. "an earlier version" where it
/// does not say.
[[nodiscard]] std::optional<std::string> other_maker(const Backend& backend, const Checkpoint& checkpoint);

/// What the device chose for the render; empty for none and for no checkpoint. Error(kBadInput) where this
/// device has no choices.
[[nodiscard]] std::string recorded_tuning(Backend& backend, const Checkpoint* checkpoint);

/// How its scales were planned; empty: that was not recorded. Error(kBadInput) for a text that is no plan.
[[nodiscard]] std::vector<ScaleWays> recorded_plan(const Checkpoint& checkpoint);

/// The power of two that gradients were scaled by; nothing where none was recorded. Error(kBadInput) for
/// another number, for one that no device would have chosen, and for none where one is `wanted`.
[[nodiscard]] std::optional<double> recorded_gradient_scale(const Checkpoint& checkpoint, bool wanted);

}  // namespace impasto
