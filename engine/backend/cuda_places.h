#pragma once
// Where CUDA's libraries lie: beside those that the module was built with, where the system looks, in a conda
// environment, or where pip puts them.
#include <filesystem>
#include <string>
#include <vector>

namespace impasto {

/// What decides it. Empty: not set.
struct CudaPlaces {
  std::string library_path{};                           ///< LD_LIBRARY_PATH
  std::vector<std::filesystem::path> module_folders{};  ///< the module's RUNPATH, in its order
  std::filesystem::path conda_prefix{}, virtual_env{};  ///< CONDA_PREFIX, VIRTUAL_ENV
  std::filesystem::path root = "/";                     ///< of the folders that CUDA's installers make
};

/// What to open for a library, best first: files, and its bare name where the system's own search comes in.
/// The order is the loader's for a library that the module needs (LD_LIBRARY_PATH, RUNPATH, the system), so
/// that both come to the same file; then the places that the loader does not know.
[[nodiscard]] std::vector<std::string> places_of(const std::string& library, const CudaPlaces& places);

}  // namespace impasto
