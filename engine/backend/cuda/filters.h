#pragma once
// Filters and biases on a GPU, in the layout and type that cuDNN reads: (out, 3, 3, in), then the bias at the
// next multiple of kAlignment.
#include <cstddef>

#include "engine/backend/cuda/context.h"

namespace impasto::cuda {

[[nodiscard]] std::size_t filter_bytes(std::int64_t in_channels, std::int64_t out_channels, Storage storage);

class CudaConvFilter final : public ConvFilter {
 public:
  /// memory: filter_bytes(). Waits until it is filled: from then on any stream may read it.
  CudaConvFilter(const std::string& format, Context& context, Buffer memory, const ConvFilterDesc& desc);
  [[nodiscard]] const void* filter() const { return memory_.data(); }
  [[nodiscard]] const void* bias() const { return static_cast<std::byte*>(memory_.data()) + bias_offset_; }

 private:
  Buffer memory_;
  std::size_t bias_offset_;
};

/// Host conversion of n elements.
void convert_on_host(void* dst, DType dst_dtype, const void* src, DType src_dtype, std::int64_t n);

}  // namespace impasto::cuda
