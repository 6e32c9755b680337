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

template <bool kAverage>
static void pool_row_of(float* __restrict y, const float* __restrict x, std::int64_t w, std::int64_t c) {
  for (std::int64_t j = 0; j < w / 2; ++j) {
    const float* __restrict p00 = x + 2 * j * c;
    const float* __restrict p10 = p00 + w * c;
    for (std::int64_t k = 0; k < c; ++k) {
      const float a = p00[k], b = p00[c + k], d = p10[k], e = p10[c + k];
      if constexpr (kAverage) {
        y[j * c + k] = 0.25F * ((a + b) + (d + e));
      } else {
        const float top = a > b ? a : b, bottom = d > e ? d : e;
        y[j * c + k] = top > bottom ? top : bottom;
      }
    }
  }
}

static void pool_row(float* y, const float* x, std::int64_t w, std::int64_t c, bool average) {
  if (average) {
    pool_row_of<true>(y, x, w, c);
  } else {
    pool_row_of<false>(y, x, w, c);
  }
}

template <bool kAccumulate, bool kMask>
static IMPASTO_INLINE float finish(float held, float gradient, float x) {
  const float v = kAccumulate ? held + gradient : gradient;
  return kMask && !(x > 0) ? 0.0F : v;
}

template <bool kAverage, bool kAccumulate, bool kMask>
static void pool_backward_of(float* __restrict dx, const float* __restrict dy, const float* __restrict x,
                             std::int64_t num_rows, std::int64_t w, std::int64_t c) {
  const std::int64_t num_pooled = num_rows == 2 ? w / 2 : 0;
  for (std::int64_t j = 0; j < num_pooled; ++j) {
    const std::int64_t i = 2 * j * c;
    const float *x00 = x + i, *x01 = x00 + c, *x10 = x00 + w * c, *x11 = x10 + c;
    float *d00 = dx + i, *d01 = d00 + c, *d10 = d00 + w * c, *d11 = d10 + c;
#ifndef __clang__
#pragma GCC ivdep
#endif
    for (std::int64_t k = 0; k < c; ++k) {
      const float a = x00[k], b = x01[k], d = x10[k], e = x11[k], g = dy[j * c + k];
      float ga, gb, gd, ge;
      if constexpr (kAverage) {
        ga = gb = gd = ge = 0.25F * g;
      } else {
        // To the first of the largest: 0 is larger than 1 unless 1 is strictly larger, and so on.
        const float top = b > a ? b : a, bottom = e > d ? e : d;
        const bool in_bottom = bottom > top, right_of_top = b > a, right_of_bottom = e > d;
        const float g_top = in_bottom ? 0.0F : g, g_bottom = in_bottom ? g : 0.0F;
        ga = right_of_top ? 0.0F : g_top;
        gb = right_of_top ? g_top : 0.0F;
        gd = right_of_bottom ? 0.0F : g_bottom;
        ge = right_of_bottom ? g_bottom : 0.0F;
      }
      d00[k] = finish<kAccumulate, kMask>(kAccumulate ? d00[k] : 0, ga, a);
      d01[k] = finish<kAccumulate, kMask>(kAccumulate ? d01[k] : 0, gb, b);
      d10[k] = finish<kAccumulate, kMask>(kAccumulate ? d10[k] : 0, gd, d);
      d11[k] = finish<kAccumulate, kMask>(kAccumulate ? d11[k] : 0, ge, e);
    }
  }
  // What the pool did not read.
  for (std::int64_t row = 0; row < num_rows; ++row) {
    for (std::int64_t i = (row * w + 2 * num_pooled) * c; i < (row + 1) * w * c; ++i) {
      dx[i] = finish<kAccumulate, kMask>(kAccumulate ? dx[i] : 0, 0, x[i]);
    }
  }
}

static void pool_backward_rows(float* dx, const float* dy, const float* x, std::int64_t num_rows,
                               std::int64_t w, std::int64_t c, bool average, bool accumulate, bool mask) {
  const int variant = (average ? 4 : 0) + (accumulate ? 2 : 0) + (mask ? 1 : 0);
  switch (variant) {
    case 0: return pool_backward_of<false, false, false>(dx, dy, x, num_rows, w, c);
    case 1: return pool_backward_of<false, false, true>(dx, dy, x, num_rows, w, c);
    case 2: return pool_backward_of<false, true, false>(dx, dy, x, num_rows, w, c);
    case 3: return pool_backward_of<false, true, true>(dx, dy, x, num_rows, w, c);
    case 4: return pool_backward_of<true, false, false>(dx, dy, x, num_rows, w, c);
    case 5: return pool_backward_of<true, false, true>(dx, dy, x, num_rows, w, c);
    case 6: return pool_backward_of<true, true, false>(dx, dy, x, num_rows, w, c);
    default: return pool_backward_of<true, true, true>(dx, dy, x, num_rows, w, c);
  }
}
