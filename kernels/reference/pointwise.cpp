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

void pool_codes(std::uint8_t* codes, const double* x, Size size, Pooling pooling) {
  for (std::int64_t i = 0; i < size.h; i += 2) {
    for (std::int64_t j = 0; j < size.w; j += 2) {
      const bool whole = i + 1 < size.h && j + 1 < size.w;
      for (std::int64_t c = 0; c < size.c; ++c, ++codes) {
        unsigned signs = 0, best = 0;
        double largest = x[(i * size.w + j) * size.c + c];
        for (unsigned p = 0; p < 4; ++p) {
          const std::int64_t row = i + p / 2, column = j + p % 2;
          if (row >= size.h || column >= size.w) continue;
          const double value = x[(row * size.w + column) * size.c + c];
          if (value > 0) signs |= 1U << p;
          if (value > largest) largest = value, best = p;
        }
        const unsigned gradient = pooling == Pooling::kAverage ? 15U : 1U << best;
        *codes = static_cast<std::uint8_t>(signs << 4 | (whole ? gradient : 0));
      }
    }
  }
}

void pool_backward(double* dx, const double* dy, const std::uint8_t* codes, Size size, Pooling pooling,
                   Accumulate accumulate, Relu mask) {
  for (std::int64_t i = 0; i < size.h; ++i) {
    for (std::int64_t j = 0; j < size.w; ++j) {
      const std::int64_t p = i % 2 * 2 + j % 2, window = i / 2 * ((size.w + 1) / 2) + j / 2;
      const bool whole = i / 2 < size.h / 2 && j / 2 < size.w / 2;
      for (std::int64_t c = 0; c < size.c; ++c, ++dx) {
        const int code = codes != nullptr ? codes[window * size.c + c] : 15;
        if (accumulate == Accumulate::kOverwrite) *dx = 0;
        if (whole && (code >> p & 1) != 0) {
          *dx += dy[(i / 2 * (size.w / 2) + j / 2) * size.c + c] / (pooling == Pooling::kAverage ? 4 : 1);
        }
        if (mask == Relu::kYes && (code >> (4 + p) & 1) == 0) *dx = 0;
      }
    }
  }
}

}  // namespace impasto::reference
