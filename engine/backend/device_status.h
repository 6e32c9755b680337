#pragma once
// What `impasto devices` knows of a device.
#include <string>

#include "engine/backend/backend.h"

namespace impasto {

/// Usable, or why not.
struct DeviceStatus {
  DeviceInfo info;
  std::string unusable_because;  ///< empty: usable
};

}  // namespace impasto
