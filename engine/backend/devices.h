#pragma once
// Devices by name: what there is, why one cannot be used, and a backend on one.
#include <memory>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/backend/device_status.h"

namespace impasto {

struct BackendOptions {
  std::string device = "auto";  ///< auto | cpu | cuda[:N] | reference
  Precision precision = Precision::kAuto;
  int threads = 0;  ///< CPU; 0: the cores this process may use (affinity, cgroup)
  /// Times the device's choices (of convolution engines) instead of taking the first; what was found is kept
  /// in the user's cache folder.
  bool autotune = false;
};

struct OpenedDevice {
  std::unique_ptr<Backend> backend;  ///< never null
  /// One line for people where `auto` came to this device because GPUs that seem to be there cannot be used,
  /// with the reason of each, and where the device has less than was asked for (DeviceInfo::note); else
  /// empty.
  std::string note{};
};

/// Error(kUsage) for a name that is none, Error(kResources) for a device or precision that is not there, with
/// the reason.
[[nodiscard]] OpenedDevice open_device(const BackendOptions& options);
/// The same without the note.
[[nodiscard]] std::unique_ptr<Backend> make_backend(const BackendOptions& options);

/// Every device, usable or why not.
[[nodiscard]] std::vector<DeviceStatus> list_devices();

/// Floating-point operations a second of multiply-adds on registers alone, measured now (some hundredths of
/// a second), with as many threads as a backend with these options has; 0 where the device cannot say.
[[nodiscard]] double measure_peak_flops(const BackendOptions& options);

}  // namespace impasto
