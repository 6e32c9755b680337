// Values and gradients of the losses, each in one pass over its tensors and one launch.
#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

// --- squared error

/// Squares of one pack are added as float, packs as double.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    squared_error_kernel(double* loss, T* __restrict__ d, const T* __restrict__ x,
                         const T* __restrict__ target, std::int64_t n, LossScales scales, bool add, bool mask,
                         ScaledGradients* scaled, double* partials, unsigned* ticket) {
  double sum[1] = {};
  const float gradient_scale = static_cast<float>(scales.gradient) * scale_of<T>(scaled);
  float peak = 0;
  // From the end of d, which the layer above has just written.
  for_each_pack_from_end<N>(n, [&](std::int64_t i, auto width) {
    const auto found = load<width>(x + i);
    const auto wanted = load<width>(target + i);
    Pack<float, width> difference;
    float squares = 0;
#pragma unroll
    for (int j = 0; j < width; ++j) {
      difference.at[j] = found.at[j] - wanted.at[j];
      squares += difference.at[j] * difference.at[j];
    }
    sum[0] += squares;
    if (d == nullptr) return;
    Pack<float, width> values = {};
    if (add) values = load<width>(d + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      values.at[j] += gradient_scale * difference.at[j];
      if (mask && !(found.at[j] > 0)) values.at[j] = 0;
    }
    saturate<T>(values, peak);
    store(d + i, values);
  });
  raise_peak<T>(scaled, peak);
  if (grid_sum(sum, partials, ticket)) *loss = scales.value * sum[0];
}

}  // namespace

cudaError_t squared_error(const Launch& launch, double* loss, void* d, const void* x, const void* target,
                          Storage storage, std::int64_t n, LossScales scales, Accumulate accumulate,
                          Relu mask) {
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        true,
        [&](auto width) {
          return run(launch, squared_error_kernel<T, width>, blocks_for_sums(launch, n / width, 1), 0, loss,
                     static_cast<T*>(d), static_cast<const T*>(x), static_cast<const T*>(target), n, scales,
                     accumulate == Accumulate::kAdd, mask == Relu::kYes, launch.scaled, launch.partials,
                     launch.ticket);
        },
        d, x, target);
  });
}

// --- Gram matrices

