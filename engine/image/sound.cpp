#include "engine/image/sound.h"

#include <algorithm>
#include <cmath>

#include "engine/core/message.h"

namespace impasto {
namespace {

/// Where the pixel of values[i] lies, `channels` to each.
std::string place_of(const Image& image, std::ptrdiff_t i, std::int64_t channels) {
  const std::int64_t pixel = i / channels;
  return fmt::format("at column {}, row {}", pixel % image.width + 1, pixel / image.width + 1);
}

}  // namespace

void require_sound(PixelSize size, const std::string& what) {
  if (is_sound(size)) return;
  throw make_error(ErrorCode::kUsage, "{}: expected a size of at least 1 x 1 and at most {} pixels, found {}",
                   what, kMostPixels, to_string(size));
}

void require_sound(const Image& image, const std::string& what) {
  require_sound(image.size(), what);
  const auto pixels = static_cast<std::size_t>(image.pixels());
  if (image.rgb.size() != 3 * pixels || (image.has_alpha() && image.alpha.size() != pixels)) {
    throw make_error(
        ErrorCode::kUsage,
        "{}: expected {} values of colour and {} or none of alpha for {} pixels, found {} and {}", what,
        3 * pixels, pixels, to_string(image.size()), image.rgb.size(), image.alpha.size());
  }
  const auto colour =
      std::find_if_not(image.rgb.begin(), image.rgb.end(), [](float v) { return std::isfinite(v); });
  if (colour != image.rgb.end()) {
    throw make_error(ErrorCode::kUsage, "{}: expected finite colours, found {} {}", what, *colour,
                     place_of(image, colour - image.rgb.begin(), 3));
  }
  const auto alpha =
      std::find_if_not(image.alpha.begin(), image.alpha.end(), [](float a) { return a >= 0 && a <= 1; });
  if (alpha != image.alpha.end()) {
    throw make_error(ErrorCode::kUsage, "{}: expected alpha from 0 to 1, found {} {}", what, *alpha,
                     place_of(image, alpha - image.alpha.begin(), 1));
  }
}

}  // namespace impasto
