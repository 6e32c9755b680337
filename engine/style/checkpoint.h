#pragma once
// The whole state of a render between two iterations, in memory and as a safetensors file.
//
// The file (engine/core/safetensors.h, sealed). Its texts:
//   format "impasto checkpoint", version "2"
//   scale, iteration, seconds      in decimal; seconds reads back exactly
//   option/NAME, input/NAME        each option and each input, one line
//   device/NAME                    what the device chose (only where it chose something)
// Its tensors:
//   NAME                           each tensor of the optimiser (h,w,c), F32 or F64; there is no / in NAME
//   host/state, host/best_losses   F64 (n); the second is empty without a tolerance
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
  /// "content", "style 1", ..., "init" (of a starting picture), "weights": digests; "style 1 weight" and
  /// "style 1 scale": StyleInput's, where they are not 1.
  std::map<std::string, std::string> inputs;
  /// "maker": version, device and precision; "tuning": Tuning::text(); "gradient_scale": a power of two;
  /// "plan": how each scale was planned (plan_record.h).
  std::map<std::string, std::string> device;
  std::int64_t scale = 0;      ///< index of the scale in work
  std::int64_t iteration = 0;  ///< evaluations done at this scale
  double seconds = 0;          ///< spent optimising so far
  std::vector<double> host_state;
  std::vector<double> best_losses;  ///< Convergence::best()
  std::vector<Tensor> tensors;      ///< once loaded, those of float64 come first
};

/// The file at `path` is at all times either the old one or the whole new one, on the disk. Error(kBadInput)
/// if it cannot be, kUsage for a scale, an iteration or seconds that a reader would refuse; where it is not
/// to `replace` one and there is one, that says where the new one is kept.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint, bool replace = true);
/// Error(kBadInput) "PATH: expected ..., found ..." for anything that is not a whole checkpoint of ours.
[[nodiscard]] Checkpoint load_checkpoint(const std::filesystem::path& path);
/// Error(kBadInput) naming the first difference between what the checkpoint was made with and what is given
/// now: "checkpoint: option --content-weight: expected 0.05 (made with), found 0.1". Options that are younger
/// than the checkpoint must be off.
void require_same_run(const Checkpoint& checkpoint, const std::map<std::string, std::string>& options,
                      const std::map<std::string, std::string>& inputs);

}  // namespace impasto
