#pragma once
// What is known of a device without opening it.
#include <string>

#include "engine/backend/backend.h"

namespace impasto {

/// What `impasto devices` shows of each: usable, or why not.
struct DeviceStatus {
  DeviceInfo info;
  std::string unusable_because;  ///< empty: usable
};

}  // namespace impasto
