#include "engine/style/picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "engine/core/digest.h"
#include "engine/core/random.h"

namespace impasto {
namespace {

/// Element i of the stream `seed`.
double uniform(std::uint64_t seed, std::uint64_t i) {
  return open_unit_interval(splitmix64(splitmix64(seed) + i));
}

}  // namespace

std::vector<float> to_network_space(std::vector<float> rgb, const Preprocessing& preprocessing) {
  for (std::size_t p = 0; p < rgb.size(); p += 3) {
    if (preprocessing.bgr) std::swap(rgb[p], rgb[p + 2]);
    for (std::size_t c = 0; c < 3; ++c) {
      rgb[p + c] = static_cast<float>(255.0 * rgb[p + c] - preprocessing.mean[c]);
    }
  }
  return rgb;
}

Image from_network_space(std::vector<float> x, PixelSize size, const Preprocessing& preprocessing) {
  for (std::size_t p = 0; p < x.size(); p += 3) {
    for (std::size_t c = 0; c < 3; ++c) {
      x[p + c] = static_cast<float>((x[p + c] + preprocessing.mean[c]) / 255.0);
    }
    if (preprocessing.bgr) std::swap(x[p], x[p + 2]);
  }
  return {size.width, size.height, std::move(x), {}};
}

PixelRange pixel_range(const Preprocessing& preprocessing) {
  PixelRange range;
  for (std::size_t c = 0; c < 3; ++c) {
    range.lower[c] = -preprocessing.mean[c];
    range.upper[c] = 255 - preprocessing.mean[c];
  }
  return range;
}

Image flatten(const Image& image) {
  if (!image.has_alpha()) return image;
  std::array<double, 3> sum{};
  double weight = 0;
  for (std::size_t p = 0; p < image.alpha.size(); ++p) {
    for (std::size_t c = 0; c < 3; ++c) sum[c] += static_cast<double>(image.alpha[p]) * image.rgb[3 * p + c];
    weight += image.alpha[p];
  }
  Image result{image.width, image.height, image.rgb, {}};
  for (std::size_t p = 0; p < image.alpha.size(); ++p) {
    const double a = image.alpha[p];
    for (std::size_t c = 0; c < 3; ++c) {
      const double average = weight > 0 ? sum[c] / weight : 0.5;
      result.rgb[3 * p + c] = static_cast<float>(a * image.rgb[3 * p + c] + (1 - a) * average);
    }
  }
  return result;
}

bool is_grey(std::span<const float> rgb) {
  constexpr float kMostApart = 3.5F / 255;  // grey in a JPEG of three channels: chroma is rounded
  for (std::size_t p = 0; p < rgb.size(); p += 3) {
    const auto [least, most] = std::minmax({rgb[p], rgb[p + 1], rgb[p + 2]});
    if (!(most - least <= kMostApart)) return false;
  }
  return true;
}
bool is_grey(const Image& image) { return is_grey(std::span(image.rgb)); }

float mean_of_channels(const float* rgb) {
  const double sum = static_cast<double>(rgb[0]) + rgb[1] + rgb[2];
  return static_cast<float>(sum / 3);
}

void make_grey(Image& image) {
  for (std::size_t p = 0; p < image.rgb.size(); p += 3) {
    image.rgb[p] = image.rgb[p + 1] = image.rgb[p + 2] = mean_of_channels(&image.rgb[p]);
  }
}

namespace {

/// Means over `to` equal parts of a line of `from` values, `stride` apart. Lengths are counted in whole
/// parts of 1 / (from * to) of the line, so that a part has exactly nothing of what lies beside it.
void average_line(const float* line, std::int64_t from, float* out, std::int64_t to, std::int64_t stride) {
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t begin = i * from, end = begin + from;
    double sum = 0;
    for (std::int64_t j = begin / to; j * to < end; ++j) {
      const std::int64_t overlap = std::min(end, (j + 1) * to) - std::max(begin, j * to);
      sum += static_cast<double>(overlap) * static_cast<double>(line[j * stride]);
    }
    out[i * stride] = static_cast<float>(sum / static_cast<double>(from));
  }
}

}  // namespace

std::vector<float> coverage(const Image& image, PixelSize size) {
  const auto [width, height] = size;
  std::vector<float> shares(static_cast<std::size_t>(size.pixels()), 1.0F);
  if (!image.has_alpha()) return shares;
  std::vector<float> rows(static_cast<std::size_t>(width * image.height));
  for (std::int64_t y = 0; y < image.height; ++y) {
    average_line(image.alpha.data() + y * image.width, image.width, rows.data() + y * width, width, 1);
  }
  for (std::int64_t x = 0; x < width; ++x) {
    average_line(rows.data() + x, image.height, shares.data() + x, height, width);
  }
  return shares;
}

Image add_change(const Image& first, const Image& before, Image result) {
  for (std::size_t i = 0; i < result.rgb.size(); ++i) result.rgb[i] -= before.rgb[i];
  Image change = resize(result, first.size());
  for (std::size_t i = 0; i < change.rgb.size(); ++i) change.rgb[i] = first.rgb[i] + change.rgb[i];
  return change;
}

std::vector<float> noise(PixelSize size, double deviation, std::uint64_t seed,
                         const Preprocessing& preprocessing, Tint tint) {
  std::vector<float> x(static_cast<std::size_t>(size.pixels() * 3));
  const bool grey = tint == Tint::kGrey;
  const auto& mean = preprocessing.mean;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t n = grey ? i - i % 3 : i;  // which number
    if (deviation > 0) {                         // Box-Muller
      const double r = std::sqrt(-2 * std::log(uniform(seed, 2 * n)));
      const double around = grey ? (mean[0] + mean[1] + mean[2]) / 3 - mean[i % 3] : 0;
      x[i] = static_cast<float>(around +
                                deviation * r * std::cos(2 * std::numbers::pi * uniform(seed, 2 * n + 1)));
    } else {
      x[i] = static_cast<float>(255 * uniform(seed, n) - mean[i % 3]);
    }
  }
  return x;
}

std::string digest(const Image& image) {
  const std::array size{image.width, image.height};
  Sha256 sha256;
  sha256.update(std::span(size));
  sha256.update(std::span(image.rgb));
  sha256.update(std::span(image.alpha));
  return sha256.hex();
}

}  // namespace impasto
