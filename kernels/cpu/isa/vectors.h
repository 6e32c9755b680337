// Optimiser vectors. Inner products in double: products of floats are then exact.

static void momentum(float* __restrict x, float* __restrict v, const float* __restrict g, std::int64_t n,
                     float learning_rate, float factor) {
  for (std::int64_t i = 0; i < n; ++i) {
    v[i] = factor * v[i] + g[i];
    x[i] -= learning_rate * v[i];
  }
}

static void adam(float* __restrict x, float* __restrict m, float* __restrict v, const float* __restrict g,
                 std::int64_t n, float beta1, float one_minus_beta1, float beta2, float one_minus_beta2,
                 float step_size, float v_scale, float epsilon) {
  for (std::int64_t i = 0; i < n; ++i) {
    m[i] = beta1 * m[i] + one_minus_beta1 * g[i];
    v[i] = beta2 * v[i] + one_minus_beta2 * (g[i] * g[i]);
    x[i] -= step_size * m[i] / (__builtin_sqrtf(v[i]) * v_scale + epsilon);
  }
}

static void clamp(float* __restrict x, std::int64_t num_pixels, const float* lower, const float* upper) {
  constexpr std::int64_t kPattern = 48;  // a multiple of 3 channels and of every vector
  float low[kPattern], high[kPattern];
  for (std::int64_t i = 0; i < kPattern; ++i) {
    low[i] = lower[i % 3];
    high[i] = upper[i % 3];
  }
  const std::int64_t n = 3 * num_pixels;
  for (std::int64_t i0 = 0; i0 < n; i0 += kPattern) {
    const std::int64_t count = least(kPattern, n - i0);
    for (std::int64_t i = 0; i < count; ++i) {
      const float raised = x[i0 + i] > low[i] ? x[i0 + i] : low[i];
      x[i0 + i] = raised < high[i] ? raised : high[i];
    }
  }
}

static void average_channels(float* x, std::int64_t num_pixels) {
  for (float* const end = x + 3 * num_pixels; x != end; x += 3) {
    const float average = (x[0] + x[1] + x[2]) * (1.0F / 3);
    x[0] = x[1] = x[2] = average;
  }
}

static void add_scaled(float* out, const float* a, float scale, const float* b, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = a[i] + scale * b[i];
}

static double dot(const float* a, const float* b, std::int64_t n) {
  DoubleVector sums[2] = {};
  std::int64_t i = 0;
  for (; i + 2 * kDoubleLanes <= n; i += 2 * kDoubleLanes) {
    sums[0] += load_double(a + i) * load_double(b + i);
    sums[1] += load_double(a + i + kDoubleLanes) * load_double(b + i + kDoubleLanes);
  }
  double total = sum(sums[0] + sums[1]);
  for (; i < n; ++i) total += static_cast<double>(a[i]) * b[i];
  return total;
}

static double sum_abs(const float* a, std::int64_t n) {
  DoubleVector sums{};
  std::int64_t i = 0;
  for (; i + kDoubleLanes <= n; i += kDoubleLanes) {
    const DoubleVector v = load_double(a + i);
    sums += v < 0 ? -v : v;
  }
  double total = sum(sums);
  for (; i < n; ++i) total += a[i] < 0 ? -static_cast<double>(a[i]) : static_cast<double>(a[i]);
  return total;
}

static void lbfgs_pair(float* __restrict s, float* __restrict y, float* __restrict g_previous,
                       const float* __restrict d, const float* __restrict g, float t, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    s[i] = t * d[i];
    y[i] = g[i] - g_previous[i];
    g_previous[i] = g[i];
  }
}

/// sums += factors[0] * rows[0] + ..., one after another.
template <int kRowsAtOnce>
static void add_rows(double* __restrict sums, const double* factors, const float* const* rows,
                     std::int64_t n) {
  std::int64_t i = 0;
  for (; i + kDoubleLanes <= n; i += kDoubleLanes) {
    DoubleVector v = *reinterpret_cast<const UnalignedDouble*>(sums + i);
    for (int r = 0; r < kRowsAtOnce; ++r) v += factors[r] * load_double(rows[r] + i);
    *reinterpret_cast<UnalignedDouble*>(sums + i) = v;
  }
  for (; i < n; ++i) {
    for (int r = 0; r < kRowsAtOnce; ++r) sums[i] += factors[r] * static_cast<double>(rows[r][i]);
  }
}

static void lincomb(float* out, const double* coefficients, const float* rows, std::int64_t num_rows,
                    std::int64_t stride, const float* g, std::int64_t n) {
  // Memory is read in long pieces of few rows: a quarter faster than blocks that the first cache holds.
  constexpr std::int64_t kBlock = 8192;
  constexpr int kRowsAtOnce = 4;
  alignas(64) double sums[kBlock];
  for (std::int64_t i0 = 0; i0 < n; i0 += kBlock) {
    const std::int64_t count = least(kBlock, n - i0);
    const double last = coefficients[num_rows];
    for (std::int64_t i = 0; i < count; ++i) sums[i] = last * static_cast<double>(g[i0 + i]);
    double factors[kRowsAtOnce];
    const float* taken[kRowsAtOnce];
    int num_taken = 0;
    for (std::int64_t r = 0; r < num_rows; ++r) {
      if (coefficients[r] == 0) continue;  // may never have been written
      factors[num_taken] = coefficients[r];
      taken[num_taken++] = rows + r * stride + i0;
      if (num_taken < kRowsAtOnce) continue;
      add_rows<kRowsAtOnce>(sums, factors, taken, count);
      num_taken = 0;
    }
    for (int r = 0; r < num_taken; ++r) add_rows<1>(sums, factors + r, taken + r, count);
    for (std::int64_t i = 0; i < count; ++i) out[i0 + i] = static_cast<float>(sums[i]);
  }
}
