#include "engine/backend/cuda/gram.h"

#include <algorithm>
#include <limits>

#include "engine/core/error.h"

namespace impasto::cuda {
namespace {

// A float sum over so many positions at the most; over fewer where that gives every multiprocessor a part.
constexpr std::int64_t kLongestPart = 4096, kShortestPart = 512;

cublasComputeType_t compute_type(const Context& context) {
  switch (context.precision) {
    case Precision::kFp32: return CUBLAS_COMPUTE_32F_PEDANTIC;
    case Precision::kTf32: return CUBLAS_COMPUTE_32F_FAST_TF32;
    default: return CUBLAS_COMPUTE_32F;
  }
}

int to_int(std::int64_t value) {
  if (value > std::numeric_limits<int>::max()) {
    throw Error(ErrorCode::kResources,
                "gram: expected at most 2^31 - 1 positions, found " + std::to_string(value));
  }
  return static_cast<int>(value);
}

}  // namespace

GramSplit split_gram(std::int64_t positions, std::int64_t channels, int num_sms) {
  const std::int64_t tiles = (channels + 127) / 128;
  const std::int64_t longest = std::clamp(positions * tiles * tiles / num_sms, kShortestPart, kLongestPart);
  const std::int64_t fewest = (positions + longest - 1) / longest;
  // Equal parts need one product; they are found for all but unlucky sizes.
  for (std::int64_t n = fewest; n <= 4 * fewest; ++n) {
    if (positions % n == 0) return {positions / n, n, 0};
  }
  return {longest, positions / longest, positions % longest};
}

std::size_t gram_workspace_bytes(Shape features, int num_sms) {
  const GramSplit split = split_gram(features.positions(), features.c, num_sms);
  return static_cast<std::size_t>(split.total_parts() * features.c * features.c) * sizeof(float);
}

std::int64_t gram_parts(Context& context, float* parts, ConstTensorView f) {
  const GramSplit split = split_gram(f.shape.positions(), f.shape.c, context.properties.num_sms);
  const int c = to_int(f.shape.c);
  const cudaDataType_t type = cublas_type(context.storage);
  const float one = 1, zero = 0;
  context.fork();
  // cuBLAS counts columns first: f is (C, N) to it, and the product f f^T.
  const auto multiply = [&](const void* from, std::int64_t positions, float* to, std::int64_t count) {
    ++context.counts.products;
    check(cublasGemmStridedBatchedEx(context.cublas(), CUBLAS_OP_N, CUBLAS_OP_T, c, c, to_int(positions),
                                     &one, from, type, c, positions * c, from, type, c, positions * c, &zero,
                                     to, CUDA_R_32F, c, static_cast<long long>(c) * c, to_int(count),
                                     compute_type(context), CUBLAS_GEMM_DEFAULT),
          "a Gram product");
  };
  if (split.num_parts > 0) multiply(f.data, split.part, parts, split.num_parts);
  if (split.rest > 0) {
    const auto done = split.part * split.num_parts * f.shape.c;
    multiply(static_cast<const std::byte*>(f.data) + static_cast<std::size_t>(done) * size_of(f.dtype),
             split.rest, parts + split.num_parts * c * c, 1);
  }
  return split.total_parts();
}

void gram_backward(Context& context, TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                   Accumulate accumulate) {
  const int c = to_int(f.shape.c), n = to_int(f.shape.positions());
  const cudaDataType_t type = cublas_type(context.storage);
  const auto alpha = static_cast<float>(scale);
  const float beta = accumulate == Accumulate::kAdd ? 1 : 0;
  context.fork();
  ++context.counts.products;
  check(cublasGemmEx(context.cublas(), CUBLAS_OP_N, CUBLAS_OP_N, c, n, c, &alpha, dg.data, type, c, f.data,
                     type, c, &beta, df.data, type, c, compute_type(context), CUBLAS_GEMM_DEFAULT),
        "a style gradient");
}

}  // namespace impasto::cuda
