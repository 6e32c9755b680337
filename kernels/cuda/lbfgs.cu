// L-BFGS on inner products: the history is read once for all of them, and the recursion works on them alone.
#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

// --- push

template <int N>
__global__ void __launch_bounds__(kThreads)
    lbfgs_push_kernel(When when, float* __restrict__ history, float* __restrict__ g_previous,
                      const double* __restrict__ state, const float* __restrict__ d,
                      const float* __restrict__ g, std::int64_t slots, std::int64_t n) {
  if (when.skips()) return;
  const auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);
  const auto step = static_cast<float>(state[LbfgsState::kStep]);
  float* const s = history + spare * n;
  float* const y = history + (slots + spare) * n;
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    auto direction = load<width>(d + i), difference = load<width>(g_previous + i);
    const auto gradient = load<width>(g + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      direction.at[j] *= step;
      difference.at[j] = gradient.at[j] - difference.at[j];
    }
    store(s + i, direction);
    store(y + i, difference);
    store(g_previous + i, gradient);
  });
}

}  // namespace

cudaError_t lbfgs_push(const Launch& launch, float* history, float* g_previous, const double* state,
                       const float* d, const float* g, std::int64_t slots, std::int64_t n) {
  if (n == 0) return cudaSuccess;
  return for_width<float>(
      n % 4 == 0,  // so that every row is aligned
      [&](auto width) {
        return run_when(launch, lbfgs_push_kernel<width>, blocks_for(launch, n / width), 0, history,
                        g_previous, state, d, g, slots, n);
      },
      history, g_previous, d, g);
}

// --- inner products

namespace {

// A thread holds four elements of g, or of y and g, and sweeps all rows with them, four rows at a time: 4 or
// 8 sums of four products in float, which a warp adds up together in double. One double a sum in place of one
// a product: many GPUs have few units for them. The roundings of so short sums go either way, and over a
// picture cancel.
constexpr int kElements = 4, kRows = 4;

/// Elements first + (0..3) (packed) or first + (0..3) * kThreads of a row; zero from n on.
template <bool packed>
__device__ __forceinline__ Pack<float, kElements> load_elements(const float* row, std::int64_t first,
                                                                std::int64_t n) {
  Pack<float, kElements> result = {};
  if constexpr (packed) {
    if (first < n) result = load<kElements>(row + first);
  } else {
#pragma unroll
    for (int e = 0; e < kElements; ++e) {
      if (first + e * kThreads < n) result.at[e] = row[first + e * kThreads];
    }
  }
  return result;
}

/// The warp's sums of four values a lane, for the price of little more than one: lanes hand each other the
/// values that they do not go on with. The sum of values[r] ends in lane 8 r.
__device__ __forceinline__ double warp_sum_of_four(const double (&values)[kRows]) {
  const bool upper = threadIdx.x & 16, odd = threadIdx.x & 8;
  double first = upper ? values[2] : values[0], second = upper ? values[3] : values[1];
  first += __shfl_xor_sync(~0u, upper ? values[0] : values[2], 16);
  second += __shfl_xor_sync(~0u, upper ? values[1] : values[3], 16);
  double sum = odd ? second : first;
  sum += __shfl_xor_sync(~0u, odd ? first : second, 8);
#pragma unroll
  for (int offset = 4; offset > 0; offset /= 2) sum += __shfl_down_sync(~0u, sum, offset, 8);
  return sum;
}

/// Rows row + (0..3) of the history, as load_elements; nothing beyond the last row.
template <bool packed>
__device__ __forceinline__ void load_rows(Pack<float, kElements> (&to)[kRows], const float* history, int row,
                                          int num_rows, std::int64_t first, std::int64_t n) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    to[r] = {};
    if (row + r < num_rows) to[r] = load_elements<packed>(history + (row + r) * n, first, n);
  }
}

/// The thread's products of four rows with what there is, each added up over its elements.
template <int kSums>
__device__ __forceinline__ void multiply(double (&sums)[kSums][kRows],
                                         const Pack<float, kElements> (&rows)[kRows],
                                         const Pack<float, kElements> (&with)[kSums]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int k = 0; k < kSums; ++k) {
      float sum = 0;
#pragma unroll
      for (int e = 0; e < kElements; ++e) sum += rows[r].at[e] * with[k].at[e];
      sums[k][r] = sum;
    }
  }
}

