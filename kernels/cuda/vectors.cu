// The optimisers' passes over vectors of n floats, four at a
// time where the pointers allow it. All are bound by memory.
#include <cmath>

#include "kernels/cuda/device.cuh"

namespace impasto::cuda {
namespace {

// --- gradient descent

template <int N>
__global__ void __launch_bounds__(kThreads)
    momentum_step_kernel(float* __restrict__ x, float* __restrict__ v, const float* __restrict__ g,
                         std::int64_t n, float learning_rate, float momentum) {
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    auto position = load<width>(x + i), velocity = load<width>(v + i);
    const auto gradient = load<width>(g + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      velocity.at[j] = momentum * velocity.at[j] + gradient.at[j];
      position.at[j] -= learning_rate * velocity.at[j];
    }
    store(v + i, velocity);
    store(x + i, position);
  });
}

}  // namespace

cudaError_t momentum_step(const Launch& launch, float* x, float* v, const float* g, std::int64_t n,
                          double learning_rate, double momentum) {
  if (n == 0) return cudaSuccess;
  return for_width<float>(
      true,
      [&](auto width) {
        return run(launch, momentum_step_kernel<width>, blocks_for(launch, n / width), 0, x, v, g, n,
                   static_cast<float>(learning_rate), static_cast<float>(momentum));
      },
      x, v, g);
}

// --- Adam

namespace {

/// What the kernel needs of AdamParameters. The differences
/// from 1 are taken in double: 1 - 0.999f is 1e-5 off.
struct AdamCoefficients {
  double learning_rate, log_beta1, log_beta2;
  float beta1, rest1, beta2, rest2, epsilon;
};

template <int N>
__global__ void __launch_bounds__(kThreads)
    adam_step_kernel(float* __restrict__ x, float* __restrict__ m, float* __restrict__ v, double* step,
                     const float* __restrict__ g, std::int64_t n, AdamCoefficients p, unsigned* ticket) {
  __shared__ float shared_rate, shared_scale;
  double steps = 0;
  if (threadIdx.x == 0) {
    steps = *step + 1;  // no block raises it before every block has read it
    // 1 - beta^steps
    shared_rate = static_cast<float>(p.learning_rate / -expm1(steps * p.log_beta1));
    shared_scale = static_cast<float>(rsqrt(-expm1(steps * p.log_beta2)));
  }
  __syncthreads();
  const float rate = shared_rate, scale = shared_scale;
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    auto position = load<width>(x + i), mean = load<width>(m + i), square = load<width>(v + i);
    const auto gradient = load<width>(g + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const float slope = gradient.at[j];
      mean.at[j] = p.beta1 * mean.at[j] + p.rest1 * slope;
      square.at[j] = p.beta2 * square.at[j] + p.rest2 * slope * slope;
      position.at[j] -= rate * mean.at[j] / (sqrtf(square.at[j]) * scale + p.epsilon);
    }
    store(m + i, mean);
    store(v + i, square);
    store(x + i, position);
  });
  if (is_last_block(ticket) && threadIdx.x == 0) *step = steps;
}

}  // namespace

cudaError_t adam_step(const Launch& launch, float* x, float* m, float* v, double* step, const float* g,
                      std::int64_t n, const AdamParameters& parameters) {
  const auto& [learning_rate, beta1, beta2, epsilon] = parameters;
  const AdamCoefficients coefficients{
      .learning_rate = learning_rate,
      .log_beta1 = std::log(beta1),
      .log_beta2 = std::log(beta2),
      .beta1 = static_cast<float>(beta1),
      .rest1 = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2),
      .rest2 = static_cast<float>(1 - beta2),
      .epsilon = static_cast<float>(epsilon),
  };
  return for_width<float>(
      true,
      [&](auto width) {
        return run(launch, adam_step_kernel<width>, blocks_for(launch, n / width), 0, x, m, v, step, g, n,
                   coefficients, launch.ticket);
      },
      x, m, v, g);
}

// --- clamp, average_channels, add_scaled

