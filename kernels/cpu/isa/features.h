// ReLU and pools on rows of feature maps. Plain loops that the compiler vectorises.

static void relu(float* y, const float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] <= 0 ? 0.0F : x[i];
}

static void relu_backward(float* dx, const float* dy, const float* y, std::int64_t n, bool accumulate) {
  if (accumulate) {
    for (std::int64_t i = 0; i < n; ++i) dx[i] += y[i] > 0 ? dy[i] : 0.0F;
  } else {
    for (std::int64_t i = 0; i < n; ++i) dx[i] = y[i] > 0 ? dy[i] : 0.0F;
  }
}

/// Which position of a window gets the gradient and where x is above 0, as kernels/ops.h has it.
template <bool kAverage>
static IMPASTO_INLINE std::int32_t pool_code(float a, float b, float d, float e) {
  const std::int32_t signs = (a > 0 ? 16 : 0) | (b > 0 ? 32 : 0) | (d > 0 ? 64 : 0) | (e > 0 ? 128 : 0);
  if (kAverage) return signs | 15;
  // The first of the largest: 0 is larger than 1 unless 1 is strictly larger, and so on.
  const float top = b > a ? b : a, bottom = e > d ? e : d;
  const std::int32_t of_top = b > a ? 2 : 1, of_bottom = e > d ? 8 : 4;
  return signs | (bottom > top ? of_bottom : of_top);
}

template <bool kAverage, bool kValues, bool kCodes>
static void pool_windows(float* __restrict y, std::uint8_t* __restrict codes, const float* __restrict x,
                         std::int64_t w, std::int64_t c) {
  // Codes are found as wide as floats and narrowed apart: in one loop compilers do both badly.
  constexpr std::int64_t kAtOnce = 64;
  std::int32_t wide[kAtOnce];
  for (std::int64_t j = 0; j < w / 2; ++j) {
    for (std::int64_t first = 0; first < c; first += kAtOnce) {
      const float* __restrict p00 = x + 2 * j * c + first;
      const float* __restrict p10 = p00 + w * c;
      float* __restrict out = kValues ? y + j * c + first : nullptr;
      const std::int64_t count = c - first < kAtOnce ? c - first : kAtOnce;
      for (std::int64_t k = 0; k < count; ++k) {
        const float a = p00[k], b = p00[c + k], d = p10[k], e = p10[c + k];
        if constexpr (kValues && kAverage) out[k] = 0.25F * ((a + b) + (d + e));
        if constexpr (kValues && !kAverage) {
          const float top = a > b ? a : b, bottom = d > e ? d : e;
          out[k] = top > bottom ? top : bottom;
        }
        if constexpr (kCodes) wide[k] = pool_code<kAverage>(a, b, d, e);
      }
      if constexpr (kCodes) {
        for (std::int64_t k = 0; k < count; ++k)
          codes[j * c + first + k] = static_cast<std::uint8_t>(wide[k]);
      }
    }
  }
}

template <bool kAverage>
static void pool_rows_of(float* y, std::uint8_t* codes, const float* x, std::int64_t num_rows, std::int64_t w,
                         std::int64_t c) {
  if (num_rows == 2) {
    if (codes == nullptr) return pool_windows<kAverage, true, false>(y, codes, x, w, c);
    if (y == nullptr) {
      pool_windows<kAverage, false, true>(y, codes, x, w, c);
    } else {
      pool_windows<kAverage, true, true>(y, codes, x, w, c);
    }
  }
  if (codes == nullptr) return;
  // Windows that the edge cuts.
  for (std::int64_t j = num_rows == 2 ? w / 2 : 0; 2 * j < w; ++j) {
    for (std::int64_t k = 0; k < c; ++k) {
      int signs = 0;
      for (std::int64_t p = 0; p < 2 * num_rows; ++p) {
        const std::int64_t column = 2 * j + p % 2;
        if (column < w && x[(p / 2 * w + column) * c + k] > 0) signs |= 16 << p;
      }
      codes[j * c + k] = static_cast<std::uint8_t>(signs);
    }
  }
}

