#include "engine/style/grain.h"

#include <array>
#include <cmath>
#include <cstdlib>

namespace impasto {
namespace {

constexpr std::array<float, 5> kBlur{1 / 16.F, 4 / 16.F, 6 / 16.F, 4 / 16.F, 1 / 16.F};
constexpr double kMostLuminance = 1.25, kLeastColour = 0.5;

using Pixel = std::array<float, 3>;

float luminance(const Pixel& p) { return 0.299F * p[0] + 0.587F * p[1] + 0.114F * p[2]; }

/// Index i of n samples that go on mirrored about the first and the last one.
std::int64_t mirrored(std::int64_t i, std::int64_t n) {
  if (n == 1) return 0;
  const std::int64_t period = 2 * (n - 1);
  i = std::abs(i) % period;
  return i < n ? i : period - i;
}

/// Calls use(pixel, detail) for every pixel of a picture in 0..1 from its top left.
template <class Use>
void for_each_detail(const Image& image, const Use& use) {
  const std::int64_t w = image.width, h = image.height;
  std::vector<Pixel> column(static_cast<std::size_t>(w));  // this row, blurred along y
  const auto at = [&](std::int64_t x, std::int64_t y) { return image.rgb.data() + 3 * (y * w + x); };
  for (std::int64_t y = 0; y < h; ++y) {
    for (std::int64_t x = 0; x < w; ++x) {
      Pixel sum{};
      for (std::int64_t k = 0; k < 5; ++k) {
        const float* source = at(x, mirrored(y + k - 2, h));
        for (std::size_t c = 0; c < 3; ++c) sum[c] += kBlur[static_cast<std::size_t>(k)] * source[c];
      }
      column[static_cast<std::size_t>(x)] = sum;
    }
    for (std::int64_t x = 0; x < w; ++x) {
      Pixel detail{at(x, y)[0], at(x, y)[1], at(x, y)[2]};
      for (std::int64_t k = 0; k < 5; ++k) {
        const Pixel& source = column[static_cast<std::size_t>(mirrored(x + k - 2, w))];
        for (std::size_t c = 0; c < 3; ++c) detail[c] -= kBlur[static_cast<std::size_t>(k)] * source[c];
      }
      use(static_cast<std::size_t>(y * w + x), detail);
    }
  }
}

void clamp(Image& image) {
  for (float& v : image.rgb) v = std::clamp(v, 0.F, 1.F);
}

Grain measure_displayable(const Image& image, std::span<const float> visible) {
  Grain sum;
  double total = 0;
  for_each_detail(image, [&](std::size_t i, const Pixel& detail) {
    const double weight = visible.empty() ? 1 : visible[i], l = luminance(detail);
    total += weight;
    sum.luminance += weight * l * l;
    for (const float v : detail) sum.colour += weight * (v - l) * (v - l);
  });
  return total > 0 ? Grain{sum.luminance / total, sum.colour / total} : Grain{};
}

/// The factor of amplitude that makes `energy` the one
/// wanted, within limits; 1 where there is nothing to scale.
float factor(double wanted, double energy, double least, double most) {
  return energy > 0 ? static_cast<float>(std::clamp(std::sqrt(wanted / energy), least, most)) : 1.F;
}

}  // namespace

Grain measure_grain(const Image& image, std::span<const float> visible) {
  Image copy = image;
  clamp(copy);
  return measure_displayable(copy, visible);
}

void match_grain(Image& image, const Grain& wanted) {
  clamp(image);
  const Grain found = measure_displayable(image, {});
  const float bright = factor(wanted.luminance, found.luminance, 1 / kMostLuminance, kMostLuminance);
  const float colour = factor(wanted.colour, found.colour, kLeastColour, 1);
  Image result = image;
  for_each_detail(image, [&](std::size_t i, const Pixel& detail) {
    const float l = luminance(detail);
    for (std::size_t c = 0; c < 3; ++c) {
      result.rgb[3 * i + c] += (bright - 1) * l + (colour - 1) * (detail[c] - l);
    }
  });
  image.rgb = std::move(result.rgb);
}

}  // namespace impasto
