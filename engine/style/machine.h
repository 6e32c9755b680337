#pragma once
// From what a render is told of the machine to the device that is opened.
#include "engine/backend/devices.h"
#include "engine/options/options.h"

namespace impasto {

/// Device, precision, threads and autotune of the options. Error(kUsage) for a precision that is none.
[[nodiscard]] BackendOptions backend_options(const StyleOptions& machine);

}  // namespace impasto
