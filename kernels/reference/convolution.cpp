#include <algorithm>

#include "kernels/reference/reference.h"

namespace impasto::reference {
namespace {

/// Output rows (or columns) [begin, end) for which row y + tap - pad lies inside an input of `in` rows.
struct Range {
  std::int64_t begin, end;
};
Range inside(std::int64_t out, std::int64_t in, std::int64_t tap, std::int64_t pad) {
  return {std::max<std::int64_t>(0, pad - tap), std::min(out, in + pad - tap)};
}

}  // namespace

void conv2d_forward(double* y, const double* x, const double* filter, const double* bias, Size input,
                    std::int64_t out_channels, Padding padding, Relu relu) {
  const std::int64_t h = input.h + padding.top + padding.bottom - 2;
  const std::int64_t w = input.w + padding.left + padding.right - 2;
  for (std::int64_t p = 0; p < h * w; ++p) std::copy_n(bias, out_channels, y + p * out_channels);
  for (std::int64_t dy = 0; dy < 3; ++dy) {
    const Range rows = inside(h, input.h, dy, padding.top);
    for (std::int64_t dx = 0; dx < 3; ++dx) {
      const Range columns = inside(w, input.w, dx, padding.left);
      const double* tap = filter + (dy * 3 + dx) * input.c * out_channels;
      for (std::int64_t i = rows.begin; i < rows.end; ++i) {
        for (std::int64_t j = columns.begin; j < columns.end; ++j) {
          const double* from = x + ((i + dy - padding.top) * input.w + j + dx - padding.left) * input.c;
          double* to = y + (i * w + j) * out_channels;
          for (std::int64_t c = 0; c < input.c; ++c) {
            for (std::int64_t k = 0; k < out_channels; ++k) to[k] += from[c] * tap[c * out_channels + k];
          }
        }
      }
    }
  }
  if (relu == Relu::kYes) relu_forward(y, y, h * w * out_channels);
}

void conv2d_backward_data(double* dx, const double* dy, const double* filter, const double* mask, Size input,
                          std::int64_t out_channels, Padding padding, Accumulate accumulate) {
  const std::int64_t h = input.h + padding.top + padding.bottom - 2;
  const std::int64_t w = input.w + padding.left + padding.right - 2;
  const std::int64_t n = input.h * input.w * input.c;
  if (accumulate == Accumulate::kOverwrite) std::fill_n(dx, n, 0.0);
  for (std::int64_t ty = 0; ty < 3; ++ty) {
    const Range rows = inside(h, input.h, ty, padding.top);
    for (std::int64_t tx = 0; tx < 3; ++tx) {
      const Range columns = inside(w, input.w, tx, padding.left);
      const double* tap = filter + (ty * 3 + tx) * input.c * out_channels;
      for (std::int64_t i = rows.begin; i < rows.end; ++i) {
        for (std::int64_t j = columns.begin; j < columns.end; ++j) {
          const double* from = dy + (i * w + j) * out_channels;
          double* to = dx + ((i + ty - padding.top) * input.w + j + tx - padding.left) * input.c;
          for (std::int64_t c = 0; c < input.c; ++c) to[c] += dot(from, tap + c * out_channels, out_channels);
        }
      }
    }
  }
  if (mask == nullptr) return;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!(mask[i] > 0)) dx[i] = 0;
  }
}

}  // namespace impasto::reference
