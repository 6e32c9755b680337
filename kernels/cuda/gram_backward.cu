// The gradient of a Gram matrix on tensor cores: added to what the layers above have left in the feature
// map's gradient, and masked, in one pass. By cuBLAS the sum and the mask would be passes of their own: of
// memory, which bounds all of them for 64 and 128 channels.
//
// A block takes kRows positions with all their channels, which stay in shared memory: they are the product's
// left side, and the mask. Past them go the rows of dg, which is symmetric, so a row is what a column would
// be: kColumns of them at a time, kDepth elements of each, copied while the products before are formed.
#include <cuda_pipeline.h>

#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

constexpr int kDepth = 32;
// Elements behind each row in shared memory, so that the eight rows that a warp reads together lie in
// different banks.
constexpr int kGap = 8;
constexpr int kWarpColumns = 32;  // of a warp's products

template <int kRows, int kColumns>
struct Tile {
  static constexpr int kAcross = kColumns / kWarpColumns, kDown = kWarps / kAcross;  // warps
  static constexpr int kBands = kRows / kDown / 16;                                  // of 16 rows, a warp's
  static_assert(kRows % (kDown * 16) == 0);
  static constexpr std::size_t shared_bytes(std::int64_t c) {
    return (static_cast<std::size_t>(kRows) * (c + kGap) + 2 * kColumns * (kDepth + kGap)) * 2;
  }
};

/// Four matrices of 8x8 elements of 16 bits: lane l gives the address of row l % 8 of matrix l / 8, and gets
/// elements 2 (l % 4) and the next of row l / 4 of each.
template <class T>
__device__ __forceinline__ void load_matrices(unsigned (&to)[4], const T* row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address));
}

/// sums (16, 8) += a (16, 16) * b (16, 8), in float.
template <class T>
__device__ __forceinline__ void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, __half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#else
  static_cast<void>(a), static_cast<void>(b0), static_cast<void>(b1);
  if constexpr (std::is_same_v<T, __half>) {  // sm_75: the same in two halves; bf16 is not offered there
    for (int half = 0; half < 2; ++half) {
      asm volatile(
          "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, "
          "%3};"
          : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
          : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(half == 0 ? b0 : b1));
    }
  } else {
    __trap();
  }
#endif
}

template <class T>
struct Problem {
  T* df;
  const T *f, *dg;
  std::int64_t n;  // positions
  int c;
  float scale;
  bool add, mask;
  ScaledGradients* scaled;
};

/// Rows `first`.. of f; zeros beyond its end.
template <class T, int kRows>
__device__ __forceinline__ void fetch_features(T* to, const Problem<T>& p, std::int64_t first) {
  const int pieces = p.c / 8;
  for (int i = threadIdx.x; i < kRows * pieces; i += kThreads) {
    const int row = i / pieces, k = (i - row * pieces) * 8;
    T* const place = to + row * (p.c + kGap) + k;
    if (first + row < p.n) {
      __pipeline_memcpy_async(place, p.f + (first + row) * p.c + k, 16);
    } else {
      *reinterpret_cast<uint4*>(place) = uint4{};
    }
  }
}

/// kDepth elements of kColumns rows of dg. Row 8 q + 2 j + e of 32 is put at 8 j + 2 q + e: a thread of a
/// warp's quad q then has products of eight columns in memory's order, which move as 16 bytes.
template <class T, int kColumns>
__device__ __forceinline__ void fetch_matrix(T* to, const Problem<T>& p, int column, int depth) {
  constexpr int kPieces = kDepth / 8;
#pragma unroll
  for (int i = threadIdx.x; i < kColumns * kPieces; i += kThreads) {
    const int row = i / kPieces, k = i % kPieces * 8;
    const int place = row / 32 * 32 + row % 8 / 2 * 8 + row % 32 / 8 * 2 + row % 2;
    __pipeline_memcpy_async(to + place * (kDepth + kGap) + k,
                            p.dg + static_cast<std::int64_t>(column + row) * p.c + depth + k, 16);
  }
}

/// What a warp forms of df: a thread has eight columns from `column` on of two rows of each band.
template <class T, int kBands>
struct Part {
  int top, left;             // in the tile
  float sums[kBands][4][4];  // of 16 rows, of 8 columns
  Pack<float, 8> df[kBands][2];

  /// In the block's features, of lane / 4 and of the row 8 below it.
  __device__ __forceinline__ int row(int band, int half) const {
    return top + band * 16 + half * 8 + static_cast<int>(threadIdx.x % 32) / 4;
  }
  __device__ __forceinline__ int column(int of_tile) const {
    return of_tile + left + static_cast<int>(threadIdx.x % 4) * 8;
  }

  /// df is on its way while the products are formed.
  __device__ __forceinline__ void begin(const Problem<T>& p, std::int64_t first, int of_tile) {
#pragma unroll
    for (int band = 0; band < kBands; ++band) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        df[band][half] = {};
        const std::int64_t at = first + row(band, half);
        if (p.add && at < p.n) df[band][half] = load<8>(p.df + at * p.c + column(of_tile));
      }
#pragma unroll
      for (auto& tile : sums[band]) {
#pragma unroll
        for (float& sum : tile) sum = 0;
      }
    }
  }

  /// kDepth elements of each, from features' column on.
  __device__ __forceinline__ void add_products(const T* features, int stride, const T* matrix) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      unsigned b[2][4];  // of two tiles of 8 columns each: k..k+7, k+8..k+15
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        load_matrices(b[pair], matrix + (left + pair * 16 + lane / 16 * 8 + lane % 8) * (kDepth + kGap) + k +
                                   lane / 8 % 2 * 8);
      }
