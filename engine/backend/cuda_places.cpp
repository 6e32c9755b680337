#include "engine/backend/cuda_places.h"

#include <algorithm>
#include <sstream>

namespace impasto {
namespace {

namespace fs = std::filesystem;

/// The folders in a folder, sorted; none where it is none.
std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory(error)) found.push_back(entry->path());
  }
  std::ranges::sort(found);
  return found;
}

/// Does a folder of this list hold the library? Relative ones count for nothing.
bool is_in(const std::string& list, const std::string& library) {
  std::istringstream folders(list);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::error_code error;
    if (folder.starts_with('/') && fs::exists(fs::path(folder) / library, error)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> places_of(const std::string& library, const CudaPlaces& places) {
  std::vector<std::string> found;
  const auto look = [&](const fs::path& folder) {
    std::error_code error;
    const fs::path file = folder / library;
    if (folder.is_absolute() && fs::exists(file, error)) found.push_back(file.string());
  };
  if (is_in(places.library_path, library)) found.push_back(library);
  for (const fs::path& folder : places.module_folders) look(folder);
  found.push_back(library);
  if (!places.conda_prefix.empty()) look(places.conda_prefix / "lib");
  for (const fs::path& python : folders_in(places.virtual_env / "lib")) {
    // nvidia/cudnn/lib, nvidia/cublas/lib, nvidia/cu13/lib
    for (const fs::path& package : folders_in(python / "site-packages/nvidia")) look(package / "lib");
  }
  for (const char* const folder : {"usr/local/cuda/lib64", "opt/cuda/lib64"}) look(places.root / folder);
  return found;
}

}  // namespace impasto
