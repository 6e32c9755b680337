#pragma once
// The whole state of a render between two iterations, in memory and as an HDF5 file.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace impasto {

struct Checkpoint {
  struct Tensor {
    std::string name;
    Shape shape;
    DType dtype = DType::kFloat32;  ///< kFloat32 or kFloat64
    std::vector<std::byte> data;
  };
  std::map<std::string, std::string> options;  ///< describe(StyleOptions)
  std::map<std::string, std::string>
      inputs;                  ///< "content", "style 1", ..., "weights", "backend": digests and names
  std::int64_t scale = 0;      ///< index of the scale in work
  std::int64_t iteration = 0;  ///< evaluations done at this scale
  double seconds = 0;          ///< spent optimising so far
  std::vector<double> host_state;
  std::vector<Tensor> tensors;
};

/// Written to a temporary name in the same folder, synced and renamed. Error(kBadInput) if it cannot be.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
/// Error(kBadInput) "PATH: expected ..., found ..." for anything that is not a whole checkpoint of ours.
[[nodiscard]] Checkpoint load_checkpoint(const std::filesystem::path& path);
/// Error(kBadInput) naming the first difference between what the checkpoint was made with and what is given
/// now.
void require_same_run(const Checkpoint& checkpoint, const std::map<std::string, std::string>& options,
                      const std::map<std::string, std::string>& inputs);

}  // namespace impasto