namespace {

// A block takes a tile of 8x8 elements on or above the diagonal, and its threads four slices of the parts:
// so few channels (64: 36 tiles) and many parts (a large picture's) still keep many threads busy. A tile's
// row is one sector of memory.
constexpr int kTile = 8, kTileSize = kTile * kTile, kSlices = kThreads / kTileSize;

/// Which parts of a sum are a slice's.
struct PartRange {
  std::int64_t first, end;
};
__device__ __forceinline__ PartRange slice_of(std::int64_t num_parts, int slice) {
  const std::int64_t each = (num_parts + kSlices - 1) / kSlices, first = slice * each;
  return {first, first + each < num_parts ? first + each : num_parts};
}

/// Calls value(a, b, sum) for every element a <= b of a symmetric (c, c) matrix, once, with the sum of the
/// parts' elements there in double (a slice's in their order, then the slices in theirs), and write(a, b, its
/// value) for every element. Both go along rows: the mirrored tile is turned in shared memory, where each row
/// is permuted by its number, so that the elements of four rows, and of four columns, lie in 32 banks.
template <class Value, class Write>
__device__ __forceinline__ void for_symmetric(const float* __restrict__ parts, std::int64_t num_parts,
                                              std::int64_t c, Value value, Write write) {
  __shared__ double sums[kSlices][kTileSize];
  __shared__ float tile[kTile][kTile];
  const int element = threadIdx.x % kTileSize, slice = threadIdx.x / kTileSize;
  const int column = element % kTile, row = element / kTile;
  const PartRange range = slice_of(num_parts, slice);
  const std::int64_t tiles = (c + kTile - 1) / kTile;
  std::int64_t tile_row = 0, skip = blockIdx.x;  // tiles of row r of the triangle: tiles - r
  while (true) {
    while (tile_row < tiles && skip >= tiles - tile_row) skip -= tiles - tile_row++;
    if (tile_row == tiles) return;
    const std::int64_t top = tile_row * kTile, left = (tile_row + skip) * kTile;
    const std::int64_t a = top + row, b = left + column;
    const bool upper = a <= b && b < c, owns = slice == 0;
    double sum = 0;
    if (upper) {
#pragma unroll 8  // so many loads are under way at a time
      for (std::int64_t part = range.first; part < range.end; ++part) sum += parts[(part * c + a) * c + b];
    }
    sums[slice][element] = sum;
    __syncthreads();
    if (owns && upper) {
#pragma unroll
      for (int other = 1; other < kSlices; ++other) sum += sums[other][element];
      tile[row][column ^ row] = value(a, b, sum);
    }
    __syncthreads();
    if (owns && upper) write(a, b, tile[row][column ^ row]);
    const std::int64_t mirrored_a = left + row, mirrored_b = top + column;
    if (owns && mirrored_a > mirrored_b && mirrored_a < c)
      write(mirrored_a, mirrored_b, tile[column][row ^ column]);
    __syncthreads();
    skip += gridDim.x;
  }
}

unsigned blocks_for_symmetric(const Launch& launch, std::int64_t c) {
  const std::int64_t tiles = (c + kTile - 1) / kTile;
  return blocks_for_sums(launch, tiles * (tiles + 1) / 2 * kThreads, 1);
}

__global__ void __launch_bounds__(kThreads)
    gram_sum_kernel(float* __restrict__ g, const float* __restrict__ parts, std::int64_t num_parts,
                    std::int64_t c, double scale, bool add) {
  for_symmetric(
      parts, num_parts, c,
      [=](std::int64_t a, std::int64_t b, double sum) {
        return static_cast<float>(add ? g[a * c + b] + scale * sum : scale * sum);
      },
      [=](std::int64_t a, std::int64_t b, float value) { g[a * c + b] = value; });
}

}  // namespace

cudaError_t gram_sum(const Launch& launch, float* g, const float* parts, std::int64_t num_parts,
                     std::int64_t c, double scale, Accumulate accumulate) {
  if (c == 0) return cudaSuccess;
  return run(launch, gram_sum_kernel, blocks_for_symmetric(launch, c), 0, g, parts, num_parts, c, scale,
             accumulate == Accumulate::kAdd);
}

namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    style_loss_kernel(double* loss, T* __restrict__ d, const float* __restrict__ parts,
                      std::int64_t num_parts, const float* __restrict__ target, std::int64_t c,
                      double gram_scale, LossScales scales, ScaledGradients* scaled, double* partials,
                      unsigned* ticket) {
  double squares[1] = {};
  const double gradient_scale = scales.gradient * scale_of<T>(scaled);
  float peak = 0;
  for_symmetric(
      parts, num_parts, c,
      [&](std::int64_t a, std::int64_t b, double sum) {
        const double difference = gram_scale * sum - target[a * c + b];
        squares[0] += (a == b ? 1 : 2) * difference * difference;  // (b, a) as well
        Pack<float, 1> gradient{static_cast<float>(gradient_scale * difference)};
        saturate<T>(gradient, peak);
        return gradient.at[0];
      },
      [=](std::int64_t a, std::int64_t b, float value) { d[a * c + b] = cast<T>(value); });
  raise_peak<T>(scaled, peak);
  if (grid_sum(squares, partials, ticket)) *loss = scales.value * squares[0];
}

}  // namespace

cudaError_t style_loss(const Launch& launch, double* loss, void* d, Storage storage, const float* parts,
                       std::int64_t num_parts, const float* target, std::int64_t c, double gram_scale,
                       LossScales scales) {
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return run(launch, style_loss_kernel<T>, blocks_for_symmetric(launch, c), 0, loss, static_cast<T*>(d),
               parts, num_parts, target, c, gram_scale, scales, launch.scaled, launch.partials,
               launch.ticket);
  });
}

cudaError_t gram_loss(const Launch& launch, double* loss, void* d, Storage storage, const float* g,
                      const float* target, std::int64_t c, LossScales scales) {
  return style_loss(launch, loss, d, storage, g, 1, target, c, 1, scales);  // one part, which is all of it
}

