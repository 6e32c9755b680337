// Separable resampling. An output row is made of the source rows under its filter (contiguous, so the
// compiler vectorises over columns), then that one row is filtered along x: no intermediate picture exists.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"
#include "engine/image/image.h"

namespace impasto {
namespace {

/// The weights of source samples first, first + 1, ... for one output sample; they sum to 1.
struct Taps {
  std::int64_t first = 0;
  std::vector<float> weights;
};

double lanczos3(double x) {
  if (std::abs(x) >= 3) return 0;
  if (x == 0) return 1;
  const double t = std::numbers::pi * x;
  return 3 * std::sin(t) * std::sin(t / 3) / (t * t);
}

/// Output sample i is centred at (i + 0.5) * scale, source sample j at j + 0.5; when shrinking the filter is
/// widened by `scale`, which is what keeps it free of aliasing.
std::vector<Taps> make_taps(std::int64_t source, std::int64_t target) {
  const double scale = static_cast<double>(source) / static_cast<double>(target);
  const double stretch = std::max(scale, 1.0), support = 3 * stretch;
  std::vector<Taps> all(static_cast<std::size_t>(target));
  for (std::int64_t i = 0; i < target; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first =
        std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(centre - support + 0.5)));
    const auto last =
        std::min<std::int64_t>(source, static_cast<std::int64_t>(std::floor(centre + support + 0.5)));
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t j = first; j < last; ++j) {
      weights.push_back(lanczos3((static_cast<double>(j) + 0.5 - centre) / stretch));
      sum += weights.back();
    }
    Taps& taps = all[static_cast<std::size_t>(i)];
    taps.first = first;
    for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
  }
  return all;
}

/// out[x] = sum_k weights[k] * row[first + k], for pixels of kChannels floats.
template <int kChannels>
void filter_row(const std::vector<Taps>& columns, const float* row, float* out) {
  for (const Taps& taps : columns) {
    float sum[kChannels] = {};
    const float* pixel = row + taps.first * kChannels;
    for (const float weight : taps.weights) {
      for (int c = 0; c < kChannels; ++c) sum[c] += weight * pixel[c];
      pixel += kChannels;
    }
    for (int c = 0; c < kChannels; ++c) out[c] = sum[c];
    out += kChannels;
  }
}

void resize_opaque(const Image& image, const std::vector<Taps>& columns, const std::vector<Taps>& rows,
                   Image& result) {
  const auto line = static_cast<std::size_t>(image.width) * 3;
  std::vector<float> row(line);
  float* out = result.rgb.data();
  for (const Taps& taps : rows) {
    std::fill(row.begin(), row.end(), 0.0F);
    const float* from = image.rgb.data() + static_cast<std::size_t>(taps.first) * line;
    for (const float weight : taps.weights) {
      for (std::size_t i = 0; i < line; ++i) row[i] += weight * from[i];
      from += line;
    }
    filter_row<3>(columns, row.data(), out);
    out += result.width * 3;
  }
}

/// As resize_opaque, on colour times alpha, which is divided out again.
void resize_with_alpha(const Image& image, const std::vector<Taps>& columns, const std::vector<Taps>& rows,
                       Image& result) {
  constexpr float kInvisible = 1.0F / 1024;  // less than any 8-bit alpha: the colour would be rounding noise
  const auto width = static_cast<std::size_t>(image.width),
             new_width = static_cast<std::size_t>(result.width);
  std::vector<float> row(width * 4), line(new_width * 4);
  float* out = result.rgb.data();
  float* out_alpha = result.alpha.data();
  for (const Taps& taps : rows) {
    std::fill(row.begin(), row.end(), 0.0F);
    const float* from = image.rgb.data() + static_cast<std::size_t>(taps.first) * width * 3;
    const float* alpha = image.alpha.data() + static_cast<std::size_t>(taps.first) * width;
    for (const float weight : taps.weights) {
      for (std::size_t x = 0; x < width; ++x) {
        const float a = weight * alpha[x];
        for (std::size_t c = 0; c < 3; ++c) row[4 * x + c] += a * from[3 * x + c];
        row[4 * x + 3] += a;
      }
      from += width * 3;
      alpha += width;
    }
    filter_row<4>(columns, row.data(), line.data());
    for (std::size_t x = 0; x < new_width; ++x) {
      const float a = line[4 * x + 3];  // may overshoot 1, and then the colour times alpha does so as much
      for (std::size_t c = 0; c < 3; ++c) {
        *out++ = a < kInvisible ? 0.0F : std::clamp(line[4 * x + c] / a, 0.0F, 1.0F);
      }
      *out_alpha++ = std::clamp(a, 0.0F, 1.0F);
    }
  }
}

}  // namespace

Image resize(const Image& image, std::int64_t width, std::int64_t height) {
  constexpr std::int64_t kMaxPixels = std::int64_t{1} << 40;
  if (width <= 0 || height <= 0 || width > kMaxPixels / height) {
    throw Error(ErrorCode::kUsage, "resize: expected a size of at least 1 x 1 pixels, found " +
                                       std::to_string(width) + " x " + std::to_string(height));
  }
  if (image.width <= 0 || image.height <= 0) {
    throw Error(ErrorCode::kBadInput, "resize: expected a picture with pixels, found " +
                                          std::to_string(image.width) + " x " + std::to_string(image.height));
  }
  if (width == image.width && height == image.height) return image;
  Image result;
  result.width = width;
  result.height = height;
  result.rgb.resize(static_cast<std::size_t>(width * height) * 3);
  if (image.has_alpha()) result.alpha.resize(static_cast<std::size_t>(width * height));
  const std::vector<Taps> columns = make_taps(image.width, width), rows = make_taps(image.height, height);
  if (image.has_alpha()) {
    resize_with_alpha(image, columns, rows, result);
  } else {
    resize_opaque(image, columns, rows, result);
  }
  return result;
}

}  // namespace impasto
