#include <cmath>

#include "apps/demo/paint.h"
#include "engine/core/error.h"
#include "tests/support/catch.h"

using impasto::Image;
using impasto::demo::paint;
using impasto::demo::paint_kinds;
using impasto::demo::PaintOptions;

namespace {

Image small(int kind, std::uint64_t seed = 3) {
  return paint({.kind = kind, .seed = seed, .width = 160, .height = 112});
}

/// Root mean square of the luminance's steps between pixels that are `apart`, over the whole picture.
double texture(const Image& image, std::int64_t apart) {
  double sum = 0;
  std::int64_t count = 0;
  const auto at = [&](std::int64_t x, std::int64_t y) {
    const float* p = &image.rgb[static_cast<std::size_t>(3 * (y * image.width + x))];
    return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
  };
  for (std::int64_t y = 0; y + apart < image.height; ++y) {
    for (std::int64_t x = 0; x + apart < image.width; ++x, ++count) {
      sum += std::pow(at(x + apart, y) - at(x, y), 2) + std::pow(at(x, y + apart) - at(x, y), 2);
    }
  }
  return std::sqrt(sum / static_cast<double>(2 * count));
}

}  // namespace

TEST_CASE("the painter gives the same picture for the same options") {
  for (int kind = 0; kind < static_cast<int>(paint_kinds().size()); ++kind) {
    INFO("kind " << kind);
    const Image once = small(kind);
    CHECK(once.width == 160);
    CHECK(once.height == 112);
    CHECK(once.rgb == small(kind).rgb);
    CHECK(once.rgb != small(kind, 4).rgb);
  }
}

TEST_CASE("a painted picture has texture at every scale of its strokes, and displayable pixels") {
  for (int kind = 0; kind < static_cast<int>(paint_kinds().size()); ++kind) {
    INFO("kind " << kind);
    const Image image = small(kind);
    for (const std::int64_t apart : {1, 3, 8}) {
      INFO("apart " << apart);
      CHECK(texture(image, apart) > 0.03);
    }
    bool displayable = true;
    for (const float v : image.rgb) displayable = displayable && v >= 0 && v <= 1;
    CHECK(displayable);
  }
}

TEST_CASE("a painting keeps its composition at another size") {
  const Image small_one = paint({.kind = 0, .seed = 0, .width = 160, .height = 120});
  const Image large_one =
      impasto::resize(paint({.kind = 0, .seed = 0, .width = 320, .height = 240}), {160, 120});
  const Image other = impasto::resize(paint({.kind = 1, .seed = 0, .width = 320, .height = 240}), {160, 120});
  const auto difference = [&](const Image& a) {
    const Image blurred = impasto::resize(a, {20, 15}), mine = impasto::resize(small_one, {20, 15});
    double sum = 0;
    for (std::size_t i = 0; i < mine.rgb.size(); ++i) sum += std::abs(blurred.rgb[i] - mine.rgb[i]);
    return sum / static_cast<double>(mine.rgb.size());
  };
  CHECK(difference(large_one) < 0.3 * difference(other));
}

TEST_CASE("the painter refuses kinds and sizes that it does not have") {
  CHECK_THROWS_WITH(paint({.kind = 99}), ContainsSubstring("kind: expected 0 to"));
  CHECK_THROWS_WITH(paint({.kind = 0, .width = 4}),
                    ContainsSubstring("expected sides of 16 to 8192 pixels, found 4"));
  CHECK_THROWS_WITH(paint({.kind = 0, .width = 640, .height = 10000}), ContainsSubstring("found 10000"));
}
