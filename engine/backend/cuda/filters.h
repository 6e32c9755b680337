#pragma once
// Filters and biases on a GPU, in the layout and type that cuDNN reads: (out, 3, 3, in), then the bias at the
// next multiple of 256 bytes. Backends that want the same ones share them.
#include <cstddef>
#include <memory>

#include "engine/backend/cuda/context.h"
#include "engine/backend/cuda/owners.h"

namespace impasto::cuda {

[[nodiscard]] std::size_t filter_bytes(std::int64_t in_channels, std::int64_t out_channels, Storage storage);

/// Device memory with the filters of one layer.
class DeviceFilters {
 public:
  DeviceFilters(Context& context, const Conv2dDesc& desc);
  [[nodiscard]] void* filter() const { return data_.get(); }
  [[nodiscard]] void* bias() const { return static_cast<std::byte*>(data_.get()) + bias_offset_; }

 private:
  DeviceMemory data_;
  std::size_t bias_offset_ = 0;
};

/// The process's filters with these values on this GPU in this type, uploaded if no one holds them.
[[nodiscard]] std::shared_ptr<const DeviceFilters> shared_filters(Context& context, const Conv2dDesc& desc);

/// Host conversion of n elements.
void convert_on_host(void* dst, DType dst_dtype, const void* src, DType src_dtype, std::int64_t n);

}  // namespace impasto::cuda
