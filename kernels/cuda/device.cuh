#pragma once
// What the kernels share: types and widths chosen at the launch, packs of elements that move as 16 bytes, and
// sums over a block and over the whole grid.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <type_traits>

#include "kernels/cuda/kernels.h"

namespace impasto::cuda {

// Eight warps: enough of them to share a block's sum, few enough that whole blocks of a streaming kernel (32
// registers a thread) fill a multiprocessor's threads: 2048, 1536 (sm_86, 89 and 120) or 1024 (sm_75).
constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

// --- the launch

/// Blocks for `work` threads, at most `per_sm` on each multiprocessor (0: as many as it holds): the kernels
/// stride over the grid.
inline unsigned blocks_for(const Launch& launch, std::int64_t work, std::int64_t per_sm = 0) {
  const std::int64_t needed = (work + kThreads - 1) / kThreads;
  const std::int64_t held = std::max(launch.threads_per_sm / kThreads, 1);
  const std::int64_t most = (per_sm > 0 ? std::min(per_sm, held) : held) * launch.num_sms;
  return static_cast<unsigned>(std::clamp<std::int64_t>(needed, 1, most));
}

/// Blocks for a reduction of `sums` values: each block owns as many of the partial sums.
inline unsigned blocks_for_sums(const Launch& launch, std::int64_t work, std::int64_t sums,
                                std::int64_t per_sm = 0) {
  return std::min(blocks_for(launch, work, per_sm), static_cast<unsigned>(kNumPartials / sums));
}

/// A kernel's first parameter, where it may be left out: `if (when.skips()) return;`.
struct When {
  const double* flag;
  __device__ __forceinline__ bool skips() const { return flag != nullptr && *flag == 0; }
};

/// Hands launch.when to the kernel.
template <class... Parameters, class... Arguments>
cudaError_t run_when(const Launch& launch, void (*kernel)(When, Parameters...), unsigned blocks,
                     std::size_t shared_bytes, Arguments... arguments) {
  kernel<<<blocks, kThreads, shared_bytes, launch.stream>>>(When{launch.when}, arguments...);
  return cudaGetLastError();
}

template <class... Parameters, class... Arguments>
cudaError_t run(const Launch& launch, void (*kernel)(Parameters...), dim3 blocks, std::size_t shared_bytes,
                Arguments... arguments) {
  if (launch.when != nullptr) return cudaErrorNotSupported;
  kernel<<<blocks, kThreads, shared_bytes, launch.stream>>>(arguments...);
  return cudaGetLastError();
}

/// f(std::type_identity<T>) of the activation type T that `storage` says.
template <class F>
cudaError_t for_activation(Storage storage, F f) {
  switch (storage) {
    case Storage::kFloat32: return f(std::type_identity<float>{});
    case Storage::kFloat16: return f(std::type_identity<__half>{});
    case Storage::kBFloat16: return f(std::type_identity<__nv_bfloat16>{});
    case Storage::kFloat64: break;
  }
  return cudaErrorInvalidValue;
}

/// The same for any type.
template <class F>
cudaError_t for_any(Storage storage, F f) {
  return storage == Storage::kFloat64 ? f(std::type_identity<double>{}) : for_activation(storage, f);
}

/// A number of elements that the type knows. std::integral_constant does not convert on the device.
template <int N>
struct Width {
  __host__ __device__ constexpr operator int() const { return N; }
};

/// f(Width<N>) if every pointer (null included) is aligned for N elements of T in 16 bytes and `fits` holds,
/// else f(Width<1>): views may start at any element.
template <class T, class F, class... Pointers>
cudaError_t for_width(bool fits, F f, Pointers... pointers) {
  const bool aligned = (... && (reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0));
  return fits && aligned ? f(Width<static_cast<int>(16 / sizeof(T))>{}) : f(Width<1>{});
}

// --- elements

/// From one type to another, rounded once (there is no
/// direct way between the 16-bit types; float holds both).
template <class To, class From>
__device__ __forceinline__ To cast(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (sizeof(To) == 2 && sizeof(From) == 2) {
    return static_cast<To>(static_cast<float>(value));
  } else if constexpr (sizeof(To) == 8 && sizeof(From) == 2) {
    return static_cast<double>(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

template <class T, int N>
struct Pack {
  T at[N];
};

/// The type that moves so many bytes in one instruction. A struct of elements would leave that to the
/// optimiser, which at times splits it.
template <std::size_t bytes>
using Bits = std::conditional_t<
    bytes == 16, uint4,
    std::conditional_t<bytes == 8, uint2,
                       std::conditional_t<bytes == 4, unsigned,
                                          std::conditional_t<bytes == 2, unsigned short, unsigned char>>>>;

/// Loads N elements of 16 bytes at the most together, as float unless another type is asked for.
template <int N, class To = float, class T>
__device__ __forceinline__ Pack<To, N> load(const T* from) {
  const auto bits = *reinterpret_cast<const Bits<N * sizeof(T)>*>(from);
  Pack<T, N> raw;
  static_assert(sizeof(bits) == sizeof(raw));
  memcpy(&raw, &bits, sizeof(raw));
  Pack<To, N> result;
#pragma unroll
  for (int j = 0; j < N; ++j) result.at[j] = cast<To>(raw.at[j]);
  return result;
}

template <class T, class From, int N>
__device__ __forceinline__ void store(T* to, const Pack<From, N>& values) {
  Pack<T, N> raw;
#pragma unroll
  for (int j = 0; j < N; ++j) raw.at[j] = cast<T>(values.at[j]);
  Bits<N * sizeof(T)> bits;
  static_assert(sizeof(bits) == sizeof(raw));
  memcpy(&bits, &raw, sizeof(raw));
  auto* const place = reinterpret_cast<Bits<N * sizeof(T)>*>(to);
  if constexpr (N > 1) {
    __stwb(place, bits);  // an ordinary store that the optimiser does not split either
  } else {
    *place = bits;
  }
}

// --- gradients of activations

/// What may be stored of a gradient's value: fp16 would make it infinite beyond its largest, and infinity
/// times the zeros of a feature map is no number. NaN stays.
template <class T>
__device__ __forceinline__ float saturated(float value) {
  constexpr auto kLargest = static_cast<float>(kLargestHalf);
  if constexpr (!std::is_same_v<T, __half>) return value;
  return fabsf(value) > kLargest ? copysignf(kLargest, value) : value;
}

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

/// scaled->peak = max(scaled->peak, every thread's peak): floats >= 0 are ordered as their bits are. One
/// global atomic a block. Every thread calls it.
template <class T>
__device__ __forceinline__ void raise_peak(ScaledGradients* scaled, float peak) {
  if constexpr (std::is_same_v<T, __half>) {
    if (scaled == nullptr) return;
    __shared__ int largest;
    if (threadIdx.x == 0) largest = 0;
    __syncthreads();
    int bits = __float_as_int(peak);
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) bits = max(bits, __shfl_down_sync(~0u, bits, offset));
    if (threadIdx.x % 32 == 0) atomicMax(&largest, bits);
    __syncthreads();
    if (threadIdx.x == 0 && largest > 0) atomicMax(reinterpret_cast<int*>(&scaled->peak), largest);
  }
}

/// What such a gradient is multiplied by.
template <class T>
__device__ __forceinline__ float scale_of(const ScaledGradients* scaled) {
  if constexpr (!std::is_same_v<T, __half>) return 1;
  return scaled == nullptr ? 1 : scaled->scale;
}

// --- loops

/// body(i) for i in 0..n-1; the grid's threads take turns.
template <class Body>
__device__ __forceinline__ void for_each(std::int64_t n, Body body) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) body(i);
}

/// The same from the end: the first wave of the grid takes the last elements. Who wrote a tensor from its
/// beginning left its end in the second-level cache, to be read first; who reads on finds the beginning.
template <class Body>
__device__ __forceinline__ void for_each_from_end(std::int64_t n, Body body) {
  // Counted upwards: such a loop the compiler unrolls.
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads,
                     end = (n + kThreads - 1) / kThreads * kThreads;
  std::int64_t before = std::int64_t{blockIdx.x} * kThreads + kThreads - 1 - threadIdx.x;
  if (before < end - n) before += stride;  // the tensor ends within the first block's turn
  for (; before < end; before += stride) body(end - 1 - before);
}

/// body(i, Width<N>) for whole packs that start at element
/// i, then body(i, Width<1>) for the elements after them.
template <int N, class Body>
__device__ __forceinline__ void for_each_pack(std::int64_t n, Body body) {
  const std::int64_t packs = n / N;
  for_each(packs, [&](std::int64_t i) { body(i * N, Width<N>{}); });
  if constexpr (N > 1) for_each(n - packs * N, [&](std::int64_t i) { body(packs * N + i, Width<1>{}); });
}

/// The same from the end: those after the packs come first.
template <int N, class Body>
__device__ __forceinline__ void for_each_pack_from_end(std::int64_t n, Body body) {
  const std::int64_t packs = n / N;
  if constexpr (N > 1) for_each(n - packs * N, [&](std::int64_t i) { body(packs * N + i, Width<1>{}); });
  for_each_from_end(packs, [&](std::int64_t i) { body(i * N, Width<N>{}); });
}

// --- sums

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(~0u, value, offset);
  return value;  // in lane 0
}

