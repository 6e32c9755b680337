// Opens devices by name.
#include <algorithm>
#include <cstdlib>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/cpu_backend.h"
#include "engine/backend/cuda/module.h"
#include "engine/backend/reference/reference_backend.h"
#include "engine/backend/system.h"
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

/// The first GPU that can be used, else the CPU.
std::unique_ptr<Backend> open_best(const BackendOptions& options) {
  system::GpuSearch search;
  search.visible_devices = std::getenv("CUDA_VISIBLE_DEVICES");
  const CudaModule* const module = find_cuda_module(&search.reason);
  for (int i = 0; module != nullptr && i < module->num_devices(); ++i) {
    try {
      return module->open(i, options);
    } catch (const Error& error) {
      search.found = true;
      if (search.reason.empty()) search.reason = error.what();
    }
  }
  const std::string note = system::note_on_gpu(search, "/");
  try {
    std::unique_ptr<Backend> cpu = make_cpu_backend(options);
    cpu->set_note(note);
    return cpu;
  } catch (const Error& error) {  // a precision of GPUs, perhaps
    throw Error(error.code(), error.what() + (note.empty() ? "" : "; " + note));
  }
}

std::unique_ptr<Backend> open(const BackendOptions& options) {
  const std::string& device = options.device;
  if (device == "reference") return make_reference_backend();
  if (device == "auto") return open_best(options);
  if (device == "cpu") return make_cpu_backend(options);
  std::string reason;
  if (const int index = cuda_index(device); index >= 0) {
    if (const CudaModule* const module = find_cuda_module(&reason)) return module->open(index, options);
    throw Error(ErrorCode::kResources, "device '" + device + "': expected a CUDA device, but " + reason);
  }
  throw Error(ErrorCode::kUsage, "device: expected auto, cpu, cuda[:N] or reference, found '" + device + "'");
}

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.threads < 0) {
    throw Error(ErrorCode::kUsage, "threads: expected 0 or more, found " + std::to_string(options.threads));
  }
  std::unique_ptr<Backend> backend = open(options);
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
  const auto add = [&](const char* name) {
    DeviceStatus status;
    status.info.name = name;
    try {
      status.info = open({.device = name})->info();
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
