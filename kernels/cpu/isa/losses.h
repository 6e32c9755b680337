// Losses: value and gradient in one pass. Values are summed in float over at most kSumVectors vectors, lane
// by lane, then in double.
constexpr std::int64_t kSumVectors = 64;

static double squared_error(float* d, const float* x, const float* target, std::int64_t n,
                            float gradient_scale, bool accumulate, bool mask) {
  double total = 0;
  const std::int64_t whole = n / kLanes * kLanes;
  for (std::int64_t i0 = 0; i0 < whole; i0 += kSumVectors * kLanes) {
    Vector sums{};
    for (std::int64_t i = i0; i < least(whole, i0 + kSumVectors * kLanes); i += kLanes) {
      const Vector difference = load(x + i) - load(target + i);
      sums += difference * difference;
      if (d == nullptr) continue;
      Vector gradient = gradient_scale * difference;
      if (accumulate) gradient += load(d + i);
      store(d + i, mask ? zero_if_not_positive(gradient, load(x + i)) : gradient);
    }
    total += sum_in_double(sums);
  }
  for (std::int64_t i = whole; i < n; ++i) {
    const float difference = x[i] - target[i];
    total += static_cast<double>(difference) * difference;
    if (d == nullptr) continue;
    d[i] = (accumulate ? d[i] : 0.0F) + gradient_scale * difference;
    if (mask && !(x[i] > 0)) d[i] = 0;
  }
  return total;
}

/// Sum of f(b[i] - a[i]), f the absolute value or the square.
template <bool kAbsolute>
static double sum_differences(const float* a, const float* b, std::int64_t n) {
  double total = 0;
  const std::int64_t whole = n / kLanes * kLanes;
  for (std::int64_t i0 = 0; i0 < whole; i0 += kSumVectors * kLanes) {
    Vector sums{};
    for (std::int64_t i = i0; i < least(whole, i0 + kSumVectors * kLanes); i += kLanes) {
      const Vector t = load(b + i) - load(a + i);
      sums += kAbsolute ? (t < 0 ? -t : t) : t * t;
    }
    total += sum_in_double(sums);
  }
  for (std::int64_t i = whole; i < n; ++i) {
    const double t = b[i] - a[i];
    total += kAbsolute ? (t < 0 ? -t : t) : t * t;
  }
  return total;
}

/// d[i] += weight * f'(x[i] - from[i]), f the absolute value or half the square.
template <bool kAbsolute>
static void add_slopes(float* __restrict d, const float* x, const float* from, std::int64_t n, float weight) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float t = x[i] - from[i];
    if constexpr (kAbsolute) {
      d[i] += t > 0 ? weight : t < 0 ? -weight : 0.0F;
    } else {
      d[i] += weight * t;
    }
  }
}

template <bool kAbsolute>
static TotalVariationSums total_variation_of(float* d, const float* x, std::int64_t first, std::int64_t last,
                                             std::int64_t h, std::int64_t w, float weight_x, float weight_y) {
  TotalVariationSums sums;
  const std::int64_t n = 3 * w;
  for (std::int64_t y = first; y < last; ++y) {
    const float* row = x + y * n;
    sums.x += sum_differences<kAbsolute>(row, row + 3, n - 3);
    if (y + 1 < h) sums.y += sum_differences<kAbsolute>(row, row + n, n);
    if (d == nullptr) continue;
    float* gradient = d + y * n;
    add_slopes<kAbsolute>(gradient + 3, row + 3, row, n - 3, weight_x);
    add_slopes<kAbsolute>(gradient, row, row + 3, n - 3, weight_x);
    if (y > 0) add_slopes<kAbsolute>(gradient, row, row - n, n, weight_y);
    if (y + 1 < h) add_slopes<kAbsolute>(gradient, row, row + n, n, weight_y);
  }
  return sums;
}

static TotalVariationSums total_variation(float* d, const float* x, std::int64_t first, std::int64_t last,
                                          std::int64_t h, std::int64_t w, bool absolute, float weight_x,
                                          float weight_y) {
  return absolute ? total_variation_of<true>(d, x, first, last, h, w, weight_x, weight_y)
                  : total_variation_of<false>(d, x, first, last, h, w, weight_x, weight_y);
}
