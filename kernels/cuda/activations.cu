// ReLU and pooling, forward and backward. Every kernel is bound by memory: a thread moves 16 bytes of each
// tensor at a time where the pointers and, for pooling, the number of channels allow it.
#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

// --- gradients in 16 bits

/// What may be stored of a gradient's values, and the largest magnitude among them.
template <class T, int N>
__device__ __forceinline__ void saturate(Pack<float, N>& values, float& peak) {
  if constexpr (std::is_same_v<T, __half>) {
#pragma unroll
    for (float& value : values.at) {
      peak = fmaxf(peak, fabsf(value));  // fmaxf drops a NaN; the value keeps it
      value = saturated<T>(value);
    }
  }
}

/// *out = max(*out, every thread's peak): floats >= 0 are
/// ordered as their bits are. One global atomic a block.
template <class T>
__device__ __forceinline__ void raise_peak(float* out, float peak) {
  if constexpr (std::is_same_v<T, __half>) {
    if (out == nullptr) return;
    __shared__ int largest;
    if (threadIdx.x == 0) largest = 0;
    __syncthreads();
    int bits = __float_as_int(peak);
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) bits = max(bits, __shfl_down_sync(~0u, bits, offset));
    if (threadIdx.x % 32 == 0) atomicMax(&largest, bits);
    __syncthreads();
    if (threadIdx.x == 0 && largest > 0) atomicMax(reinterpret_cast<int*>(out), largest);
  }
}

// --- ReLU

/// NaN stays NaN. y may be x.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) relu_forward_kernel(T* y, const T* x, std::int64_t n) {
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    auto values = load<width>(x + i);
#pragma unroll
    for (float& value : values.at) value = value < 0 ? 0.0f : value;
    store(y + i, values);
  });
}

}  // namespace

cudaError_t relu_forward(const Launch& launch, void* y, const void* x, Storage storage, std::int64_t n) {
  if (n == 0) return cudaSuccess;
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        true,
        [&](auto width) {
          return run(launch, relu_forward_kernel<T, width>, blocks_for(launch, n / width), 0,
                     static_cast<T*>(y), static_cast<const T*>(x), n);
        },
        y, x);
  });
}

namespace {

/// mask null: all pass. dx may be dy, so only the mask is __restrict__.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    relu_backward_kernel(T* dx, const T* dy, const T* __restrict__ mask, std::int64_t n, bool add,
                         float* peak_out) {
  float peak = 0;
  for_each_pack<N>(n, [&](std::int64_t i, auto width) {
    auto values = load<width>(dy + i);
    if (mask != nullptr) {
      const auto kept = load<width>(mask + i);
#pragma unroll
      for (int j = 0; j < width; ++j) values.at[j] = kept.at[j] > 0 ? values.at[j] : 0.0f;
    }
    if (add) {
      const auto before = load<width>(dx + i);
#pragma unroll
      for (int j = 0; j < width; ++j) values.at[j] += before.at[j];
    }
    saturate<T>(values, peak);
    store(dx + i, values);
  });
  raise_peak<T>(peak_out, peak);
}

cudaError_t launch_relu_backward(const Launch& launch, void* dx, const void* dy, const void* mask,
                                 Storage storage, std::int64_t n, bool add) {
  if (n == 0) return cudaSuccess;
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        true,
        [&](auto width) {
          return run(launch, relu_backward_kernel<T, width>, blocks_for(launch, n / width), 0,
                     static_cast<T*>(dx), static_cast<const T*>(dy), static_cast<const T*>(mask), n, add,
                     launch.peak);
        },
        dx, dy, mask);
  });
}

}  // namespace

cudaError_t relu_backward(const Launch& launch, void* dx, const void* dy, const void* y, Storage storage,
                          std::int64_t n, Accumulate accumulate) {
  return launch_relu_backward(launch, dx, dy, y, storage, n, accumulate == Accumulate::kAdd);
}

cudaError_t mask_gradient(const Launch& launch, void* dx, const void* mask, Storage storage, std::int64_t n) {
  if (mask == nullptr && storage != Storage::kFloat16) return cudaSuccess;  // nothing to mask or to saturate
  return launch_relu_backward(launch, dx, dx, mask, storage, n, false);
}

// --- pooling

namespace {

/// One thread takes the same N channels of a 2x2 window, in memory's order: channels, then columns, then
/// rows. c is a multiple of N.
template <class T, int N, Pooling pooling>
__global__ void __launch_bounds__(kThreads)
    pool_forward_kernel(T* __restrict__ y, const T* __restrict__ x, std::int64_t h, std::int64_t w,
                        std::int64_t c) {
  const std::int64_t row = w * c, half_row = w / 2 * c;
  for_each(h / 2 * half_row / N, [=](std::int64_t pack) {
    const std::int64_t i = pack * N, window_row = i / half_row, k = i - window_row * half_row;
    const T* corner = x + 2 * window_row * row + k + k / c * c;
    auto result = load<N>(corner);
    const Pack<float, N> others[] = {load<N>(corner + c), load<N>(corner + row), load<N>(corner + row + c)};
#pragma unroll
    for (int j = 0; j < N; ++j) {
      float& value = result.at[j];
#pragma unroll
      for (const auto& other : others) {
        value = pooling == Pooling::kAverage ? value + other.at[j]
                : value < other.at[j]        ? other.at[j]
                                             : value;
      }
      if (pooling == Pooling::kAverage) value *= 0.25f;
    }
    store(y + i, result);
  });
}

}  // namespace