/// Adds the block's sums of rows row + (0..3) to its totals, which are laid out as dots is. Every thread of
/// the block calls it.
template <int kSums>
__device__ __forceinline__ void add_to_totals(double* totals, const double (&sums)[kSums][kRows], int row,
                                              int num_rows) {
  __shared__ double of_warp[kWarps][kSums * kRows];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
#pragma unroll
  for (int k = 0; k < kSums; ++k) {
    const double sum = warp_sum_of_four(sums[k]);
    if (lane % 8 == 0) of_warp[warp][k * kRows + lane / 8] = sum;
  }
  __syncthreads();
  const int r = row + thread % kRows;
  if (thread < kSums * kRows && r < num_rows) {
    double sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += of_warp[w][thread];
    totals[thread / kRows * num_rows + r] += sum;
  }
  __syncthreads();
}

/// kSums: 1, of g; 2, of the spare slot's y, too. The block's totals stay in shared memory until its last
/// chunk is done. The block writes them to row blockIdx.x of partials (gridDim.x, num_dots); the last one
/// adds the rows up. dots: where the first of them goes.
template <bool packed, int kSums>
__global__ void __launch_bounds__(kThreads, 2)
    lbfgs_dots_kernel(When when, double* __restrict__ dots, const float* __restrict__ history,
                      const double* __restrict__ state, const float* __restrict__ g, int slots,
                      std::int64_t n, double* partials, unsigned* ticket) {
  if (when.skips()) return;
  extern __shared__ double totals[];
  const int num_rows = 2 * slots, num_dots = kSums * num_rows + 2;
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < num_dots; i += kThreads) totals[i] = 0;
  const auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);

  double of_g[2] = {};  // sum |g|, <g, g>
  constexpr std::int64_t chunk = kThreads * kElements;
  for (std::int64_t begin = blockIdx.x * chunk; begin < n; begin += gridDim.x * chunk) {
    const std::int64_t first = begin + (packed ? thread * kElements : thread);
    Pack<float, kElements> with[kSums];
    if constexpr (kSums > 1) with[0] = load_elements<packed>(history + (slots + spare) * n, first, n);
    with[kSums - 1] = load_elements<packed>(g, first, n);
    float magnitudes = 0, squares = 0;
#pragma unroll
    for (const float value : with[kSums - 1].at) {
      magnitudes += fabsf(value);
      squares += value * value;
    }
    of_g[0] += magnitudes;
    of_g[1] += squares;

    Pack<float, kElements> rows[kRows], next[kRows];
    load_rows<packed>(next, history, 0, num_rows, first, n);
    for (int row = 0; row < num_rows; row += kRows) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) rows[r] = next[r];
      load_rows<packed>(next, history, row + kRows, num_rows, first,
                        n);  // under way while these are added up
      double sums[kSums][kRows];
      multiply(sums, rows, with);
      add_to_totals(totals, sums, row, num_rows);
    }
  }
  block_sum(of_g);
  if (thread == 0) {
    totals[num_dots - 2] = of_g[0];
    totals[num_dots - 1] = of_g[1];
  }
  __syncthreads();

  for (int i = thread; i < num_dots; i += kThreads) partials[blockIdx.x * num_dots + i] = totals[i];
  if (!is_last_block(ticket)) return;
  for (int i = thread; i < num_dots; i += kThreads) {
    double sum = 0;
#pragma unroll 8
    for (unsigned block = 0; block < gridDim.x; ++block) sum += __ldcg(&partials[block * num_dots + i]);
    dots[i] = sum;
  }
}

}  // namespace

