#include "engine/style/terms/coverage.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/core/message.h"

namespace impasto {
namespace {

constexpr std::int64_t kStripElements = 1 << 21;  // 8 MiB on the host

/// As many rows from y on as a strip holds.
TensorView strip_at(const TermContext& context, TensorView features, std::int64_t y) {
  const auto [h, w, c] = features.shape;
  TensorView strip = features.rows(y, std::min(h - y, std::max<std::int64_t>(1, kStripElements / (w * c))));
  // Of less positions, a product may be split into more parts.
  while (strip.shape.h > 1 &&
         context.backend.traits().gram_workspace_bytes(strip.shape) > context.workspace.bytes) {
    --strip.shape.h;
  }
  return strip;
}

/// A position's weight goes into the features, as its root, by way of the host: it happens once for a style
/// picture and scale, strip by strip, and only where weights differ. The features are put back, as the next
/// layer reads them.
/// T: the features' type on the host.
template <class T>
void add_covered(const TermContext& context, TensorView gram, TensorView features, const float* m,
                 double sum) {
  Backend& backend = context.backend;
  const auto [h, w, c] = features.shape;
  std::vector<T> plain, weighted;
  std::int64_t rows = 0;
  for (std::int64_t y = 0; y < h; y += rows) {
    const TensorView strip = strip_at(context, features, y);
    rows = strip.shape.h;
    const std::span<const float> own(m + y * w, static_cast<std::size_t>(rows * w));
    const auto [least, most] = std::minmax_element(own.begin(), own.end());
    if (*most == 0) continue;
    if (*least < 1) {
      plain.resize(static_cast<std::size_t>(strip.shape.elements()));
      backend.download(std::span<T>(plain), strip);
      weighted = plain;
      for (std::size_t i = 0; i < weighted.size(); ++i) {
        weighted[i] *= std::sqrt(own[i / static_cast<std::size_t>(c)]);
      }
      backend.upload(strip, std::span<const T>(weighted));
    }
    backend.gram(gram, strip, 1 / sum, Accumulate::kAdd, context.workspace);
    if (*least < 1) backend.upload(strip, std::span<const T>(plain));
  }
}

}  // namespace

std::vector<float> pooled_coverage(std::span<const float> coverage, Shape picture, Shape tap) {
  std::vector<float> m(coverage.begin(), coverage.end());
  for (std::int64_t h = picture.h, w = picture.w; h > tap.h || w > tap.w; h /= 2, w /= 2) {
    std::vector<float> half;
    half.reserve(static_cast<std::size_t>((h / 2) * (w / 2)));
    for (std::int64_t y = 0; y + 1 < h; y += 2) {
      for (std::int64_t x = 0; x + 1 < w; x += 2) {
        const float* const block = m.data() + y * w + x;
        half.push_back((block[0] + block[1] + block[w] + block[w + 1]) / 4);
      }
    }
    m = std::move(half);
  }
  return m;
}

CoveredGram::CoveredGram(Shape picture, Shape features, std::span<const float> coverage,
                         const std::string& layer)
    : sum_(static_cast<double>(features.positions())) {
  if (coverage.empty()) return;
  m_ = pooled_coverage(coverage, picture, features);
  sum_ = std::accumulate(m_.begin(), m_.end(), 0.0);
  if (sum_ > 0) return;
  throw make_error(
      ErrorCode::kBadInput,
      "style picture: expected a part that is not transparent and that layer {} sees, found none "
      "of its {}x{} positions",
      layer, features.w, features.h);
}

void CoveredGram::add(const TermContext& context, TensorView gram, TensorView features,
                      const TapRows& rows) const {
  if (m_.empty()) {
    const Accumulate accumulate = rows.part == 0 ? Accumulate::kOverwrite : Accumulate::kAdd;
    context.backend.gram(gram, features, 1 / sum_, accumulate, context.workspace);
    return;
  }
  if (rows.part == 0) context.backend.fill(gram, 0);
  const float* const m = m_.data() + rows.rows.first * features.shape.w;
  const bool wide = features.dtype == DType::kFloat64;
  (wide ? add_covered<double> : add_covered<float>)(context, gram, features, m, sum_);
}

}  // namespace impasto