#pragma unroll
      for (int band = 0; band < kBands; ++band) {
        unsigned a[4];
        load_matrices(a, features + (top + band * 16 + lane % 16) * stride + k + lane / 16 * 8);
#pragma unroll
        for (int tile = 0; tile < 4; ++tile) {
          multiply<T>(sums[band][tile], a, b[tile / 2][tile % 2 * 2], b[tile / 2][tile % 2 * 2 + 1]);
        }
      }
    }
  }

  __device__ __forceinline__ void finish(const Problem<T>& p, std::int64_t first, int of_tile,
                                         const T* features, int stride, float& peak) {
#pragma unroll
    for (int band = 0; band < kBands; ++band) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = row(band, half);
        if (first + at >= p.n) continue;
        const auto kept = load<8>(features + at * stride + column(of_tile));
        auto& values = df[band][half];
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          values.at[j] += p.scale * sums[band][j / 2][half * 2 + j % 2];
          if (p.mask && !(kept.at[j] > 0)) values.at[j] = 0;
        }
        saturate<T>(values, peak);
        store(p.df + (first + at) * p.c + column(of_tile), values);
      }
    }
  }
};

/// Positions from the end first, which the pass before wrote last: it is still in the cache.
template <class T, int kRows, int kColumns>
__global__ void __launch_bounds__(kThreads, kColumns == 64 ? 4 : 2)  // so many blocks' registers fit
    gram_backward_kernel(Problem<T> p) {
  using Tile = Tile<kRows, kColumns>;
  extern __shared__ uint4 shared[];
  T* const features = reinterpret_cast<T*>(shared);
  T* const matrices = features + kRows * (p.c + kGap);  // two, in turn
  constexpr int kMatrix = kColumns * (kDepth + kGap);
  const int stride = p.c + kGap, warp = threadIdx.x / 32;
  const std::int64_t first = std::int64_t{gridDim.x - 1 - blockIdx.x} * kRows;

  const int depths = p.c / kDepth, tiles = p.c / kColumns;
  const int steps = (tiles - static_cast<int>(blockIdx.y) + gridDim.y - 1) / gridDim.y * depths;
  const auto tile_of = [&](int step) {
    return static_cast<int>(blockIdx.y + step / depths * gridDim.y) * kColumns;
  };
  const auto fetch = [&](int step) {
    if (step < steps) {
      fetch_matrix<T, kColumns>(matrices + step % 2 * kMatrix, p, tile_of(step), step % depths * kDepth);
    }
    __pipeline_commit();
  };
  fetch_features<T, kRows>(features, p, first);
  fetch(0);

  Part<T, Tile::kBands> part;
  part.top = warp / Tile::kAcross * (Tile::kBands * 16);
  part.left = warp % Tile::kAcross * kWarpColumns;
  float peak = 0;
  for (int step = 0; step < steps; ++step) {
    const int depth = step % depths * kDepth;
    if (depth == 0) part.begin(p, first, tile_of(step));
    fetch(step + 1);
    __pipeline_wait_prior(1);
    __syncthreads();
    part.add_products(features + depth, stride, matrices + step % 2 * kMatrix);
    if (depth + kDepth == p.c) part.finish(p, first, tile_of(step), features, stride, peak);
    __syncthreads();  // the matrix may be overwritten
  }
  __pipeline_wait_prior(0);
  raise_peak<T>(p.scaled, peak);
}

template <class T, int kRows, int kColumns>
cudaError_t launch_tiles(const Launch& launch, const Problem<T>& problem) {
  const auto kernel = gram_backward_kernel<T, kRows, kColumns>;
  const std::size_t bytes = Tile<kRows, kColumns>::shared_bytes(problem.c);
  const cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (status != cudaSuccess) return status;
  const std::int64_t down = (problem.n + kRows - 1) / kRows;
  // Few positions: their columns are shared by several blocks.
  const std::int64_t across =
      std::clamp<std::int64_t>(2 * launch.num_sms / down, 1, std::int64_t{problem.c / kColumns});
  const dim3 blocks(static_cast<unsigned>(down), static_cast<unsigned>(across));
  return run(launch, kernel, blocks, bytes, problem);
}

}  // namespace

bool takes_gram_backward(std::size_t shared_bytes, Storage storage, const void* df, const void* f,
                         const void* dg, std::int64_t c) {
  const auto aligned = [](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  };
  return (storage == Storage::kFloat16 || storage == Storage::kBFloat16) &&
         (c == 64 || (c > 0 && c % 128 == 0)) && Tile<32, 128>::shared_bytes(c) <= shared_bytes &&
         aligned(df) && aligned(f) && aligned(dg);
}

cudaError_t gram_backward(const Launch& launch, void* df, const void* f, const void* dg, Storage storage,
                          std::int64_t n, std::int64_t c, float scale, Accumulate accumulate, Relu mask) {
  if (n == 0) return cudaSuccess;
  const auto launch_as = [&]<class T>(std::type_identity<T>) {
    const Problem<T> problem{static_cast<T*>(df),
                             static_cast<const T*>(f),
                             static_cast<const T*>(dg),
                             n,
                             static_cast<int>(c),
                             scale,
                             accumulate == Accumulate::kAdd,
                             mask == Relu::kYes,
                             launch.scaled};
    if (c == 64) return launch_tiles<T, 64, 64>(launch, problem);
    if (Tile<64, 128>::shared_bytes(c) <= launch.shared_bytes)
      return launch_tiles<T, 64, 128>(launch, problem);
    return launch_tiles<T, 32, 128>(launch, problem);
  };
  if (storage == Storage::kFloat16) return launch_as(std::type_identity<__half>{});
  if (storage == Storage::kBFloat16) return launch_as(std::type_identity<__nv_bfloat16>{});
  return cudaErrorInvalidValue;
}

}  // namespace impasto::cuda
