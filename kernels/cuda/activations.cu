// ReLU and pooling, forward and backward. Every kernel is bound by memory: a thread moves 16 bytes of each
// tensor at a time where the pointers and, for pooling, the number of channels allow it. Each comes between
// two convolutions, which go through a tensor from its beginning, so it goes from the end.
#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

// --- ReLU

/// NaN stays NaN. y may be x.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) relu_forward_kernel(T* y, const T* x, std::int64_t n) {
  for_each_pack_from_end<N>(n, [=](std::int64_t i, auto width) {
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
                         ScaledGradients* scaled) {
  float peak = 0;
  for_each_pack_from_end<N>(n, [&](std::int64_t i, auto width) {
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
  raise_peak<T>(scaled, peak);
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
                     launch.scaled);
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

/// The window of a pack of channels: the windows' channels, then columns, then rows in memory's order, those
/// that the edge of x cuts included where `columns` counts them.
struct Window {
  std::int64_t at[4];  // in x
  bool inside[4];
  std::int64_t pooled;  // in y, where inside[3]

  __device__ Window(std::int64_t i, std::int64_t columns, std::int64_t h, std::int64_t w, std::int64_t c) {
    const std::int64_t half_row = columns * c, row = w * c;
    const std::int64_t window_row = i / half_row, k = i - window_row * half_row, column = k / c;
    const bool below = 2 * window_row + 1 < h, right = 2 * column + 1 < w;
    const std::int64_t corner = 2 * window_row * row + k + column * c;
    inside[0] = true, inside[1] = right, inside[2] = below, inside[3] = right && below;
    at[0] = corner, at[1] = corner + c, at[2] = corner + row, at[3] = corner + row + c;
    pooled = window_row * (w / 2 * c) + k;
  }
};

/// One thread takes the same N channels of a window; c is a multiple of N. Without codes cut windows are left
/// out.
template <class T, int N, Pooling pooling>
__global__ void __launch_bounds__(kThreads)
    pool_forward_kernel(T* __restrict__ y, std::uint8_t* __restrict__ codes, const T* __restrict__ x,
                        std::int64_t rows, std::int64_t columns, std::int64_t h, std::int64_t w,
                        std::int64_t c) {
  for_each_from_end(rows * columns * c / N, [=](std::int64_t pack) {
    const Window window(pack * N, columns, h, w, c);
    Pack<float, N> values[4] = {};
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      if (window.inside[p]) values[p] = load<N>(x + window.at[p]);
    }
    Pack<float, N> result = values[0];
    Pack<int, N> code;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      int signs = 0, first = 1;  // of the largest
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        const float value = values[p].at[j];
        if (value > 0) signs |= 16 << p;
        if (p == 0) continue;
        if (pooling == Pooling::kAverage) {
          result.at[j] += value;
        } else if (result.at[j] < value) {
          result.at[j] = value, first = 1 << p;
        }
      }
      if (pooling == Pooling::kAverage) result.at[j] *= 0.25f, first = 15;
      code.at[j] = window.inside[3] ? signs | first : signs;
    }
    if (y != nullptr && window.inside[3]) store(y + window.pooled, result);
    if (codes != nullptr) store(codes + pack * N, code);
  });
}

/// Packs of 16 bytes of T, if a window's channels divide into them and its codes lie so that as many bytes go
/// together.
template <class T>
bool packs_fit(std::int64_t c, const std::uint8_t* codes) {
  constexpr auto width = static_cast<std::int64_t>(16 / sizeof(T));
  return c % width == 0 && reinterpret_cast<std::uintptr_t>(codes) % width == 0;
}

}  // namespace

cudaError_t pool_forward(const Launch& launch, void* y, std::uint8_t* codes, const void* x, Storage storage,
                         std::int64_t h, std::int64_t w, std::int64_t c, Pooling pooling) {
  const std::int64_t rows = codes != nullptr ? (h + 1) / 2 : h / 2,
                     columns = codes != nullptr ? (w + 1) / 2 : w / 2, n = rows * columns * c;
  if (n == 0) return cudaSuccess;
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        packs_fit<T>(c, codes),
        [&](auto width) {
          const auto kernel = pooling == Pooling::kMax ? pool_forward_kernel<T, width, Pooling::kMax>
                                                       : pool_forward_kernel<T, width, Pooling::kAverage>;
          return run(launch, kernel, blocks_for(launch, n / width), 0, static_cast<T*>(y), codes,
                     static_cast<const T*>(x), rows, columns, h, w, c);
        },
        y, x);
  });
}

namespace {

/// One thread takes N channels of a window of dx, those that the edge cuts included: they get no gradient.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    pool_backward_kernel(T* __restrict__ dx, const T* __restrict__ dy, const std::uint8_t* __restrict__ codes,
                         std::int64_t h, std::int64_t w, std::int64_t c, float scale, bool add, bool mask,
                         ScaledGradients* scaled) {
  float peak = 0;
  const std::int64_t columns = (w + 1) / 2;
  for_each_from_end((h + 1) / 2 * columns * c / N, [&](std::int64_t pack) {
    const Window window(pack * N, columns, h, w, c);
    // All loads before the first store, so that they are under way together.
    Pack<float, N> gradient = {}, results[4] = {};
    Pack<int, N> code;
    if (window.inside[3]) gradient = load<N>(dy + window.pooled);
    if (codes != nullptr) {
      code = load<N, int>(codes + pack * N);
    } else {
#pragma unroll
      for (int& bits : code.at) bits = 15;
    }
    if (add) {
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        if (window.inside[p]) results[p] = load<N>(dx + window.at[p]);
      }
    }
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      if (!window.inside[p]) continue;
#pragma unroll
      for (int j = 0; j < N; ++j) {
        float& result = results[p].at[j];
        if (code.at[j] & 1 << p) result += scale * gradient.at[j];
        if (mask && !(code.at[j] & 16 << p)) result = 0;
      }
      saturate<T>(results[p], peak);
      store(dx + window.at[p], results[p]);
    }
  });
  raise_peak<T>(scaled, peak);
}

}  // namespace

cudaError_t pool_backward(const Launch& launch, void* dx, const void* dy, const std::uint8_t* codes,
                          Storage storage, std::int64_t h, std::int64_t w, std::int64_t c, Pooling pooling,
                          Accumulate accumulate, Relu mask) {
  const std::int64_t n = (h + 1) / 2 * ((w + 1) / 2) * c;
  if (n == 0) return cudaSuccess;
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        packs_fit<T>(c, codes),
        [&](auto width) {
          return run(launch, pool_backward_kernel<T, width>, blocks_for(launch, n / width), 0,
                     static_cast<T*>(dx), static_cast<const T*>(dy), codes, h, w, c,
                     pooling == Pooling::kAverage ? 0.25f : 1.0f, accumulate == Accumulate::kAdd,
                     mask == Relu::kYes, launch.scaled);
        },
        dx, dy);
  });
}

}  // namespace impasto::cuda
