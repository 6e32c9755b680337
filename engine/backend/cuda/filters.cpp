#include "engine/backend/cuda/filters.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <vector>

namespace impasto::cuda {
namespace {

DType dtype_of(Storage storage) {
  switch (storage) {
    case Storage::kFloat16: return DType::kFloat16;
    case Storage::kBFloat16: return DType::kBFloat16;
    case Storage::kFloat64: return DType::kFloat64;
    case Storage::kFloat32: break;
  }
  return DType::kFloat32;
}

std::size_t bias_offset(std::int64_t in_channels, std::int64_t out_channels, std::size_t element) {
  return align_up(static_cast<std::size_t>(9 * in_channels * out_channels) * element, kAlignment);
}

template <class Use>
void with_type(DType dtype, Use use) {
  switch (dtype) {
    case DType::kFloat64: return use(double{});
    case DType::kFloat32: return use(float{});
    case DType::kFloat16: return use(__half{});
    case DType::kBFloat16: return use(__nv_bfloat16{});
    case DType::kUInt8: return use(std::uint8_t{});
  }
}

}  // namespace

void convert_on_host(void* dst, DType dst_dtype, const void* src, DType src_dtype, std::int64_t n) {
  with_type(dst_dtype, [&](auto to) {
    with_type(src_dtype, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      auto* const out = static_cast<To*>(dst);
      const auto* const in = static_cast<const From*>(src);
      for (std::int64_t i = 0; i < n; ++i) {
        if constexpr (sizeof(To) == 2) {
          out[i] = To(static_cast<float>(in[i]));
        } else if constexpr (sizeof(From) == 2) {
          out[i] = static_cast<To>(static_cast<float>(in[i]));
        } else {
          out[i] = static_cast<To>(in[i]);
        }
      }
    });
  });
}

std::size_t filter_bytes(std::int64_t in_channels, std::int64_t out_channels, Storage storage) {
  const std::size_t element = size_of(dtype_of(storage));
  const std::size_t bytes =
      bias_offset(in_channels, out_channels, element) + static_cast<std::size_t>(out_channels) * element;
  return align_up(bytes, kAlignment);
}

CudaConvFilter::CudaConvFilter(const std::string& format, Context& context, Buffer memory,
                               const ConvFilterDesc& desc)
    : ConvFilter(format, desc), memory_(std::move(memory)) {
  const DType dtype = dtype_of(context.storage);
  const std::int64_t in = desc.in_channels, out = desc.out_channels;
  std::vector<float> transposed(static_cast<std::size_t>(9 * in * out));
  for (std::int64_t i = 0; i < 9 * in; ++i) {
    for (std::int64_t k = 0; k < out; ++k) {
      transposed[static_cast<std::size_t>(k * 9 * in + i)] =
          desc.filter[static_cast<std::size_t>(i * out + k)];
    }
  }
  std::vector<std::byte> host(memory_.bytes());
  bias_offset_ = bias_offset(in, out, size_of(dtype));
  convert_on_host(host.data(), dtype, transposed.data(), DType::kFloat32, 9 * in * out);
  convert_on_host(host.data() + bias_offset_, dtype, desc.bias.data(), DType::kFloat32, out);
  context.enter();
  check(cudaMemcpyAsync(memory_.data(), host.data(), host.size(), cudaMemcpyHostToDevice, context.stream()),
        "cudaMemcpy");
  context.synchronise();
}

}  // namespace impasto::cuda