namespace {

struct Limits {
  float lower[3], upper[3];
};

/// x (n / 3, 3). A pack of four starts in any channel.
template <int N>
__global__ void __launch_bounds__(kThreads) clamp_kernel(When when, float* x, std::int64_t n, Limits limits) {
  if (when.skips()) return;
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    auto values = load<width>(x + i);
    const int first = static_cast<int>(i % 3);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const int channel = (first + j) % 3;
      // Chosen by comparison: an index that is not known would put the limits into local memory.
      const float lower = channel == 0 ? limits.lower[0] : channel == 1 ? limits.lower[1] : limits.lower[2];
      const float upper = channel == 0 ? limits.upper[0] : channel == 1 ? limits.upper[1] : limits.upper[2];
      // As std::min(std::max(value, lower), upper): NaN stays.
      float& value = values.at[j];
      if (value < lower) value = lower;
      if (value > upper) value = upper;
    }
    store(x + i, values);
  });
}

}  // namespace

cudaError_t clamp(const Launch& launch, float* x, std::int64_t n, const double lower[3],
                  const double upper[3]) {
  if (n == 0) return cudaSuccess;
  Limits limits;
  std::transform(lower, lower + 3, limits.lower, [](double value) { return static_cast<float>(value); });
  std::transform(upper, upper + 3, limits.upper, [](double value) { return static_cast<float>(value); });
  return for_width<float>(
      true,
      [&](auto width) {
        return run_when(launch, clamp_kernel<width>, blocks_for(launch, 3 * n / width), 0, x, 3 * n, limits);
      },
      x);
}

namespace {

/// x (n, 3). A thread takes a pixel: a warp's three loads share their sectors in the first-level cache.
__global__ void __launch_bounds__(kThreads) average_channels_kernel(float* x, std::int64_t n) {
  for_each(n, [=](std::int64_t i) {
    float* const pixel = x + 3 * i;
    const float average = (pixel[0] + pixel[1] + pixel[2]) * (1.0F / 3);
    pixel[0] = pixel[1] = pixel[2] = average;
  });
}

}  // namespace

cudaError_t average_channels(const Launch& launch, float* x, std::int64_t n) {
  if (n == 0) return cudaSuccess;
  return run(launch, average_channels_kernel, blocks_for(launch, n), 0, x, n);
}

namespace {

/// out may be a.
template <int N>
__global__ void __launch_bounds__(kThreads)
    add_scaled_kernel(When when, float* out, const float* a, const double* scale, const float* __restrict__ b,
                      std::int64_t n) {
  if (when.skips()) return;
  const auto factor = static_cast<float>(*scale);
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    auto values = load<width>(a + i);
    const auto added = load<width>(b + i);
#pragma unroll
    for (int j = 0; j < width; ++j) values.at[j] += factor * added.at[j];
    store(out + i, values);
  });
}

}  // namespace

cudaError_t add_scaled(const Launch& launch, float* out, const float* a, const double* scale, const float* b,
                       std::int64_t n) {
  if (n == 0) return cudaSuccess;
  return for_width<float>(
      true,
      [&](auto width) {
        return run_when(launch, add_scaled_kernel<width>, blocks_for(launch, n / width), 0, out, a, scale, b,
                        n);
      },
      out, a, b);
}

// --- dot

namespace {

/// Which of the rows that lie one after another, and to which of the results its product goes: the one that a
/// number in device memory names, and `offset` further. Null: the first.
struct RowChoice {
  const double* number;
  std::int64_t offset;
};

/// a may be b.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    dot_kernel(When when, double* out, const T* a, const T* b, std::int64_t n, RowChoice row,
               double* partials, unsigned* ticket) {
  if (when.skips()) return;
  if (row.number != nullptr) {
    const std::int64_t chosen = static_cast<std::int64_t>(*row.number) + row.offset;
    a += chosen * n;
    out += chosen;
  }
  double sum[1] = {};
  for_each_pack<N>(n, [&](std::int64_t i, auto width) {
    const auto left = load<width>(a + i), right = load<width>(b + i);
#pragma unroll
    for (int j = 0; j < width; ++j)
      sum[0] += static_cast<double>(left.at[j]) * static_cast<double>(right.at[j]);
  });
  if (grid_sum(sum, partials, ticket)) *out = sum[0];
}

}  // namespace

