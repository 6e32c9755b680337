#pragma once
// Convolutions through cuDNN's backend graph API: forward fused with bias and ReLU, backward-data with or
// without accumulation, NHWC. Which engine runs is chosen here from cuDNN's heuristics; choosing and building
// need no GPU, only a description of one, so that every plan can be tested anywhere.
#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine/backend/backend.h"
#include "kernels/ops.h"

namespace impasto::cuda {

/// Everything that a plan depends on, beside the GPU and cuDNN's version.
struct ConvKey {
  ConvOp op = ConvOp::kForwardRelu;
  Precision precision = Precision::kFp32;  ///< fp32: no tensor cores; tf32; bf16; fp16
  std::int64_t h = 0, w = 0, in_channels = 0,
               out_channels = 0;  ///< of the layer's input x (forward and backward)
  Padding padding;
  friend auto operator<=>(const ConvKey& a, const ConvKey& b) {
    const auto tie = [](const ConvKey& k) {
      return std::tuple(k.op, k.precision, k.h, k.w, k.in_channels, k.out_channels, k.padding.top,
                        k.padding.bottom, k.padding.left, k.padding.right);
    };
    return tie(a) <=> tie(b);
  }
};
/// "backward_add bf16 384x512 64-64 pad 1111"
[[nodiscard]] std::string to_string(const ConvKey& key);

/// Bytes that a feature map's pointer must be aligned to: a view may start at any position, so it is the
/// largest power of two, at most 16, that divides the bytes of one position. The filter and the bias must be
/// aligned to 16 bytes.
[[nodiscard]] std::int64_t alignment_of(std::int64_t channels, Precision precision);

/// A finalised plan. `engine` says which: "eng41 k2=3 k6=1 ..." (cuDNN's global engine index and its knobs).
struct ConvPlan {
  std::shared_ptr<void> plan;  ///< cudnnBackendDescriptor_t
  std::size_t workspace_bytes = 0;
  bool tensor_cores = false;
  std::string engine;
};

/// Plans for one GPU, of one backend. Throws Error(kResources) naming the key
/// where no engine fits, and Error(kInternal) for a failing cuDNN call.
class ConvPlanner {
 public:
  /// `memory_bytes`: all that the GPU has. `device_json`: cuDNN's device description as text; empty: that of
  /// `device` (a CUDA device index), from cuDNN.
  ConvPlanner(int device, std::size_t memory_bytes, const std::string& device_json = {});
  ~ConvPlanner();

  /// Candidates in cuDNN's order, at most `most`: heuristic mode A, then the fallback; without engines that
  /// are compiled at run time, are not deterministic, round their inputs or their sums, or want more
  /// workspace than the cap (64 MiB for 16-bit types; for 32-bit ones 5/4 of the layer's input and output, at
  /// most 1/16 of the memory, at least 256 MiB); for fp32 also without tensor cores, FFT and the largest
  /// Winograd tile. Empty where there is none.
  [[nodiscard]] std::vector<ConvPlan> candidates(const ConvKey& key, int most);
  /// The first candidate. Cached, as what find() gives. The reference stays valid.
  [[nodiscard]] const ConvPlan& plan(const ConvKey& key);
  /// The candidate with this engine text; nullptr if there is none such.
  [[nodiscard]] const ConvPlan* find(const ConvKey& key, const std::string& engine);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// x (or dx), the filter (out, 3, 3, in), y (or dy), and the bias (out) for
/// forward ops, all of the precision's storage type. Runs on the handle's
/// stream. A view's pointer need only be aligned as alignment_of() says.
void run_conv(cudnnHandle_t handle, const ConvPlan& plan, ConvOp op, void* x, const void* filter, void* y,
              const void* bias, void* workspace);

}  // namespace impasto::cuda