/// The block's sum of each of K values, in thread 0. Every thread of the block calls it.
template <int K>
__device__ __forceinline__ void block_sum(double (&values)[K]) {
  __shared__ double of_warp[K][kWarps];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    values[k] = warp_sum(values[k]);
    if (lane == 0) of_warp[k][warp] = values[k];
  }
  __syncthreads();
  if (warp == 0) {
#pragma unroll
    for (int k = 0; k < K; ++k) values[k] = warp_sum(lane < kWarps ? of_warp[k][lane] : 0.0);
  }
  __syncthreads();  // of_warp may be written again
}

/// Is this the last block of the grid to come here? What the others wrote before is then visible (read it by
/// __ldcg). The ticket wraps back to 0.
__device__ __forceinline__ bool is_last_block(unsigned* ticket) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
  __syncthreads();
  if (last) __threadfence();
  return last;
}

/// The grid's sum of each of K values: true in one thread of the grid, which then has them. The order depends
/// on the grid alone. Every thread calls it.
template <int K>
__device__ __forceinline__ bool grid_sum(double (&values)[K], double* __restrict__ partials,
                                         unsigned* ticket) {
  block_sum(values);
  if (threadIdx.x == 0) {
#pragma unroll
    for (int k = 0; k < K; ++k) partials[k * gridDim.x + blockIdx.x] = values[k];
  }
  if (!is_last_block(ticket)) return false;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    values[k] = 0;
    for (unsigned block = threadIdx.x; block < gridDim.x; block += kThreads) {
      values[k] += __ldcg(&partials[k * gridDim.x + block]);
    }
  }
  block_sum(values);
  return threadIdx.x == 0;
}

}  // namespace impasto::cuda
