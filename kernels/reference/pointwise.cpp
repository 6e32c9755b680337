// ReLU and pooling.
#include <algorithm>

#include "kernels/reference/reference.h"

namespace impasto::reference {

void relu_forward(double* y, const double* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = std::max(x[i], 0.0);
}

void relu_backward(double* dx, const double* dy, const double* y, std::int64_t n, Accumulate accumulate) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double gradient = y[i] > 0 ? dy[i] : 0;
    dx[i] = accumulate == Accumulate::kAdd ? dx[i] + gradient : gradient;
  }
}

void pool_forward(double* y, const double* x, Size size, Pooling pooling) {
  const std::int64_t row = size.w * size.c;
  for (std::int64_t i = 0; i < size.h / 2; ++i) {
    for (std::int64_t j = 0; j < size.w / 2; ++j) {
      for (std::int64_t c = 0; c < size.c; ++c, ++y) {
        const double* window = x + 2 * i * row + 2 * j * size.c + c;
        const double a = window[0], b = window[size.c], d = window[row], e = window[row + size.c];
        *y = pooling == Pooling::kMax ? std::max({a, b, d, e}) : (a + b + d + e) / 4;
      }
    }
  }
}

void pool_backward(double* dx, const double* dy, const double* x, Size size, Pooling pooling,
                   Accumulate accumulate, Relu mask) {
  const std::int64_t row = size.w * size.c;
  const std::int64_t offsets[4] = {0, size.c, row, row + size.c};
  if (accumulate == Accumulate::kOverwrite) std::fill_n(dx, size.h * row, 0.0);
  for (std::int64_t i = 0; i < size.h / 2; ++i) {
    for (std::int64_t j = 0; j < size.w / 2; ++j) {
      for (std::int64_t c = 0; c < size.c; ++c, ++dy) {
        const std::int64_t corner = 2 * i * row + 2 * j * size.c + c;
        if (pooling == Pooling::kAverage) {
          for (const std::int64_t offset : offsets) dx[corner + offset] += *dy / 4;
        } else {
          std::int64_t best = corner;
          for (const std::int64_t offset : offsets) {
            if (x[corner + offset] > x[best]) best = corner + offset;
          }
          dx[best] += *dy;
        }
      }
    }
  }
  if (mask == Relu::kNo) return;
  for (std::int64_t i = 0; i < size.h * row; ++i) {
    if (!(x[i] > 0)) dx[i] = 0;
  }
}

}  // namespace impasto::reference
