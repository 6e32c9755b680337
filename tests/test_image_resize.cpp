// Against Pillow's LANCZOS: see golden/image/make_goldens.py.
#include <algorithm>
#include <cstring>

#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

TEST_CASE("resize agrees with Pillow's LANCZOS within one 8-bit step", "[image]") {
  const Image source = read_image(golden_path("resize_source.png"));
  struct Size {
    int w, h;
  };
  for (const Size s :
       {Size{20, 14}, {13, 43}, {61, 7}, {97, 71}, {30, 80}, {1, 1}, {1, 43}, {61, 1}, {2, 3}}) {
    const std::string name = "resize_" + std::to_string(s.w) + "x" + std::to_string(s.h) + ".png";
    INFO(name);
    const Difference d = difference_8(resize(source, {s.w, s.h}), read_image(golden_path(name)));
    CHECK(d.max <= 1);
    CHECK(d.mean < 0.25);  // Pillow rounds to 8 bits between its passes; measured at most 0.2
  }
}

TEST_CASE("resize that clips agrees with Pillow at black and white edges too", "[image]") {
  const Image source = read_image(golden_path("resize_hard_source.png"));
  for (const auto& [w, h] : {std::pair{20, 15}, {75, 57}}) {
    const std::string name = "resize_hard_" + std::to_string(w) + "x" + std::to_string(h) + ".png";
    INFO(name);
    const Image expected = read_image(golden_path(name));
    CHECK(difference_8(resize(source, {w, h}, Overshoot::kClip), expected).max <= 1);
    CHECK(difference_8(resize(source, {w, h}), expected).max >
          5);  // the order of clipping and filtering matters
    const Image kept = resize(source, {w, h});
    CHECK(*std::max_element(kept.rgb.begin(), kept.rgb.end()) > 1.05F);
  }
}

TEST_CASE("resize of pictures one pixel wide or high agrees with Pillow", "[image]") {
  for (const std::string size : {"1x19", "19x1", "1x1"}) {
    INFO(size);
    const Image source = read_image(golden_path("resize_thin_" + size + "_source.png"));
    CHECK(difference_8(resize(source, {7, 5}), read_image(golden_path("resize_thin_" + size + ".png"))).max <=
          1);
  }
}

TEST_CASE("resize agrees with Pillow's float filter, overshoot included", "[image]") {
  Image source;
  source.width = 13;
  source.height = 9;
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 13; ++x) {
      const int value = (x * 7 + y * 5) % 11 < 4 ? 255 : x * y % 40;
      source.rgb.insert(source.rgb.end(), 3, static_cast<float>(value));
    }
  }
  struct Size {
    int w, h;
  };
  for (const Size s : {Size{5, 4}, {17, 23}, {13, 3}}) {
    const FileBytes bytes =
        file_bytes(golden_path("resize_exact_" + std::to_string(s.w) + "x" + std::to_string(s.h) + ".f32"));
    std::vector<float> expected(bytes.size() / 4);
    std::memcpy(expected.data(), bytes.data(), bytes.size());
    const Image result = resize(source, {s.w, s.h});
    REQUIRE(result.rgb.size() == 3 * expected.size());
    double worst = 0, lowest = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(result.rgb[3 * i] - expected[i])));
      lowest = std::min(lowest, static_cast<double>(result.rgb[3 * i]));
    }
    CHECK(worst < 2e-4);  // values up to 300 in float32
    if (s.w == 17) CHECK(lowest < -1);
  }
}

TEST_CASE("resize weights colour by alpha, as Pillow does, and hidden colour does not leak", "[image]") {
  const Image source = read_image(golden_path("resize_alpha_source.png"));
  const Image expected = read_image(golden_path("resize_alpha_17x12.png"));
  const Image result = resize(source, {17, 12});
  REQUIRE(result.has_alpha());
  CHECK(difference(result.alpha, expected.alpha).max <= 1.01 / 255);
  for (std::size_t i = 0; i < result.alpha.size(); ++i) {
    if (expected.alpha[i] < 0.25F) continue;  // Pillow's 8-bit premultiplied colour is too coarse below
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(std::abs(result.rgb[3 * i + c] - expected.rgb[3 * i + c]) <= 4.0F / 255);
    }
  }

  Image hidden = make_picture(24, 24, true);
  for (std::size_t i = 0; i < hidden.alpha.size(); ++i) {
    const bool visible = i % 24 < 12;
    hidden.alpha[i] = visible ? 1.0F : 0.0F;
    for (std::size_t c = 0; c < 3; ++c) hidden.rgb[3 * i + c] = visible ? 0.25F : (c == 0 ? 1.0F : 0.0F);
  }
  const Image half = resize(hidden, {12, 12});
  for (std::size_t i = 0; i < half.alpha.size(); ++i) {
    if (half.alpha[i] < 0.01F) continue;
    for (std::size_t c = 0; c < 3; ++c) CHECK(half.rgb[3 * i + c] == Approx(0.25).margin(1e-4));
  }
}

TEST_CASE("resize keeps a flat picture flat at any size", "[image]") {
  Image flat = make_picture(31, 17);
  for (float& v : flat.rgb) v = 0.37F;
  struct Size {
    int w, h;
  };
  for (const Size s : {Size{5, 3}, {64, 64}, {31, 4}, {1, 1}}) {
    const Image result = resize(flat, {s.w, s.h});
    for (const float v : result.rgb) CHECK(v == Approx(0.37).margin(1e-6));
  }
}

TEST_CASE("resize to the same size changes nothing", "[image]") {
  const Image picture = make_picture(12, 9, true);
  check_same(resize(picture, {12, 9}), picture);
}

TEST_CASE("resize_alpha gives the very alpha that resize gives", "[image]") {
  Image picture = make_picture(23, 17, true);
  for (std::size_t i = 0; i < picture.alpha.size(); i += 3) picture.alpha[i] = i % 2 == 0 ? 0.0F : 1.0F;
  for (const PixelSize size : {PixelSize{7, 5}, {64, 51}, {23, 17}, {5, 40}, {50, 3}, {23, 9}, {1, 1}}) {
    INFO(size.width << " x " << size.height);
    CHECK(resize_alpha(picture, size) == resize(picture, size).alpha);
  }
  CHECK(resize_alpha(make_picture(4, 4), {8, 2}).empty());
  CHECK(resize_alpha(make_picture(4, 4), {4, 4}).empty());
}

TEST_CASE("resize to or from nothing is refused", "[image]") {
  const Image picture = make_picture(4, 4);
  CHECK_THROWS_AS(resize(picture, {0, 4}), Error);
  CHECK_THROWS_AS(resize(picture, {4, -1}), Error);
  CHECK_THROWS_AS(resize(picture, {INT64_MAX, INT64_MAX}), Error);
  CHECK_THROWS_AS(resize(Image{}, {4, 4}), Error);
  CHECK_THROWS_AS(resize_alpha(picture, {0, 4}), Error);
  CHECK_THROWS_AS(resize_alpha(Image{}, {4, 4}), Error);
}