static void pool_rows(float* y, std::uint8_t* codes, const float* x, std::int64_t num_rows, std::int64_t w,
                      std::int64_t c, bool average) {
  if (average) {
    pool_rows_of<true>(y, codes, x, num_rows, w, c);
  } else {
    pool_rows_of<false>(y, codes, x, num_rows, w, c);
  }
}

/// kMask: 0 where the code has no such bit.
template <bool kAccumulate, bool kMask>
static IMPASTO_INLINE float finish(float held, float gradient, int code, int bit) {
  const float v = kAccumulate ? held + gradient : gradient;
  return kMask && (code & bit) == 0 ? 0.0F : v;
}

template <bool kCodes, bool kAccumulate, bool kMask>
static void pool_backward_of(float* __restrict dx, const float* __restrict dy,
                             const std::uint8_t* __restrict codes, std::int64_t num_rows, std::int64_t w,
                             std::int64_t c, float scale) {
  const std::int64_t num_pooled = num_rows == 2 ? w / 2 : 0;
  for (std::int64_t j = 0; j < num_pooled; ++j) {
    const std::int64_t i = 2 * j * c;
    float *d00 = dx + i, *d01 = d00 + c, *d10 = d00 + w * c, *d11 = d10 + c;
#ifndef __clang__
#pragma GCC ivdep
#endif
    for (std::int64_t k = 0; k < c; ++k) {
      const int code = kCodes ? codes[j * c + k] : 15;
      const float g = scale * dy[j * c + k];
      const float ga = (code & 1) != 0 ? g : 0.0F, gb = (code & 2) != 0 ? g : 0.0F;
      const float gd = (code & 4) != 0 ? g : 0.0F, ge = (code & 8) != 0 ? g : 0.0F;
      d00[k] = finish<kAccumulate, kMask>(kAccumulate ? d00[k] : 0, ga, code, 16);
      d01[k] = finish<kAccumulate, kMask>(kAccumulate ? d01[k] : 0, gb, code, 32);
      d10[k] = finish<kAccumulate, kMask>(kAccumulate ? d10[k] : 0, gd, code, 64);
      d11[k] = finish<kAccumulate, kMask>(kAccumulate ? d11[k] : 0, ge, code, 128);
    }
  }
  // What has no part in the pool.
  for (std::int64_t row = 0; row < num_rows; ++row) {
    for (std::int64_t column = 2 * num_pooled; column < w; ++column) {
      const int bit = 16 << (2 * row + column % 2);
      for (std::int64_t k = 0; k < c; ++k) {
        float& d = dx[(row * w + column) * c + k];
        const int code = kCodes ? codes[column / 2 * c + k] : 15;
        d = finish<kAccumulate, kMask>(kAccumulate ? d : 0, 0, code, bit);
      }
    }
  }
}

static void pool_backward_rows(float* dx, const float* dy, const std::uint8_t* codes, std::int64_t num_rows,
                               std::int64_t w, std::int64_t c, bool average, bool accumulate, bool mask) {
  const float scale = average ? 0.25F : 1.0F;
  if (codes == nullptr) {
    if (accumulate) return pool_backward_of<false, true, false>(dx, dy, codes, num_rows, w, c, scale);
    return pool_backward_of<false, false, false>(dx, dy, codes, num_rows, w, c, scale);
  }
  switch ((accumulate ? 2 : 0) + (mask ? 1 : 0)) {
    case 0: return pool_backward_of<true, false, false>(dx, dy, codes, num_rows, w, c, scale);
    case 1: return pool_backward_of<true, false, true>(dx, dy, codes, num_rows, w, c, scale);
    case 2: return pool_backward_of<true, true, false>(dx, dy, codes, num_rows, w, c, scale);
    default: return pool_backward_of<true, true, true>(dx, dy, codes, num_rows, w, c, scale);
  }
}
