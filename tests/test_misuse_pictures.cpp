// The library's border: pictures that are none are refused wherever one is taken.
#include <filesystem>
#include <functional>
#include <span>

#include "engine/impasto.h"
#include "tests/support/catch.h"
#include "tests/support/misuse.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// Every picture that is none, by what is done to a sound one.
struct Broken {
  const char* how;
  Image picture;
};
std::vector<Broken> broken_pictures() {
  const auto with = [](const std::function<void(Image&)>& change) {
    Image image = random_image(24, 24, 1);
    change(image);
    return image;
  };
  const auto resized = [&](std::int64_t width, std::int64_t height) {
    return with([&](Image& image) { image.width = width, image.height = height; });
  };
  return {
      {"nothing", {}},
      {"no width", resized(0, 24)},
      {"no height", resized(24, 0)},
      {"a negative width", resized(-24, 24)},
      {"two negative sides", resized(-24, -24)},
      {"a huge width", resized(kHuge, 24)},
      {"huge sides whose product overflows to 0", resized(kHuge, kHuge)},
      {"the largest sides", resized(INT64_MAX, INT64_MAX)},
      {"the least sides", resized(INT64_MIN, INT64_MIN)},
      {"colours too few", with([](Image& image) { image.rgb.resize(5); })},
      {"no colours", with([](Image& image) { image.rgb.clear(); })},
      {"one colour too many", with([](Image& image) { image.rgb.push_back(0); })},
      {"alpha too short", with([](Image& image) { image.alpha = {1}; })},
      {"alpha too long", with([](Image& image) { image.alpha.assign(24 * 24 + 1, 1); })},
      {"a colour that is no number", with([](Image& image) { image.rgb[100] = kNan; })},
      {"an infinite colour", with([](Image& image) { image.rgb.back() = -kInfinity; })},
      {"alpha that is no number", with([](Image& image) {
         image.alpha.assign(24 * 24, 1);
         image.alpha[7] = kNan;
       })},
      {"negative alpha", with([](Image& image) {
         image.alpha.assign(24 * 24, 1);
         image.alpha[7] = -1;
       })},
  };
}

}  // namespace

TEST_CASE("a picture that is none is refused wherever one is taken") {
  const Image &c = content(), &s = styles()[0];
  for (const Broken& broken : broken_pictures()) {
    INFO(broken.how);
    const Image& picture = broken.picture;
    Image clear = picture;
    clear.alpha.assign(3, 0);  // too short, and nothing of it would show
    for (const Misuse& misuse : std::vector<Misuse>{
             {"resize",
              [&] {
                (void)resize(picture, {8, 8});
              }},
             {"resize to its own size", [&] { (void)resize(picture, picture.size()); }},
             {"resize_alpha",
              [&] {
                (void)resize_alpha(picture, {8, 8});
              }},
             {"write_image, PNG", [&] { write_image(place(), picture); }},
             {"write_image, JPEG", [&] { write_image(place() + ".jpg", picture); }},
             {"content", [&] { render(&picture, &s); }},
             {"style", [&] { render(&c, &picture); }},
             {"an invisible style", [&] { render(&c, &clear); }},
             {"start", [&] { render(&c, &s, &picture); }},
             {"Stylizer::run, content", [&] { (void)Stylizer(small(), weights()).run(picture, styles()); }},
             {"Stylizer::run, style",
              [&] { (void)Stylizer(small(), weights()).run(c, std::span(&picture, 1)); }},
             {"Stylizer::run, start",
              [&] {
                (void)Stylizer(option([](StyleOptions& o) { o.init = Init::kPicture; }), weights())
                    .run(c, styles(), {{}, {}, nullptr, &picture});
              }},
         }) {
      require_refused(misuse);
    }
  }
  CHECK_FALSE(std::filesystem::exists(place()));
}

TEST_CASE("a picture that is refused is named, with what is wrong with it") {
  Image style = styles()[0];
  style.rgb[3 * 60 + 1] = kNan;
  CHECK_THROWS_WITH(
      render(&content(), &style),
      ContainsSubstring("style picture 1: expected finite colours, found nan at column 11, row 2"));
  style.rgb.resize(6);
  CHECK_THROWS_WITH(
      render(&content(), &style),
      ContainsSubstring("style picture 1: expected 7500 values of colour and 2500 or none of alpha"));
}
