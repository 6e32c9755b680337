#pragma once
// The prepared filter of a convolution, an object of its own: made once, shared by whoever convolves with it.
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace impasto {

/// filter (3,3,in,out) HWIO and bias (out) on the host; copied and prepared, not kept.
struct ConvFilterDesc {
  std::int64_t in_channels = 0, out_channels = 0;
  std::span<const float> filter, bias;
};

/// Filter and bias of one 3x3 convolution in the memory and layout of a device. Immutable: networks, renders
/// and streams share it, from any thread. Made by Backend::make_conv_filter, counted there
/// (traits().conv_filter_bytes), and used by any backend of the same traits().filter_format, also when the
/// one that made it has gone.
class ConvFilter {
 public:
  virtual ~ConvFilter() = default;
  ConvFilter(const ConvFilter&) = delete;
  ConvFilter& operator=(const ConvFilter&) = delete;
  [[nodiscard]] std::int64_t in_channels() const { return in_channels_; }
  [[nodiscard]] std::int64_t out_channels() const { return out_channels_; }
  [[nodiscard]] const std::string& format() const { return format_; }

 protected:
  ConvFilter(std::string format, const ConvFilterDesc& desc)
      : format_(std::move(format)), in_channels_(desc.in_channels), out_channels_(desc.out_channels) {}

 private:
  std::string format_;
  std::int64_t in_channels_, out_channels_;
};

}  // namespace impasto
