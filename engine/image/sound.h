#pragma once
// The one place where a picture that came from outside is checked before it is worked with.
#include <string>

#include "engine/image/image.h"

namespace impasto {

/// More than any picture has: products of it with channels and bytes stay far from overflow.
inline constexpr std::int64_t kMostPixels = std::int64_t{1} << 40;

/// Both sides at least 1, and at most kMostPixels in all.
[[nodiscard]] constexpr bool is_sound(PixelSize size) {
  return size.width > 0 && size.height > 0 && size.width <= kMostPixels / size.height;
}
/// Error(kUsage) "WHAT: expected ..., found ..." for another one.
void require_sound(PixelSize size, const std::string& what);

/// Error(kUsage) "WHAT: expected ..., found ..." for a picture without pixels, with more or fewer values than
/// its size says, with a colour that is not finite, or with alpha outside of 0..1.
void require_sound(const Image& image, const std::string& what);

}  // namespace impasto