cudaError_t lbfgs_dots(const Launch& launch, double* dots, const float* history, const double* state,
                       const float* g, std::int64_t slots, std::int64_t n, LbfgsDots of) {
  // A block's totals and 1 KiB of other shared memory must
  // fit the 48 KiB that every GPU gives without asking.
  if (slots > 1001) return cudaErrorInvalidValue;
  const bool with_pair = of == LbfgsDots::kOfPairAndGradient;
  const std::int64_t num_dots = LbfgsState::num_dots(slots) - (with_pair ? 0 : 2 * slots);
  const std::size_t shared_bytes = static_cast<std::size_t>(num_dots) * sizeof(double);
  const unsigned blocks = blocks_for_sums(launch, (n + kElements - 1) / kElements, num_dots, 2);
  const bool packed = n % 4 == 0;  // then every row is aligned if the first is
  return for_width<float>(
      packed,
      [&](auto width) {
        constexpr bool is_packed = width == kElements;
        return run_when(launch, with_pair ? lbfgs_dots_kernel<is_packed, 2> : lbfgs_dots_kernel<is_packed, 1>,
                        blocks, shared_bytes, with_pair ? dots : dots + 2 * slots, history, state, g,
                        static_cast<int>(slots), n, launch.partials, launch.ticket);
      },
      history, g);
}

// --- direction

namespace {

/// The products of all pairs, and which of the slots' pairs are in use. Pairs are counted by age: pair k is
/// the k-th newest.
struct Pairs {
  const double *with_y, *with_g;  // of all rows of the history with the spare slot's y, and g
  double *sy, *yy;                // sy[i * slots + j] = <s_i, y_j>
  int slots, count, spare;