cudaError_t pool_forward(const Launch& launch, void* y, const void* x, Storage storage, std::int64_t h,
                         std::int64_t w, std::int64_t c, Pooling pooling) {
  const std::int64_t n = h / 2 * (w / 2) * c;
  if (n == 0) return cudaSuccess;
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        c % static_cast<std::int64_t>(16 / sizeof(T)) == 0,
        [&](auto width) {
          const auto kernel = pooling == Pooling::kMax ? pool_forward_kernel<T, width, Pooling::kMax>
                                                       : pool_forward_kernel<T, width, Pooling::kAverage>;
          return run(launch, kernel, blocks_for(launch, n / width), 0, static_cast<T*>(y),
                     static_cast<const T*>(x), h, w, c);
        },
        y, x);
  });
}

namespace {

/// One thread takes N channels of a 2x2 window of dx, incomplete windows at the last odd row and column
/// included: those get no gradient. x is read only for the maximum or the mask. Two blocks on a
/// multiprocessor keep 9 packs a thread, 72 KiB, under way: more than memory needs.
template <class T, int N, Pooling pooling>
__global__ void __launch_bounds__(kThreads, 2)
    pool_backward_kernel(T* __restrict__ dx, const T* __restrict__ dy, const T* __restrict__ x,
                         std::int64_t h, std::int64_t w, std::int64_t c, bool add, bool mask,
                         float* peak_out) {
  float peak = 0;
  const std::int64_t row = w * c, half_row = (w + 1) / 2 * c;
  for_each((h + 1) / 2 * half_row / N, [&](std::int64_t pack) {
    const std::int64_t i = pack * N, window_row = i / half_row, k = i - window_row * half_row, column = k / c;
    const bool below = 2 * window_row + 1 < h, right = 2 * column + 1 < w;
    const std::int64_t corner = 2 * window_row * row + k + column * c;
    const bool inside[4] = {true, right, below, right && below};
    const std::int64_t at[4] = {corner, corner + c, corner + row, corner + row + c};

    // All loads before the first store, so that they are under way together.
    Pack<float, N> gradient = {}, values[4] = {}, results[4] = {};
    if (inside[3]) gradient = load<N>(dy + window_row * (w / 2 * c) + k);
    if (pooling == Pooling::kMax || mask) {
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        if (inside[p]) values[p] = load<N>(x + at[p]);
      }
    }
    if (add) {
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        if (inside[p]) results[p] = load<N>(dx + at[p]);
      }
    }
    unsigned first = 0;  // where the first maximum is, in two bits for each channel: one register
#pragma unroll
    for (int j = 0; j < N; ++j) {
      if (pooling == Pooling::kAverage) gradient.at[j] *= 0.25f;
      float largest = values[0].at[j];
      unsigned place = 0;
#pragma unroll
      for (int p = 1; p < 4; ++p) {
        if (values[p].at[j] > largest) largest = values[p].at[j], place = p;
      }
      first |= place << (2 * j);
    }
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      if (!inside[p]) continue;
#pragma unroll
      for (int j = 0; j < N; ++j) {
        float& result = results[p].at[j];
        if (pooling == Pooling::kAverage || (first >> (2 * j) & 3) == p) result += gradient.at[j];
        if (mask && !(values[p].at[j] > 0)) result = 0;
      }
      saturate<T>(results[p], peak);
      store(dx + at[p], results[p]);
    }
  });
  raise_peak<T>(peak_out, peak);
}

}  // namespace

cudaError_t pool_backward(const Launch& launch, void* dx, const void* dy, const void* x, Storage storage,
                          std::int64_t h, std::int64_t w, std::int64_t c, Pooling pooling,
                          Accumulate accumulate, Relu mask) {
  const std::int64_t n = (h + 1) / 2 * ((w + 1) / 2) * c;
  if (n == 0) return cudaSuccess;
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        c % static_cast<std::int64_t>(16 / sizeof(T)) == 0,
        [&](auto width) {
          const auto kernel = pooling == Pooling::kMax ? pool_backward_kernel<T, width, Pooling::kMax>
                                                       : pool_backward_kernel<T, width, Pooling::kAverage>;
          return run(launch, kernel, blocks_for(launch, n / width), 0, static_cast<T*>(dx),
                     static_cast<const T*>(dy), static_cast<const T*>(x), h, w, c,
                     accumulate == Accumulate::kAdd, mask == Relu::kYes, launch.peak);
        },
        dx, dy, x);
  });
}

}  // namespace impasto::cuda
