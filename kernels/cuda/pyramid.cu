// Half the size with the weights [1 3 3 1] / 8 along each axis, and the transpose of that. A thread makes one
// element of the output, so that each sum has one order; neighbours share their reads in the cache.
#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

__device__ __forceinline__ std::int64_t inside(std::int64_t i, std::int64_t n) {
  return i < 0 ? 0 : (i < n ? i : n - 1);
}

__global__ void __launch_bounds__(kThreads)
    halve_kernel(When when, float* __restrict__ y, const float* __restrict__ x, std::int64_t h,
                 std::int64_t w, std::int64_t c, std::int64_t out_w, std::int64_t n) {
  if (when.skips()) return;
  for_each(n, [=](std::int64_t i) {
    const std::int64_t pixel = i / c, k = i - pixel * c, row = pixel / out_w, column = pixel - row * out_w;
    float sum = 0;
#pragma unroll
    for (int a = 0; a < 4; ++a) {
      const float* const line = x + inside(2 * row - 1 + a, h) * w * c + k;
      float of_row = 0;
#pragma unroll
      for (int b = 0; b < 4; ++b) {
        of_row += (b % 3 == 0 ? 0.125F : 0.375F) * line[inside(2 * column - 1 + b, w) * c];
      }
      sum += (a % 3 == 0 ? 0.125F : 0.375F) * of_row;
    }
    y[i] = sum;
  });
}

/// Who reads position j of n: j / 2 and one neighbour. Two taps of the last reader lie beyond an odd n and
/// read its last position.
struct Readers {
  std::int64_t near, far;
  float near_weight;  // far's is 1 / 8
};
__device__ __forceinline__ Readers readers(std::int64_t j, std::int64_t n) {
  const std::int64_t near = j / 2;
  return {near, inside(j % 2 == 0 ? near - 1 : near + 1, (n + 1) / 2),
          j == n - 1 && n % 2 == 1 ? 0.875F : 0.375F};
}

__global__ void __launch_bounds__(kThreads)
    halve_transposed_add_kernel(When when, float* __restrict__ x, const float* __restrict__ y, float scale,
                                std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t out_w,
                                std::int64_t n) {
  if (when.skips()) return;
  for_each(n, [=](std::int64_t i) {
    const std::int64_t pixel = i / c, k = i - pixel * c;
    const Readers r = readers(pixel / w, h), q = readers(pixel % w, w);
    const float* const near = y + r.near * out_w * c + k;
    const float* const far = y + r.far * out_w * c + k;
    const float upper = q.near_weight * near[q.near * c] + 0.125F * near[q.far * c];
    const float lower = q.near_weight * far[q.near * c] + 0.125F * far[q.far * c];
    x[i] += scale * (r.near_weight * upper + 0.125F * lower);
  });
}

}  // namespace

cudaError_t halve(const Launch& launch, float* y, const float* x, std::int64_t h, std::int64_t w,
                  std::int64_t c) {
  const std::int64_t out_w = (w + 1) / 2, n = (h + 1) / 2 * out_w * c;
  if (n == 0) return cudaSuccess;
  return run_when(launch, halve_kernel, blocks_for(launch, n), 0, y, x, h, w, c, out_w, n);
}

cudaError_t halve_transposed_add(const Launch& launch, float* x, const float* y, double scale, std::int64_t h,
                                 std::int64_t w, std::int64_t c) {
  const std::int64_t out_w = (w + 1) / 2, n = h * w * c;
  if (n == 0) return cudaSuccess;
  return run_when(launch, halve_transposed_add_kernel, blocks_for(launch, n), 0, x, y,
                  static_cast<float>(scale), h, w, c, out_w, n);
}

}  // namespace impasto::cuda