  __device__ __forceinline__ std::int64_t at(int i, int j) const { return std::int64_t{i} * slots + j; }
  /// Of pair k; its own inverse.
  __device__ __forceinline__ int slot(int k) const {
    const int i = spare - 1 - k;
    return i < 0 ? i + slots : i;
  }
};

/// The pair in the spare slot becomes the newest.
__device__ __forceinline__ void take_in_spare(Pairs& pairs) {
  const int slots = pairs.slots, spare = pairs.spare;
  for (int i = static_cast<int>(threadIdx.x); i < slots; i += kThreads) {
    pairs.sy[pairs.at(i, spare)] = pairs.with_y[i];
    pairs.yy[pairs.at(i, spare)] = pairs.yy[pairs.at(spare, i)] = pairs.with_y[slots + i];
  }
  pairs.count = pairs.count + 1 < slots ? pairs.count + 1 : slots - 1;
  pairs.spare = (spare + 1) % slots;
}

/// Of each pair: inverse = 1 / <s, y>, and alpha of q = -g - sum of alpha_k y_k, newest first. sums: what the
/// recursion has of the product with pair k.
__device__ __forceinline__ void recur_to_oldest(double* alpha, double* inverse, double* sums,
                                                const Pairs& pairs) {
  const int thread = static_cast<int>(threadIdx.x), count = pairs.count;
  for (int k = thread; k < count; k += kThreads) {
    sums[k] = -pairs.with_g[pairs.slot(k)];
    inverse[k] = 1 / pairs.sy[pairs.at(pairs.slot(k), pairs.slot(k))];
  }
  for (int k = 0; k < count; ++k) {
    __syncthreads();
    const double value = sums[k] * inverse[k];
    if (thread == 0) alpha[k] = value;
    for (int older = k + 1 + thread; older < count; older += kThreads) {
      sums[older] -= value * pairs.sy[pairs.at(pairs.slot(older), pairs.slot(k))];
    }
  }
  __syncthreads();
}

/// H0 of the parameters; every thread adds it up for itself.
__device__ __forceinline__ double first_scale(const Pairs& pairs,
                                              const LbfgsDirectionParameters& parameters) {
  if (pairs.count == 0) return 1;
  const auto num_newest = static_cast<int>(min(std::int64_t{pairs.count}, parameters.h0_pairs));
  double sum = 0;
#pragma unroll 1
  for (int k = 0; k < num_newest; ++k) {
    const std::int64_t diagonal = pairs.at(pairs.slot(k), pairs.slot(k));
    sum += pairs.sy[diagonal] / pairs.yy[diagonal];
  }
  return parameters.h0_factor * sum / num_newest;
}

/// Of each pair: s_part of r = scale * q + sum of s_part_k s_k, oldest first. <y_k, q> is known at once, and
/// with it what sums begins with.
__device__ __forceinline__ void recur_to_newest(double* s_part, double* sums, const double* alpha,
                                                const double* inverse, double scale, const Pairs& pairs) {
  const int thread = static_cast<int>(threadIdx.x), count = pairs.count;
  for (int k = thread; k < count; k += kThreads) {
    double y_q = -pairs.with_g[pairs.slots + pairs.slot(k)];
    for (int j = count - 1; j >= 0; --j) y_q -= alpha[j] * pairs.yy[pairs.at(pairs.slot(j), pairs.slot(k))];
    sums[k] = scale * y_q;
  }
  for (int k = count - 1; k >= 0; --k) {
    __syncthreads();
    const double value = alpha[k] - sums[k] * inverse[k];
    if (thread == 0) s_part[k] = value;
    for (int newer = thread; newer < k; newer += kThreads)
      sums[newer] += value * pairs.sy[pairs.at(pairs.slot(k), pairs.slot(newer))];
  }
  __syncthreads();
}

/// The sums of the reference's recursion, but by columns: as soon as a coefficient is known every thread adds
/// its term to the sums of its own pairs. So one barrier a pair, and each sum in one fixed order. Shared: 4
/// arrays of `slots`.
__global__ void __launch_bounds__(kThreads, 1)
    lbfgs_direction_kernel(When when, double* __restrict__ coefficients, double* __restrict__ state,
                           const double* __restrict__ dots, int slots, LbfgsDirectionParameters parameters) {
  if (when.skips()) return;
  extern __shared__ double shared[];
  double* const alpha = shared;           // of pair k: the part of y
  double* const s_part = shared + slots;  // of pair k: the part of s
  double* const sums = shared + 2 * slots;
  double* const inverse = shared + 3 * slots;

  const int thread = static_cast<int>(threadIdx.x), num_rows = 2 * slots;
  double* const matrices = state + LbfgsState::kMatrices;
  Pairs pairs{.with_y = dots,
              .with_g = dots + num_rows,
              .sy = matrices,
              .yy = matrices + std::int64_t{slots} * slots,
              .slots = slots,
              .count = static_cast<int>(state[LbfgsState::kCount]),
              .spare = static_cast<int>(state[LbfgsState::kSpare])};
  const bool first_call = state[LbfgsState::kCalls] == 0;  // nothing was pushed
  if (!first_call && pairs.with_y[pairs.spare] > 1e-10) take_in_spare(pairs);
  __syncthreads();

  recur_to_oldest(alpha, inverse, sums, pairs);
  const double scale = first_scale(pairs, parameters);
  recur_to_newest(s_part, sums, alpha, inverse, scale, pairs);

  double slope[1] = {};
  for (int i = thread; i < slots; i += kThreads) {
    const int k = pairs.slot(i);  // the spare slot and those not in use have k >= count
    const double of_s = k < pairs.count ? s_part[k] : 0, of_y = k < pairs.count ? -scale * alpha[k] : 0;
    coefficients[i] = of_s;
    coefficients[slots + i] = of_y;
    if (k < pairs.count) slope[0] += of_s * pairs.with_g[i] + of_y * pairs.with_g[slots + i];
  }
  block_sum(slope);
  if (thread == 0) {
    coefficients[num_rows] = -scale;
    state[LbfgsState::kCount] = pairs.count;
    state[LbfgsState::kSpare] = pairs.spare;
    const double sum_abs_g = dots[2 * num_rows], g_g = dots[2 * num_rows + 1];
    state[LbfgsState::kStep] = (first_call ? fmin(1.0, 1 / sum_abs_g) : 1) * parameters.learning_rate;
    state[LbfgsState::kCalls] += 1;
    state[LbfgsState::kSlope] = slope[0] - scale * g_g;
  }
}

}  // namespace

cudaError_t lbfgs_direction(const Launch& launch, double* coefficients, double* state, const double* dots,
                            std::int64_t slots, const LbfgsDirectionParameters& parameters) {
  if (slots > 1500) return cudaErrorInvalidValue;  // the arrays of a block have 48 KiB
  const std::size_t shared_bytes = static_cast<std::size_t>(4 * slots) * sizeof(double);
  return run_when(launch, lbfgs_direction_kernel, 1, shared_bytes, coefficients, state, dots,
                  static_cast<int>(slots), parameters);
}

}  // namespace impasto::cuda
