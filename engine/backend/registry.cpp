// Opens devices by name.
#include <algorithm>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/cpu_backend.h"
#include "engine/backend/reference/reference_backend.h"
#include "engine/core/error.h"

namespace impasto {
namespace {

constexpr const char* kNoCuda = "this build has no CUDA module";

bool is_cuda(const std::string& device) {
  const std::string prefix = "cuda:";
  return device == "cuda" || (device.starts_with(prefix) && device.size() > prefix.size() &&
                              device.find_first_not_of("0123456789", prefix.size()) == std::string::npos);
}

std::unique_ptr<Backend> open(const std::string& device, Precision precision, int threads) {
  if (device == "reference") return make_reference_backend();
  if (device == "cpu" || device == "auto") {
    return make_cpu_backend(precision, threads == 0 ? usable_cores() : threads);
  }
  if (is_cuda(device)) {
    throw Error(ErrorCode::kResources, "device '" + device + "': expected a CUDA device, but " + kNoCuda);
  }
  throw Error(ErrorCode::kUsage, "device: expected auto, cpu, cuda[:N] or reference, found '" + device + "'");
}

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.threads < 0) {
    throw Error(ErrorCode::kUsage, "threads: expected 0 or more, found " + std::to_string(options.threads));
  }
  std::unique_ptr<Backend> backend = open(options.device, options.precision, options.threads);
  const std::vector<Precision>& offered = backend->info().precisions;
  if (options.precision != Precision::kAuto &&
      std::find(offered.begin(), offered.end(), options.precision) == offered.end()) {
    std::string names;
    for (const Precision precision : offered)
      names += (names.empty() ? "" : ", ") + std::string(to_string(precision));
    throw Error(ErrorCode::kResources, "precision of " + backend->info().name + ": expected " + names +
                                           ", found " + to_string(options.precision));
  }
  return backend;
}

std::vector<DeviceStatus> list_devices() {
  std::vector<DeviceStatus> devices;
  for (const char* name : {"cpu", "cuda", "reference"}) {
    try {
      devices.push_back({open(name, Precision::kAuto, 0)->info(), ""});
    } catch (const Error& error) {
      DeviceStatus status;
      status.info.name = name;
      status.unusable_because = is_cuda(name) ? kNoCuda : error.what();
      devices.push_back(status);
    }
  }
  return devices;
}

}  // namespace impasto
