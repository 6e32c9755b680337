#pragma once
// The whole state of a render between two iterations, in memory and as an HDF5 file.
//
// The file: a user block of 512 bytes, "impasto checkpoint 1\nsha256 HEX\n" and zeros, where HEX is the
// digest of everything after it, so that a file that was cut short or damaged is known before HDF5 sees it.
// Then
//   /            attributes scale, iteration (int64), seconds (float64)
//   /options     one text attribute for each option          /inputs   the same for each input
//   /device      the same for what the device chose (only where it chose something)
//   /host_state  float64 (n)
//   /best_losses the same (only with a tolerance)
//   /tensors     one dataset (h,w,c) for each tensor, float32 or float64, contiguous, in creation order
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
  /// "content", "style 1", ..., "init" (of a starting picture), "weights": digests.
  std::map<std::string, std::string> inputs;
  /// "tuning": Tuning::text(); "gradient_scale": a power of two.
  std::map<std::string, std::string> device;
  std::int64_t scale = 0;      ///< index of the scale in work
  std::int64_t iteration = 0;  ///< evaluations done at this scale
  double seconds = 0;          ///< spent optimising so far
  std::vector<double> host_state;
  std::vector<double> best_losses;  ///< Convergence::best()
  std::vector<Tensor> tensors;
};

/// Written to a temporary name in the same folder, synced and renamed: the file at `path` is either the old
/// one or the whole new one. Error(kBadInput) if it cannot be.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
/// Error(kBadInput) "PATH: expected ..., found ..." for anything that is not a whole checkpoint of ours.
[[nodiscard]] Checkpoint load_checkpoint(const std::filesystem::path& path);
/// Error(kBadInput) naming the first difference between what the checkpoint was made with and what is given
/// now: "checkpoint: option --content-weight: expected 0.05 (made with), found 0.1". Options that are younger
/// than the checkpoint must be off.
void require_same_run(const Checkpoint& checkpoint, const std::map<std::string, std::string>& options,
                      const std::map<std::string, std::string>& inputs);

}  // namespace impasto
