// Copies between types, and between the picture (3 channels, float) and the network's input.
#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

template <class To, class From, int N>
__global__ void __launch_bounds__(kThreads)
    convert_kernel(When when, To* __restrict__ dst, const From* __restrict__ src, std::int64_t n) {
  if (when.skips()) return;
  for_each_pack<N>(n, [=](std::int64_t i, auto width) { store(dst + i, load<width, From>(src + i)); });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) fill_kernel(When when, T* dst, T value, std::int64_t n) {
  if (when.skips()) return;
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    Pack<T, width> values;
#pragma unroll
    for (int j = 0; j < width; ++j) values.at[j] = value;
    store(dst + i, values);
  });
}

/// A block takes kThreads pixels: read in order into shared memory, from where each pack picks its channels
/// (three words a pixel: no two lanes meet in a bank). A pack never reaches over a pixel's end: channels is a
/// multiple of N.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    picture_to_input_kernel(T* __restrict__ input, std::int64_t channels, const float* __restrict__ picture,
                            std::int64_t n) {
  __shared__ float staged[3 * kThreads];
  const unsigned packs = static_cast<unsigned>(channels) / N;  // of a pixel
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kThreads; begin < n;
       begin += std::int64_t{gridDim.x} * kThreads) {
    const unsigned count = n - begin < kThreads ? static_cast<unsigned>(n - begin) : kThreads;
    for (unsigned i = threadIdx.x; i < 3 * count; i += kThreads) staged[i] = picture[3 * begin + i];
    __syncthreads();
    for (unsigned i = threadIdx.x; i < count * packs; i += kThreads) {
      const unsigned pixel = i / packs, first = (i - pixel * packs) * N;
      Pack<float, N> values;
#pragma unroll
      for (unsigned j = 0; j < N; ++j) values.at[j] = first + j < 3 ? staged[3 * pixel + first + j] : 0.0f;
      store(input + (begin * packs + i) * N, values);
    }
    __syncthreads();
  }
}

/// One element a thread: the picture's rows of threes are written in order, and a warp's reads of the input
/// fall into the same sectors whatever a thread reads at once. From the end, which the first layer's
/// convolution has just written.
template <class T>
__global__ void __launch_bounds__(kThreads)
    input_to_picture_kernel(float* __restrict__ dpicture, const T* __restrict__ dinput, std::int64_t channels,
                            std::int64_t n, bool add, ScaledGradients* scaled) {
  const float scale = 1 / scale_of<T>(scaled);
  float peak = 0;
  for_each_from_end(n * 3, [&](std::int64_t i) {
    const std::int64_t pixel = i / 3;
    Pack<float, 1> value{cast<float>(dinput[pixel * channels + i - pixel * 3])};
    saturate<T>(value, peak);
    value.at[0] *= scale;
    dpicture[i] = add ? dpicture[i] + value.at[0] : value.at[0];
  });
  raise_peak<T>(scaled, peak);
}

__global__ void watch_gradients_kernel(double* peak, ScaledGradients* scaled, GradientRoom room) {
  if (threadIdx.x != 0) return;
  *peak = scaled->peak;
  scaled->scale = static_cast<float>(next_gradient_scale(scaled->scale, scaled->peak, room));
  scaled->peak = 0;
}

}  // namespace

cudaError_t convert(const Launch& launch, void* dst, Storage dst_type, const void* src, Storage src_type,
                    std::int64_t n) {
  if (n == 0) return cudaSuccess;
  return for_any(dst_type, [&]<class To>(std::type_identity<To>) {
    return for_any(src_type, [&]<class From>(std::type_identity<From>) {
      // The wider type's 16 bytes set the width; the other one moves 4 or 8.
      using Wider = std::conditional_t<(sizeof(To) > sizeof(From)), To, From>;
      return for_width<Wider>(
          true,
          [&](auto width) {
            return run_when(launch, convert_kernel<To, From, width>, blocks_for(launch, n / width), 0,
                            static_cast<To*>(dst), static_cast<const From*>(src), n);
          },
          dst, src);
    });
  });
}

cudaError_t fill(const Launch& launch, void* dst, Storage type, double value, std::int64_t n) {
  if (n == 0) return cudaSuccess;
  return for_any(type, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        true,
        [&](auto width) {
          return run_when(launch, fill_kernel<T, width>, blocks_for(launch, n / width), 0,
                          static_cast<T*>(dst), static_cast<T>(value), n);
        },
        dst);
  });
}

cudaError_t find_code() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, input_to_picture_kernel<float>);
}

cudaError_t picture_to_input(const Launch& launch, void* input, Storage type, std::int64_t channels,
                             const float* picture, std::int64_t n) {
  if (n == 0) return cudaSuccess;
  return for_activation(type, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        channels % static_cast<std::int64_t>(16 / sizeof(T)) == 0,
        [&](auto width) {
          return run(launch, picture_to_input_kernel<T, width>, blocks_for(launch, n), 0,
                     static_cast<T*>(input), channels, picture, n);
        },
        input);
  });
}

cudaError_t input_to_picture(const Launch& launch, float* dpicture, const void* dinput, Storage type,
                             std::int64_t channels, std::int64_t n, Accumulate accumulate) {
  if (n == 0) return cudaSuccess;
  return for_activation(type, [&]<class T>(std::type_identity<T>) {
    return run(launch, input_to_picture_kernel<T>, blocks_for(launch, n * 3), 0, dpicture,
               static_cast<const T*>(dinput), channels, n, accumulate == Accumulate::kAdd, launch.scaled);
  });
}

cudaError_t watch_gradients(const Launch& launch, double* peak, GradientRoom room) {
  return run(launch, watch_gradients_kernel, 1, 0, peak, launch.scaled, room);
}

}  // namespace impasto::cuda
