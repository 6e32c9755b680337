#include "engine/backend/devices.h"

#include <algorithm>

#include "engine/backend/cpu/cpu_backend.h"
#include "engine/backend/cuda/module.h"
#include "engine/backend/reference/reference_backend.h"
#include "engine/backend/system.h"
#include "engine/core/environment.h"
#include "engine/core/error.h"

namespace impasto {
namespace {

/// N of "cuda:N", 0 of "cuda", -1 of any other name.
int cuda_index(const std::string& device) {
  if (device == "cuda") return 0;
  const std::string prefix = "cuda:";
  const std::string digits = device.starts_with(prefix) ? device.substr(prefix.size()) : "";
  if (digits.empty() || digits.size() > 4 || digits.find_first_not_of("0123456789") != std::string::npos)
    return -1;
  return std::stoi(digits);
}

CpuOptions cpu_options(const BackendOptions& options) {
  return {.precision = options.precision, .threads = options.threads, .autotune = options.autotune};
}
CudaOptions cuda_options(const BackendOptions& options) {
  return {.precision = options.precision, .autotune = options.autotune};
}

/// Why a device does not offer a precision; empty if it does.
std::string why_not(const DeviceInfo& info, Precision precision) {
  const std::vector<Precision>& offered = info.precisions;
  if (precision == Precision::kAuto ||
      std::find(offered.begin(), offered.end(), precision) != offered.end()) {
    return {};
  }
  std::string names;
  for (const Precision one : offered) names += (names.empty() ? "" : ", ") + std::string(to_string(one));
  return "precision of " + info.name + ": expected " + names + ", found " + to_string(precision);
}

/// Of the GPUs that can be used the one with the most free memory, else the CPU.
OpenedDevice open_best(const BackendOptions& options) {
  system::GpuSearch search;
  search.visible_devices = environment("CUDA_VISIBLE_DEVICES");
  const CudaModule* const module = find_cuda_module(&search.reason);
  for (const int i : module != nullptr ? module->by_load() : std::vector<int>()) {
    std::string reason;
    try {
      OpenedDevice opened{module->open(i, cuda_options(options))};
      const DeviceInfo& info = opened.backend->info();
      reason = why_not(info, options.precision);
      if (reason.empty()) {
        if (search.found) opened.note = search.reason + "; " + info.name + " is used instead";
        return opened;
      }
    } catch (const Error& error) {
      reason = error.what();
    }
    search.found = true;
    search.reason += (search.reason.empty() ? "" : "; ") + reason;
  }
  const std::string note = system::note_on_gpu(search, "/");
  try {
    return {make_cpu_backend(cpu_options(options)), note};
  } catch (const Error& error) {  // a precision of GPUs, perhaps
    throw Error(error.code(), error.what() + (note.empty() ? "" : "; " + note));
  }
}

OpenedDevice open(const BackendOptions& options) {
  const std::string& device = options.device;
  if (device == "reference") return {make_reference_backend()};
  if (device == "auto") return open_best(options);
  if (device == "cpu") return {make_cpu_backend(cpu_options(options))};
  std::string reason;
  if (const int index = cuda_index(device); index >= 0) {
    if (const CudaModule* const module = find_cuda_module(&reason))
      return {module->open(index, cuda_options(options))};
    throw Error(ErrorCode::kResources, "device '" + device + "': expected a CUDA device, but " + reason);
  }
  throw Error(ErrorCode::kUsage, "device: expected auto, cpu, cuda[:N] or reference, found '" + device + "'");
}

}  // namespace

OpenedDevice open_device(const BackendOptions& options) {
  constexpr int kMostThreads = 4096;
  if (options.threads < 0 || options.threads > kMostThreads) {
    throw Error(ErrorCode::kUsage, "threads: expected 0 or more, at most " + std::to_string(kMostThreads) +
                                       ", found " + std::to_string(options.threads));
  }
  OpenedDevice device = open(options);
  const DeviceInfo& info = device.backend->info();
  const std::string reason = why_not(info, options.precision);
  if (!reason.empty()) throw Error(ErrorCode::kResources, reason);
  if (!info.note.empty()) device.note += (device.note.empty() ? "" : "; ") + info.note;
  return device;
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) { return open_device(options).backend; }

double measure_peak_flops(const BackendOptions& options) {
  return options.device == "cpu" ? measure_cpu_peak_flops(options.threads) : 0;
}

std::vector<DeviceStatus> list_devices() {
  std::vector<DeviceStatus> devices;
  const auto add = [&](const char* name) {
    DeviceStatus status;
    status.info.name = name;
    try {
      status.info = open({.device = name}).backend->info();
    } catch (const Error& error) {
      status.unusable_because = error.what();
    }
    devices.push_back(status);
  };
  add("cpu");
  std::string reason;
  if (const CudaModule* const module = find_cuda_module(&reason)) {
    for (int i = 0; i < module->num_devices(); ++i) devices.push_back(module->describe(i));
  } else {
    devices.push_back({{.name = "cuda"}, reason});
  }
  add("reference");
  return devices;
}

}  // namespace impasto
