// Finds and opens the CUDA module.
#include <dlfcn.h>

#include <filesystem>

#include "engine/backend/cuda/module.h"
#include "engine/core/environment.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;

#ifdef IMPASTO_CUDART_NAME

constexpr const char* kModuleName = "libimpasto_cuda.so";

std::string last_dl_error() {
  const char* const text = dlerror();
  return text != nullptr ? text : "unknown error";
}

/// Where this code was loaded from: the program, or the library that it is part of.
fs::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&find_cuda_module), &info) == 0 || info.dli_fname == nullptr)
    return {};
  std::error_code error;
  const fs::path file = fs::canonical(info.dli_fname, error);
  return error ? fs::path() : file.parent_path();
}

/// Beside the program or library, in the build's or the
/// installation's library folder, or what IMPASTO_CUDA_MODULE names.
fs::path module_path() {
  if (fs::path given = environment_path("IMPASTO_CUDA_MODULE"); !given.empty()) return given;
  const fs::path folder = own_folder();
  for (const char* const place : {".", "../lib", "../" IMPASTO_LIBRARY_FOLDER}) {
    std::error_code error;
    fs::path path = folder / place / kModuleName;
    if (fs::exists(path, error)) return path;
  }
  return {};
}

/// Asks the CUDA runtime alone, which is small, before the
/// module brings in cuBLAS and cuDNN. Empty: there is a device.
std::string why_no_device() {
  void* const runtime = dlopen(IMPASTO_CUDART_NAME, RTLD_NOW | RTLD_LOCAL);
  if (runtime == nullptr) return "the CUDA runtime is missing (" + last_dl_error() + ")";
  const auto get_count = reinterpret_cast<int (*)(int*)>(dlsym(runtime, "cudaGetDeviceCount"));
  const auto get_name = reinterpret_cast<const char* (*)(int)>(dlsym(runtime, "cudaGetErrorName"));
  if (get_count == nullptr || get_name == nullptr)
    return std::string("the CUDA runtime is not one (") + last_dl_error() + ")";
  int count = 0;  // not written on failure
  const int status = get_count(&count);
  if (status == 35) return "no NVIDIA driver, or one that is too old for CUDA (cudaErrorInsufficientDriver)";
  if (status == 100 || (status == 0 && count == 0)) return "no NVIDIA GPU was found";
  if (status != 0) return std::string("the CUDA runtime reports ") + get_name(status);
  return {};
}

const CudaModule* open_module(std::string& reason) {
  const fs::path path = module_path();
  if (path.empty()) {
    reason = std::string("the CUDA module ") + kModuleName + " is not installed";
    return nullptr;
  }
  reason = why_no_device();
  if (!reason.empty()) return nullptr;
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const std::string error = last_dl_error();
    reason = (error.starts_with(path.string()) ? "the CUDA module cannot be opened ("
                                               : "a library that the CUDA module needs is missing (") +
             error + ")";
    return nullptr;
  }
  const auto entry = reinterpret_cast<const CudaModule* (*)()>(dlsym(library, "impasto_cuda_module"));
  const CudaModule* const module = entry != nullptr ? entry() : nullptr;
  if (module == nullptr || std::string(module->seam) != IMPASTO_SEAM) {
    reason = "the CUDA module " + path.string() + " is of another build";
    return nullptr;
  }
  return module;
}

#else

const CudaModule* open_module(std::string& reason) {
  reason = "this build has no CUDA module (CMake makes one where it finds CUDA and cuDNN)";
  return nullptr;
}

#endif

}  // namespace

const CudaModule* find_cuda_module(std::string* reason) {
  struct Found {
    std::string reason;
    const CudaModule* module = open_module(reason);
  };
  static const Found found;
  *reason = found.reason;
  return found.module;
}

}  // namespace impasto
