// The micro-kernel of convolutions and of the product with a Gram gradient.

struct MicroArgs {
  const float* a;  // first pixel, first channel; pixels `stride` floats apart (kStride if not 0)
  std::int64_t stride;
  std::int64_t num_runs;  // runs of `run` consecutive floats of every pixel, `run_stride` apart
  std::int64_t run, run_stride;
  const float* b;  // [num_runs * run][kPanel], aligned
  float* c;        // pixels ldc floats apart
  std::int64_t ldc;
  const float* bias;  // (kPanel) or null
  const float* mask;  // like c, or null
  bool accumulate, relu;
  std::int64_t ahead;  // if not 0: so many floats behind c and mask, lines are asked for that come next
};

/// c[r][0..kPanel) = act((accumulate ? c : 0) + bias + sum_k a[r][k] * b[k]), masked, for kR pixels.
template <int kR, int kStride>
static __attribute__((noinline)) void micro(const MicroArgs& args) {
  Vector sums[kR][kVectors] = {};
  float* const c = args.c;
  const std::int64_t ldc = args.ldc;
  const float* b = args.b;
  const float* run_start = args.a;
  const std::int64_t stride = kStride != 0 ? kStride : args.stride;
  for (std::int64_t run = 0; run < args.num_runs; ++run, run_start += args.run_stride) {
    const float* a = run_start;
    const float* const end = a + args.run;
#pragma GCC unroll 4
    for (; a != end; ++a, b += kPanel) {
      Vector right[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) right[j] = *reinterpret_cast<const Vector*>(b + j * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kR; ++r) {
        const Vector left = broadcast(a[r * stride]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) sums[r][j] += left * right[j];
      }
    }
  }
  if (args.ahead != 0) {
    for (std::int64_t r = 0; r < kR; ++r) {
      for (std::int64_t k = 0; k < kPanel; k += kLine) {
        __builtin_prefetch(c + args.ahead + r * ldc + k, 1, 2);
        if (args.mask != nullptr) __builtin_prefetch(args.mask + args.ahead + r * ldc + k, 0, 2);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      Vector v = sums[r][j];
      if (args.bias != nullptr) v += load(args.bias + j * kLanes);
      if (args.accumulate) v += load(c + r * ldc + j * kLanes);
      if (args.relu) v = zero_if_negative(v);
      if (args.mask != nullptr) v = zero_if_not_positive(v, load(args.mask + r * ldc + j * kLanes));
      store(c + r * ldc + j * kLanes, v);
    }
  }
}

using MicroFunction = void (*)(const MicroArgs&);
template <int kStride>
static MicroFunction micro_function(std::int64_t rows) {
  switch (rows) {
    case 1: return micro<1, kStride>;
    case 2: return micro<2, kStride>;
    case 3: return micro<3, kStride>;
    case 4: return micro<4, kStride>;
    case 5: return micro<5, kStride>;
    case 6: return micro<6, kStride>;
#if defined(__AVX512F__) || defined(__aarch64__)
    case 7: return micro<7, kStride>;
    case 8: return micro<8, kStride>;
    case 9: return micro<9, kStride>;
    case 10: return micro<10, kStride>;
    case 11: return micro<11, kStride>;
    case 12: return micro<12, kStride>;
#endif
    default: return nullptr;
  }
}

/// The same for a last panel with fewer columns than kPanel: through a tile on the stack.
static void micro_part(MicroFunction function, MicroArgs args, std::int64_t rows, std::int64_t cols) {
  alignas(64) float tile[kRows * kPanel];
  alignas(64) float mask[kRows * kPanel];
  float* const c = args.c;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t k = 0; k < cols; ++k) {
      if (args.accumulate) tile[r * kPanel + k] = c[r * args.ldc + k];
      if (args.mask != nullptr) mask[r * kPanel + k] = args.mask[r * args.ldc + k];
    }
    for (std::int64_t k = cols; k < kPanel; ++k) tile[r * kPanel + k] = mask[r * kPanel + k] = 0;
  }
  const std::int64_t ldc = args.ldc;
  args.c = tile;
  args.ldc = kPanel;
  if (args.mask != nullptr) args.mask = mask;
  function(args);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t k = 0; k < cols; ++k) c[r * ldc + k] = tile[r * kPanel + k];
  }
}

/// Runs `args` (set up for its first pixel) over n pixels in blocks of nearly equal size.
template <int kStride>
static void micro_pixels(MicroArgs args, std::int64_t n, std::int64_t cols) {
  const std::int64_t num_blocks = divide_up(n, kRows);
  const std::int64_t rows = n / num_blocks, num_larger = n % num_blocks;
  const MicroFunction larger = micro_function<kStride>(rows + 1), smaller = micro_function<kStride>(rows);
  const std::int64_t stride = kStride != 0 ? kStride : args.stride;
  for (std::int64_t block = 0; block < num_blocks; ++block) {
    const std::int64_t r = block < num_larger ? rows + 1 : rows;
    const MicroFunction function = block < num_larger ? larger : smaller;
    if (cols >= kPanel) {
      function(args);
    } else {
      micro_part(function, args, r, cols);
    }
    args.a += r * stride;
    args.c += r * args.ldc;
    if (args.mask != nullptr) args.mask += r * args.ldc;
  }
}

/// out(n,cols) (+)= in(n,depth) * packed, rows ldc and stride floats apart; packed [panel][depth][kPanel].
/// mask: like out, or null. ahead: MicroArgs'.
static void multiply_panels(float* out, std::int64_t ldc, const float* in, std::int64_t stride,
                            std::int64_t n, std::int64_t depth, const float* packed, std::int64_t cols,
                            bool accumulate, const float* mask = nullptr, std::int64_t ahead = 0) {
  constexpr std::int64_t kBlock = 256;  // rows of a panel that stay in the L1 cache
  for (std::int64_t first = 0; first < depth; first += kBlock) {
    for (std::int64_t k = 0; k < cols; k += kPanel) {
      MicroArgs args{};
      args.a = in + first;
      args.stride = stride;
      args.num_runs = 1;
      args.run = least(kBlock, depth - first);
      args.b = packed + k * depth + first * kPanel;
      args.c = out + k;
      args.ldc = ldc;
      args.accumulate = accumulate || first != 0;
      args.mask = mask != nullptr && first + kBlock >= depth ? mask + k : nullptr;
      args.ahead = first + kBlock >= depth ? ahead : 0;
      micro_pixels<0>(args, n, cols - k);
    }
  }
}

static void multiply_rows(float* out, const float* f, std::int64_t n, std::int64_t c, const float* matrix,
                          bool accumulate, bool mask) {
  constexpr std::int64_t kAtOnce = 48;  // rows that stay in the caches while the panels take turns
  for (std::int64_t first = 0; first < n; first += kAtOnce) {
    const std::int64_t rows = least(kAtOnce, n - first);
    const std::int64_t ahead = first + kAtOnce < n ? kAtOnce * c : 0;
    multiply_panels(out + first * c, c, f + first * c, c, rows, c, matrix, c, accumulate,
                    mask ? f + first * c : nullptr, ahead);
  }
}

/// 2 * kRows * kVectors * kLanes floating-point operations `n` times over, on registers alone.
static float multiply_add(std::int64_t n) {
  Vector sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < kVectors; ++j) sums[r][j] = broadcast(static_cast<float>(r * kVectors + j));
  }
  const Vector factor = broadcast(0.5F), term = broadcast(0.25F);
  for (std::int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums[r][j] = sums[r][j] * factor + term;
    }
  }
  Vector total{};
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < kVectors; ++j) total += sums[r][j];
  }
  return sum_in_float(total);
}