cudaError_t dot(const Launch& launch, double* out, const void* a, const void* b, Storage storage,
                std::int64_t n) {
  return for_activation(storage, [&]<class T>(std::type_identity<T>) {
    return for_width<T>(
        true,
        [&](auto width) {
          return run_when(launch, dot_kernel<T, width>, blocks_for_sums(launch, n / width, 1), 0, out,
                          static_cast<const T*>(a), static_cast<const T*>(b), n, RowChoice{}, launch.partials,
                          launch.ticket);
        },
        a, b);
  });
}

cudaError_t dot(const Launch& launch, double* out, const float* a, const float* b, std::int64_t n) {
  return dot(launch, out, a, b, Storage::kFloat32, n);
}

cudaError_t lbfgs_pair_dots(const Launch& launch, double* with_previous, const float* history,
                            const double* state, const float* v, std::int64_t slots, std::int64_t n) {
  return for_width<float>(
      n % 4 == 0,  // so that every row is aligned
      [&](auto width) {
        for (const std::int64_t offset : {std::int64_t{0}, slots}) {
          const cudaError_t status = run_when(
              launch, dot_kernel<float, width>, blocks_for_sums(launch, n / width, 1), 0, with_previous,
              history, v, n, RowChoice{state + LbfgsState::kSpare, offset}, launch.partials, launch.ticket);
          if (status != cudaSuccess) return status;
        }
        return cudaSuccess;
      },
      history, v);
}

// --- linear combinations

namespace {

/// The rows that count are listed first, in their order: the loop over them has no branch, so that several
/// loads are under way at once. Shared: num_rows factors, then num_rows row numbers.
template <int N>
__global__ void __launch_bounds__(kThreads)
    lincomb_kernel(When when, float* __restrict__ out, const double* __restrict__ coefficients,
                   const float* __restrict__ rows, int num_rows, const float* __restrict__ g, std::int64_t n,
                   float* __restrict__ x, const double* t) {
  if (when.skips()) return;
  extern __shared__ float factors[];
  int* const numbers = reinterpret_cast<int*>(factors + num_rows);
  __shared__ int shared_count;
  if (threadIdx.x < 32) {
    int count = 0;
    for (int first = 0; first < num_rows; first += 32) {
      const int row = first + static_cast<int>(threadIdx.x);
      const double coefficient = row < num_rows ? coefficients[row] : 0;
      const unsigned used = __ballot_sync(~0u, coefficient != 0);
      if (coefficient != 0) {
        const int place = count + __popc(used & ((1u << threadIdx.x) - 1));
        factors[place] = static_cast<float>(coefficient);
        numbers[place] = row;
      }
      count += __popc(used);
    }
    if (threadIdx.x == 0) shared_count = count;
  }
  __syncthreads();
  const int count = shared_count;
  const auto g_factor = static_cast<float>(coefficients[num_rows]);
  const float step = x != nullptr ? static_cast<float>(*t) : 0;
  for_each_pack<N>(n, [=](std::int64_t i, auto width) {
    auto sum = load<width>(g + i);
#pragma unroll
    for (float& value : sum.at) value *= g_factor;
#pragma unroll 4
    for (int r = 0; r < count; ++r) {
      const auto row = load<width>(rows + numbers[r] * n + i);
      const float factor = factors[r];
#pragma unroll
      for (int j = 0; j < width; ++j) sum.at[j] += factor * row.at[j];
    }
    store(out + i, sum);
    if (x == nullptr) return;
    auto position = load<width>(x + i);
#pragma unroll
    for (int j = 0; j < width; ++j) position.at[j] += step * sum.at[j];
    store(x + i, position);
  });
}

}  // namespace

cudaError_t lincomb(const Launch& launch, float* out, const double* coefficients, const float* rows,
                    std::int64_t num_rows, const float* g, std::int64_t n, float* x, const double* t) {
  if (n == 0) return cudaSuccess;
  const std::size_t shared_bytes = static_cast<std::size_t>(num_rows) * (sizeof(float) + sizeof(int));
  if (shared_bytes > 48000) return cudaErrorInvalidValue;  // 6000 rows; a block has 48 KiB
  return for_width<float>(
      n % 4 == 0,  // so that every row is aligned
      [&](auto width) {
        return run_when(launch, lincomb_kernel<width>, blocks_for(launch, n / width), shared_bytes, out,
                        coefficients, rows, static_cast<int>(num_rows), g, n, x, t);
      },
      out, rows, g, x);
}

}  // namespace impasto::cuda
