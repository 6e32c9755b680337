#pragma once
// The size of a picture.
#include <algorithm>
#include <cstdint>
#include <string>

namespace impasto {

/// In pixels.
struct PixelSize {
  std::int64_t width = 0, height = 0;
  [[nodiscard]] constexpr std::int64_t pixels() const { return width * height; }
  [[nodiscard]] constexpr std::int64_t long_side() const { return std::max(width, height); }
  [[nodiscard]] constexpr std::int64_t short_side() const { return std::min(width, height); }
  friend constexpr bool operator==(const PixelSize&, const PixelSize&) = default;
};
/// "512x384"
[[nodiscard]] inline std::string to_string(PixelSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

}  // namespace impasto
