// Finds and opens the CUDA module.
#include <dlfcn.h>

#include <filesystem>
#include <sstream>

#include "engine/backend/cuda/module.h"
#include "engine/backend/cuda_places.h"
#include "engine/core/environment.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;

#ifdef IMPASTO_CUDA_MAJOR

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

CudaPlaces cuda_places(const fs::path& module) {
  CudaPlaces places{.conda_prefix = environment_path("CONDA_PREFIX"),
                    .virtual_env = environment_path("VIRTUAL_ENV")};
  if (const char* const path = environment("LD_LIBRARY_PATH"); path != nullptr) places.library_path = path;
  std::istringstream folders(IMPASTO_CUDA_FOLDERS);
  for (std::string folder; std::getline(folders, folder, ':');) places.module_folders.emplace_back(folder);
  std::error_code error;
  places.module_folders.push_back(fs::absolute(module, error).parent_path());
  return places;
}

/// Opens a library for good: what needs one of its name gets this one. Null: there is none.
void* open_library(const std::string& name, const CudaPlaces& places) {
  if (void* const open = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) return open;
  for (const std::string& place : places_of(name, places)) {
    if (void* const opened = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) return opened;
  }
  return nullptr;
}

/// The module needs libraries of which the loader has no place; where they lie all the same they are opened
/// before it, each after those that it needs itself.
void* open_with_libraries(const fs::path& path, const CudaPlaces& places) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  for (const char* const name :
       {"libcublasLt.so." IMPASTO_CUDA_MAJOR, "libcublas.so." IMPASTO_CUDA_MAJOR, "libcudnn.so.9"}) {
    (void)open_library(name, places);
  }
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

/// Asks the CUDA runtime alone, which is small, before the
/// module brings in cuBLAS and cuDNN. Empty: there is a device.
std::string why_no_device(const CudaPlaces& places) {
  const std::string name = "libcudart.so." IMPASTO_CUDA_MAJOR;
  void* const runtime = open_library(name, places);
  if (runtime == nullptr) {
    (void)dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);  // for what it says
    return "the CUDA runtime is missing (" + last_dl_error() + ")";
  }
  const auto get_count = reinterpret_cast<int (*)(int*)>(dlsym(runtime, "cudaGetDeviceCount"));
  const auto get_name = reinterpret_cast<const char* (*)(int)>(dlsym(runtime, "cudaGetErrorName"));
  if (get_count == nullptr || get_name == nullptr)
    return std::string("the CUDA runtime is not one (") + last_dl_error() + ")";
  int count = 0;  // not written on failure
  const int status = get_count(&count);
  if (status == 35) return "no NVIDIA driver, or one that is too old for CUDA (cudaErrorInsufficientDriver)";
  if (status == 34)
    return "the toolkit's stub was found in place of the NVIDIA driver (cudaErrorStubLibrary): its folder is "
           "for linking, not for LD_LIBRARY_PATH";
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
  const CudaPlaces places = cuda_places(path);
  reason = why_no_device(places);
  if (!reason.empty()) return nullptr;
  void* const library = open_with_libraries(path, places);
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
