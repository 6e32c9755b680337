#include <algorithm>
#include <cmath>

#include "kernels/reference/reference.h"

namespace impasto::reference {

void gram(double* g, const double* f, std::int64_t positions, std::int64_t c, double scale,
          Accumulate accumulate) {
  if (accumulate == Accumulate::kOverwrite) std::fill_n(g, c * c, 0.0);
  for (std::int64_t p = 0; p < positions; ++p, f += c) {
    for (std::int64_t a = 0; a < c; ++a) {
      const double scaled = scale * f[a];
      for (std::int64_t b = 0; b <= a; ++b) g[a * c + b] += scaled * f[b];
    }
  }
  for (std::int64_t a = 0; a < c; ++a) {
    for (std::int64_t b = 0; b < a; ++b) g[b * c + a] = g[a * c + b];
  }
}

void gram_backward(double* df, const double* f, const double* dg, std::int64_t positions, std::int64_t c,
                   double scale, Accumulate accumulate, Relu mask) {
  if (accumulate == Accumulate::kOverwrite) std::fill_n(df, positions * c, 0.0);
  for (std::int64_t p = 0; p < positions; ++p, f += c, df += c) {
    for (std::int64_t a = 0; a < c; ++a) {
      const double scaled = scale * f[a];
      for (std::int64_t b = 0; b < c; ++b) df[b] += scaled * dg[a * c + b];
    }
    for (std::int64_t b = 0; mask == Relu::kYes && b < c; ++b) df[b] = f[b] > 0 ? df[b] : 0;
  }
}

void gram_loss(double* loss, double* d, const double* g, const double* target, std::int64_t c,
               LossScales scales) {
  double sum = 0;
  for (std::int64_t i = 0; i < c * c; ++i) {
    sum += (g[i] - target[i]) * (g[i] - target[i]);
    d[i] = scales.gradient * (g[i] - target[i]);
  }
  *loss = scales.value * sum;
}

void squared_error(double* loss, double* d, const double* x, const double* target, std::int64_t n,
                   LossScales scales, Accumulate accumulate, Relu mask) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double difference = x[i] - target[i];
    sum += difference * difference;
    if (d == nullptr) continue;
    d[i] = (accumulate == Accumulate::kAdd ? d[i] : 0) + scales.gradient * difference;
    if (mask == Relu::kYes && !(x[i] > 0)) d[i] = 0;
  }
  *loss = scales.value * sum;
}

namespace {

/// The differences x[i + stride] - x[i] over the first `h` rows and `w` columns of `size`: adds the sum of
/// value(difference) to the loss and spreads slope(difference) over the two pixels.
template <class Value, class Slope>
double differences(double* d, const double* x, Size size, std::int64_t h, std::int64_t w, std::int64_t stride,
                   Value value, Slope slope) {
  double sum = 0;
  for (std::int64_t i = 0; i < h; ++i) {
    for (std::int64_t k = i * size.w * size.c; k < (i * size.w + w) * size.c; ++k) {
      const double difference = x[k + stride] - x[k];
      sum += value(difference);
      if (d == nullptr) continue;
      d[k + stride] += slope(difference);
      d[k] -= slope(difference);
    }
  }
  return sum;
}

}  // namespace

void total_variation(double* loss, double* d, const double* x, Size size, TotalVariation kind,
                     double weight) {
  const auto direction = [&](std::int64_t h, std::int64_t w, std::int64_t stride) {
    if (h <= 0 || w <= 0) return 0.0;
    if (kind == TotalVariation::kL1) {
      return differences(
          d, x, size, h, w, stride, [](double e) { return std::abs(e); },
          [=](double e) { return weight * ((e > 0) - (e < 0)); });
    }
    const double scale = kind == TotalVariation::kL2 ? 1.0 / static_cast<double>(h * w * size.c) : 0.5;
    return differences(
        d, x, size, h, w, stride, [=](double e) { return scale * (e / 255) * (e / 255); },
        [=](double e) { return weight * scale * 2 * e / (255.0 * 255.0); });
  };
  *loss = direction(size.h, size.w - 1, size.c);
  *loss += direction(size.h - 1, size.w, size.w * size.c);
}

}  // namespace impasto::reference
