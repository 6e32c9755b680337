#include "engine/style/grain.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "tests/support/catch.h"

using namespace impasto;

namespace {

Image constant(std::int64_t width, std::int64_t height, float value) {
  return {width, height, std::vector<float>(static_cast<std::size_t>(3 * width * height), value), {}};
}

/// Every channel of every pixel within 0.5 +- half of `range`.
Image noise(std::int64_t width, std::int64_t height, float range, bool grey, std::uint32_t seed) {
  Image image = constant(width, height, 0.5F);
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    const float v = 0.5F + range * (static_cast<float>(random() % 1000) / 999 - 0.5F);
    image.rgb[i] = grey && i % 3 != 0 ? image.rgb[i - i % 3] : v;
  }
  return image;
}

/// The definition once more, in doubles and two dimensions at once.
Grain defined(const Image& image) {
  constexpr std::array<double, 5> kernel{1, 4, 6, 4, 1};
  const auto mirrored = [](std::int64_t i, std::int64_t n) {
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
  };
  Grain sum;
  for (std::int64_t y = 0; y < image.height; ++y) {
    for (std::int64_t x = 0; x < image.width; ++x) {
      std::array<double, 3> d{};
      for (std::int64_t c = 0; c < 3; ++c) {
        double blurred = 0;
        for (std::int64_t j = 0; j < 5; ++j) {
          for (std::int64_t i = 0; i < 5; ++i) {
            const std::int64_t at =
                mirrored(y + j - 2, image.height) * image.width + mirrored(x + i - 2, image.width);
            blurred += kernel[static_cast<std::size_t>(i)] * kernel[static_cast<std::size_t>(j)] / 256 *
                       static_cast<double>(image.rgb[static_cast<std::size_t>(3 * at + c)]);
          }
        }
        d[static_cast<std::size_t>(c)] =
            static_cast<double>(image.rgb[static_cast<std::size_t>(3 * (y * image.width + x) + c)]) - blurred;
      }
      const double l = 0.299 * d[0] + 0.587 * d[1] + 0.114 * d[2];
      sum.luminance += l * l;
      for (const double v : d) sum.colour += (v - l) * (v - l);
    }
  }
  const auto n = static_cast<double>(image.pixels());
  return {sum.luminance / n, sum.colour / n};
}

}  // namespace

TEST_CASE("grain is the mean square of the finest octave, of luminance and colour") {
  for (const auto& [width, height] : {std::pair<std::int64_t, std::int64_t>{17, 12}, {3, 2}, {5, 40}}) {
    const Image image = noise(width, height, 0.8F, false, 5);
    const Grain found = measure_grain(image), expected = defined(image);
    CHECK(found.luminance == Approx(expected.luminance).epsilon(1e-5));
    CHECK(found.colour == Approx(expected.colour).epsilon(1e-5));
  }
  CHECK(measure_grain(constant(9, 7, 0.3F)).luminance < 1e-12);
  CHECK(measure_grain(constant(1, 1, 0.3F)).luminance < 1e-12);
}

TEST_CASE("grain is that of the picture as it is displayed") {
  Image beyond = noise(16, 16, 3, false, 2);
  Image displayed = beyond;
  for (float& v : displayed.rgb) v = std::min(std::max(v, 0.F), 1.F);
  CHECK(measure_grain(beyond).luminance == measure_grain(displayed).luminance);
}

TEST_CASE("what is not visible does not count as grain") {
  Image image = constant(20, 10, 0.5F);
  const Image busy = noise(20, 10, 1, false, 3);
  std::vector<float> visible(200, 1);
  for (std::size_t i = 0; i < 100; ++i) {
    for (std::size_t c = 0; c < 3; ++c) image.rgb[3 * i + c] = busy.rgb[3 * i + c];
    visible[i] = 0;
  }
  for (std::size_t i = 100; i < 140; ++i) visible[i] = 0;  // where the blur reaches across
  CHECK(measure_grain(image).luminance > 1e-3);
  CHECK(measure_grain(image, visible).luminance < 1e-12);
  CHECK(measure_grain(image, std::vector<float>(200, 0)).luminance == 0);
}

TEST_CASE("a picture's grain is brought to what is wanted, within limits, and nothing else changes") {
  const Image image = noise(64, 48, 0.4F, false, 7);
  const Grain before = measure_grain(image);
  const auto matched = [&](double luminance, double colour) {
    Image copy = image;
    match_grain(copy, {luminance * before.luminance, colour * before.colour});
    const Grain after = measure_grain(copy);
    double moved = 0;
    for (std::size_t i = 0; i < copy.rgb.size(); ++i)
      moved += static_cast<double>(copy.rgb[i] - image.rgb[i]);
    CHECK(std::abs(moved / static_cast<double>(copy.rgb.size())) < 1e-3);
    return std::pair{after.luminance / before.luminance, after.colour / before.colour};
  };
  SECTION("within them") {
    const auto [luminance, colour] = matched(1.3, 0.5);
    CHECK(luminance == Approx(1.3).epsilon(0.06));
    CHECK(colour == Approx(0.5).epsilon(0.1));
  }
  SECTION("down") {
    const auto [luminance, colour] = matched(0.75, 1);
    CHECK(luminance == Approx(0.75).epsilon(0.06));
    CHECK(colour == Approx(1).epsilon(1e-4));
  }
  SECTION("colour that is missing is not made up, and luminance grows by a quarter at most") {
    const auto [luminance, colour] = matched(100, 100);
    CHECK(luminance == Approx(1.25 * 1.25).epsilon(0.06));
    CHECK(colour == Approx(1).epsilon(1e-4));
  }
  SECTION("nothing is wiped out") {
    const auto [luminance, colour] = matched(0, 0);
    CHECK(luminance == Approx(1 / 1.25 / 1.25).epsilon(0.06));
    CHECK(colour > 0.2);
  }
}

TEST_CASE("a flat picture and a grey one stay flat and grey when grain is matched") {
  Image flat = constant(8, 8, 0.25F);
  match_grain(flat, {1, 1});
  for (const float v : flat.rgb) CHECK(v == Approx(0.25).epsilon(1e-5));
  Image grey = noise(16, 16, 0.5F, true, 9);
  match_grain(grey, {1, 1});
  for (std::size_t i = 0; i < grey.rgb.size(); i += 3) {
    CHECK(std::abs(grey.rgb[i] - grey.rgb[i + 1]) < 1e-6F);
    CHECK(std::abs(grey.rgb[i] - grey.rgb[i + 2]) < 1e-6F);
  }
}
