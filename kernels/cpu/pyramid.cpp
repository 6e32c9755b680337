// Half the size with the weights [1 3 3 1] / 8 along each axis, and the transpose of that.
#include "kernels/cpu/pyramid.h"

#include <algorithm>
#include <array>

namespace impasto::cpu {
namespace {

constexpr std::array<float, 4> kWeights{0.125F, 0.375F, 0.375F, 0.125F};

/// Where position i of the halved axis reads: 2i - 1 to 2i + 2, held inside of n.
std::array<std::int64_t, 4> sources(std::int64_t i, std::int64_t n) {
  std::array<std::int64_t, 4> result{};
  for (std::int64_t tap = 0; tap < 4; ++tap) {
    result[static_cast<std::size_t>(tap)] = std::clamp<std::int64_t>(2 * i - 1 + tap, 0, n - 1);
  }
  return result;
}

/// Who reads position j of n, and with which weights: i = j / 2, and one neighbour of it. Positions that were
/// held inside of n add up at its ends.
struct Readers {
  std::int64_t near, far;
  float near_weight, far_weight;
};
Readers readers(std::int64_t j, std::int64_t n) {
  const std::int64_t near = j / 2, last = (n - 1) / 2;
  const bool beyond = j == n - 1 && n % 2 == 1;  // two taps of the last reader end here that lie beyond n
  return {near, std::clamp<std::int64_t>(j % 2 == 0 ? near - 1 : near + 1, 0, last), beyond ? 0.875F : 0.375F,
          0.125F};
}

}  // namespace

void halve_row(float* y, const float* x, const HalvedShape& shape, std::int64_t row) {
  const auto [h, w, c] = shape;
  const std::int64_t out_w = (w + 1) / 2;
  const auto rows = sources(row, h);
  float* out = y + row * out_w * c;
  for (std::int64_t i = 0; i < out_w; ++i) {
    const auto columns = sources(i, w);
    for (std::int64_t k = 0; k < c; ++k) {
      float sum = 0;
      for (std::size_t a = 0; a < 4; ++a) {
        const float* const line = x + rows[a] * w * c + k;
        float of_row = 0;
        for (std::size_t b = 0; b < 4; ++b) of_row += kWeights[b] * line[columns[b] * c];
        sum += kWeights[a] * of_row;
      }
      *out++ = sum;
    }
  }
}

void halve_transposed_add_row(float* x, const float* y, float scale, const HalvedShape& shape,
                              std::int64_t row) {
  const auto [h, w, c] = shape;
  const std::int64_t out_w = (w + 1) / 2;
  const Readers of_row = readers(row, h);
  const float *const near = y + of_row.near * out_w * c, *const far = y + of_row.far * out_w * c;
  float* out = x + row * w * c;
  for (std::int64_t j = 0; j < w; ++j) {
    const Readers r = readers(j, w);
    for (std::int64_t k = 0; k < c; ++k) {
      const std::int64_t at_near = r.near * c + k, at_far = r.far * c + k;
      const float upper = r.near_weight * near[at_near] + r.far_weight * near[at_far];
      const float lower = r.near_weight * far[at_near] + r.far_weight * far[at_far];
      *out++ += scale * (of_row.near_weight * upper + of_row.far_weight * lower);
    }
  }
}

}  // namespace impasto::cpu