// --- total variation

namespace {

constexpr int kStrip = 4;  // rows that a thread walks down: the row above and its own stay in registers

/// What to do with the differences along one direction.
struct TvScale {
  double value;    ///< of the sum of squares, or of magnitudes
  float gradient;  ///< of e, or of its sign
};

template <bool l1>
__device__ __forceinline__ float tv_value(float e) {
  return l1 ? fabsf(e) : e * e;
}
template <bool l1>
__device__ __forceinline__ float tv_slope(float e) {
  return l1 ? static_cast<float>((e > 0) - (e < 0)) : e;
}

/// x, d (h, row): row = 3 w floats, so the pixel to the right is 3 floats on. A thread takes one column of a
/// strip; the neighbours at its sides come from the cache line that its warp reads anyway. Nothing here could
/// be moved as 16 bytes: the neighbours are never aligned with the element itself. A block's task is kThreads
/// columns of a strip.
template <bool l1>
__global__ void __launch_bounds__(kThreads)
    total_variation_kernel(double* loss, float* __restrict__ d, const float* __restrict__ x, std::int64_t h,
                           std::int64_t row, TvScale across, TvScale down, double* partials,
                           unsigned* ticket) {
  double sums[2] = {};  // along x, along y
  const std::int64_t segments = (row + kThreads - 1) / kThreads, tasks = (h + kStrip - 1) / kStrip * segments;
  for (std::int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const std::int64_t strip = task / segments, begin = strip * kStrip;
    const std::int64_t column = (task - strip * segments) * kThreads + threadIdx.x;
    if (column >= row) continue;
    const std::int64_t end = begin + kStrip < h ? begin + kStrip : h;
    const bool has_left = column >= 3, has_right = column + 3 < row;
    float value_across = 0, value_down = 0;
    float here = x[begin * row + column], above_slope = 0;
    if (begin > 0) above_slope = tv_slope<l1>(here - x[(begin - 1) * row + column]);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i * row + column;
      float slope_across = 0, slope_down = above_slope, below = here;
      if (has_left) slope_across = tv_slope<l1>(here - x[at - 3]);
      if (has_right) {
        const float e = x[at + 3] - here;
        value_across += tv_value<l1>(e);
        slope_across -= tv_slope<l1>(e);
      }
      if (i + 1 < h) {
        below = x[at + row];
        value_down += tv_value<l1>(below - here);
        above_slope = tv_slope<l1>(below - here);
        slope_down -= above_slope;
      }
      if (d != nullptr) d[at] += across.gradient * slope_across + down.gradient * slope_down;
      here = below;
    }
    sums[0] += value_across;
    sums[1] += value_down;
  }
  if (grid_sum(sums, partials, ticket)) *loss = across.value * sums[0] + down.value * sums[1];
}

}  // namespace

cudaError_t total_variation(const Launch& launch, double* loss, float* d, const float* x, std::int64_t h,
                            std::int64_t w, TotalVariation kind, double weight) {
  // (rows, columns) differences along a direction; a direction without any is never scaled.
  const auto scale = [&](std::int64_t rows, std::int64_t columns) -> TvScale {
    if (kind == TotalVariation::kL1) return {1, static_cast<float>(weight)};
    const double count = static_cast<double>(std::max<std::int64_t>(1, rows * columns * 3));
    const double squares = (kind == TotalVariation::kL2 ? 1 / count : 0.5) / (255.0 * 255.0);
    return {squares, static_cast<float>(weight * squares * 2)};
  };
  const std::int64_t row = 3 * w, tasks = (h + kStrip - 1) / kStrip * ((row + kThreads - 1) / kThreads);
  const auto kernel =
      kind == TotalVariation::kL1 ? total_variation_kernel<true> : total_variation_kernel<false>;
  return run(launch, kernel, blocks_for_sums(launch, tasks * kThreads, 2), 0, loss, d, x, h, row,
             scale(h, w - 1), scale(h - 1, w), launch.partials, launch.ticket);
}

}  // namespace impasto::cuda
