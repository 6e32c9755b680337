#include "engine/style/stylizer.h"

#include <cmath>
#include <cstring>
#include <thread>

#include "engine/core/error.h"
#include "engine/style/grain.h"
#include "engine/style/picture.h"
#include "tests/support/catch.h"
#include "tests/support/small_renders.h"

using namespace impasto;
using namespace impasto::test;

TEST_CASE(
    "every optimiser lowers the loss, reports every evaluation and gives a picture of the size asked for") {
  for (const std::string& device : test::op_devices()) {
    for (const StyleOptions& options : every_optimizer(device)) {
      const Run run = render(options);
      INFO(device << " " << name_of(options.optimizer));
      REQUIRE(run.trace.size() == 14);
      CHECK(run.trace[0].size.width == 24);
      CHECK(run.trace[13].size.width == 48);
      CHECK(run.trace[13].iteration == 7);
      CHECK(run.trace[6].loss < run.trace[0].loss);
      CHECK(run.trace[13].loss < run.trace[7].loss);
      CHECK(run.result.image.width == 48);
      CHECK(run.result.image.height == 36);
    }
  }
}

TEST_CASE("without an option touched every optimiser lowers every preset's loss from every start") {
  for (const std::string& preset : preset_names()) {
    for (const char* optimizer : {"lbfgs", "adam", "gd"}) {
      for (const char* init : {"content", "noise"}) {
        StyleOptions options = make_options(
            preset, {{"optimizer", optimizer}, {"init", init}, {"device", test::op_devices().back()}});
        if (options.device == test::other_device().device) {
          options.precision = to_string(test::other_device().precision);
        }
        options.threads = 2;
        options.size = 48;
        options.min_size = 0;
        options.iterations = 25;
        const Run run = render(options);
        INFO(preset << " " << optimizer << " " << init << ": " << run.trace.front().loss << " to "
                    << run.trace.back().loss);
        CHECK(run.trace.back().loss < 0.8 * run.trace.front().loss);
        CHECK(run.result.warnings.empty());
      }
    }
  }
}

TEST_CASE("a search whose every pair is refused says so and what to do") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kLbfgs, LineSearch::kNone);
  options.num_scales = 1;
  options.iterations = 12;
  CHECK(render(options).result.warnings.empty());
  options.objective.content_weight *= 1e-9;
  options.objective.style_weight *= 1e-9;
  const Run run = render(options);
  REQUIRE(run.result.warnings.size() == 1);
  CHECK_THAT(run.result.warnings[0], ContainsSubstring("use --line-search wolfe"));
}

TEST_CASE("gradient descent that finds its steps takes back those that raise the loss beyond all bounds") {
  StyleOptions options = automatic(test::op_devices().back(), 0.9);
  options.objective.scaling = Scaling::kPaper;
  options.objective.style_weight = 1e30;  // gradients near the end of float32
  options.num_scales = 1;
  options.iterations = 30;
  const Run run = render(options);
  CHECK(run.trace.back().loss < 0.5 * run.trace.front().loss);
}

TEST_CASE("the bytes that were planned are the bytes that were counted") {
  for (const std::string& device : test::op_devices()) {
    for (const StyleOptions& options : every_optimizer(device)) {
      Stylizer stylizer(options, weights());
      const std::vector<PixelSize> sizes{{50, 50}, {40, 70}};
      const RenderPlan plan = stylizer.plan({60, 45}, sizes);
      const RenderResult result = stylizer.run(content(), styles());
      INFO(device << " " << name_of(options.optimizer));
      CHECK(plan.device_bytes == result.counted_bytes);
      CHECK(stylizer.plan({60, 45}, sizes).budget_bytes == plan.budget_bytes);
    }
  }
}

TEST_CASE("the same render gives the same bits, whatever the number of threads and beside another one") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kLbfgs);
  const Run first = render(options);
  options.threads = 3;
  CHECK(render(options).result.image.rgb == first.result.image.rgb);
  options.threads = 1;
  Run a, b;
  std::thread one([&] { a = render(options); });
  std::thread two([&] { b = render(options_with(test::op_devices().back(), OptimizerKind::kAdam)); });
  one.join();
  two.join();
  CHECK(a.result.image.rgb == first.result.image.rgb);
  CHECK(b.result.image.rgb ==
        render(options_with(test::op_devices().back(), OptimizerKind::kAdam)).result.image.rgb);
}

TEST_CASE("coarse scales may have iterations of their own") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kAdam);
  options.coarse_iterations = 2;
  options.iterations = 3;
  const Run run = render(options);
  REQUIRE(run.trace.size() == 5);
  CHECK(run.trace[1].iteration == 2);
  CHECK(run.trace[1].iterations == 2);
  CHECK(run.trace[1].size.width == 24);
  CHECK(run.trace[4].iteration == 3);
  CHECK(run.trace[4].iterations == 3);
  CHECK(run.trace[4].size.width == 48);
  options.num_scales = 1;  // the last scale is no coarse one
  CHECK(render(options).trace.size() == 3);
}

TEST_CASE("a scale that hands over its change keeps the first picture's detail") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kLbfgs);
  options.iterations = 1;  // the picture is where it began: there is no change
  options.handover = Handover::kChange;
  const double begun = render(options).trace[1].loss;
  options.handover = Handover::kPicture;
  const double blurred = render(options).trace[1].loss;
  options.num_scales = 1;
  const double fresh = render(options).trace[0].loss;
  CHECK(std::abs(begun - fresh) < 1e-4 * fresh);
  CHECK(std::abs(blurred - fresh) > 1e-2 * fresh);
  options.num_scales = 2;
  options.iterations = 7;
  const Run picture = render(options);
  options.handover = Handover::kChange;
  const Run change = render(options);
  CHECK(change.trace[6].loss == picture.trace[6].loss);
  CHECK(change.trace[7].loss != picture.trace[7].loss);
  CHECK(change.trace[7].loss < fresh);  // what the coarse scale gained is not lost
}

TEST_CASE(
    "the style's grain is put on what is shown: the optimiser, and a run that goes on, know nothing of it") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kLbfgs);
  const Run own = render(options);
  options.grain = GrainSource::kStyle;
  const Run matched = render(options);
  CHECK(matched.result.image.rgb != own.result.image.rgb);
  REQUIRE(matched.trace.size() == own.trace.size());
  for (std::size_t i = 0; i < own.trace.size(); ++i) CHECK(matched.trace[i].loss == own.trace[i].loss);
  Image expected = own.result.image;
  const Grain square = measure_grain(resize(styles()[0], {48, 48}, Overshoot::kClip));
  const Grain tall = measure_grain(resize(styles()[1], {27, 48}, Overshoot::kClip));
  match_grain(expected, {(square.luminance + tall.luminance) / 2, (square.colour + tall.colour) / 2});
  CHECK(matched.result.image.rgb == expected.rgb);
}

TEST_CASE("stopping keeps the picture so far at the scale in work") {
  const Run run = render(options_with(test::op_devices().back(), OptimizerKind::kLbfgs), 3);
  CHECK(run.result.stopped);
  CHECK(run.trace.size() == 3);
  CHECK(run.result.image.width == 24);
}

TEST_CASE("a loss that is not finite is an error, and the last good picture is kept") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kGradientDescent);
  options.optimizer.learning_rate = 1e30;
  options.num_scales = 1;
  Stylizer stylizer(options, weights());
  try {
    (void)stylizer.run(content(), styles());
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kBadInput);
    CHECK_THAT(error.what(), ContainsSubstring("finite loss"));
  }
  const Image last = stylizer.picture();
  for (const float v : last.rgb) REQUIRE(std::isfinite(v));
}

TEST_CASE("a budget that is too small is refused with the numbers and a size that fits") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kLbfgs);
  options.size = 2000;
  options.memory_bytes = 40'000'000;
  Stylizer stylizer(options, weights());
  try {
    (void)stylizer.run(content(), styles());
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kResources);
    const std::string text = error.what();
    CHECK_THAT(text, ContainsSubstring("38.1 MiB") && ContainsSubstring("2000x1500"));
    const auto at = text.find("--size ");
    REQUIRE(at != std::string::npos);
    options.size = std::stoll(text.substr(at + 7));
    options.iterations = 1;
    Stylizer smaller(options, weights());
    const std::vector<PixelSize> sizes{{50, 50}, {40, 70}};
    CHECK(smaller.plan({60, 45}, sizes).device_bytes <= 40'000'000);
    options.size += 1;
    Stylizer larger(options, weights());
    CHECK_THROWS_AS(larger.plan({60, 45}, sizes), Error);
  }
}

TEST_CASE("alpha is kept and hidden colours do not matter") {
  Image with_alpha = content();
  with_alpha.alpha.assign(static_cast<std::size_t>(with_alpha.pixels()), 1.0F);
  for (std::size_t i = 0; i < 600; ++i) with_alpha.alpha[i] = 0;
  Image other = with_alpha;
  for (std::size_t i = 0; i < 3 * 600; ++i) other.rgb[i] = 1 - other.rgb[i];
  const StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kAdam);
  Stylizer a(options, weights());
  Stylizer b(options, weights());
  const RenderResult ra = a.run(with_alpha, styles());
  const RenderResult rb = b.run(other, styles());
  CHECK(ra.image.rgb == rb.image.rgb);
  REQUIRE(ra.image.has_alpha());
  CHECK(ra.image.alpha.front() == Approx(0).margin(0.01));
  CHECK(ra.image.alpha.back() == Approx(1).margin(0.01));
}

namespace {

/// The same picture without colour.
Image grey_of(Image image) {
  make_grey(image);
  return image;
}

bool channels_equal(const Image& image) {
  for (std::size_t p = 0; p < image.rgb.size(); p += 3) {
    if (image.rgb[p] != image.rgb[p + 1] || image.rgb[p] != image.rgb[p + 2]) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("grey pictures make a grey picture, whatever the optimiser and the start") {
  const Image photo = grey_of(content());
  const std::vector<Image> paintings{grey_of(styles()[0]), grey_of(styles()[1])};
  for (const std::string& device : test::op_devices()) {
    for (const auto& [kind, search] : {std::pair{OptimizerKind::kLbfgs, LineSearch::kWolfe},
                                       std::pair{OptimizerKind::kLbfgs, LineSearch::kNone},
                                       std::pair{OptimizerKind::kAdam, LineSearch::kNone}}) {
      for (const Init init : {Init::kContent, Init::kNoise}) {
        StyleOptions options = options_with(device, kind, search);
        options.init = init;
        options.optimizer.clamp = init == Init::kNoise;
        options.noise_deviation = kind == OptimizerKind::kAdam ? 2 : 0;
        INFO(device << " " << to_string(kind) << " " << to_string(search) << " " << to_string(init));
        Stylizer stylizer(options, weights());
        std::vector<Progress> trace;
        RunHooks hooks;
        hooks.progress = [&](const Progress& p) {
          trace.push_back(p);
          CHECK(channels_equal(stylizer.picture()));
          return Action::kContinue;
        };
        const RenderResult result = stylizer.run(photo, paintings, hooks);
        CHECK(channels_equal(result.image));
        CHECK(trace[6].loss < trace[0].loss);
        // What is shown is what was optimised, not a grey copy of a coloured picture.
        std::vector<float> x(result.image.rgb.size());
        const Checkpoint checkpoint = stylizer.checkpoint();
        if (checkpoint.tensors.front().dtype == DType::kFloat32) {
          std::memcpy(x.data(), checkpoint.tensors.front().data.data(), 4 * x.size());
          const Image raw = from_network_space(x, {48, 36}, Preprocessing{});
          float apart = 0;
          for (std::size_t p = 0; p < x.size(); p += 3) {
            apart = std::max(
                {apart, std::abs(raw.rgb[p] - raw.rgb[p + 1]), std::abs(raw.rgb[p] - raw.rgb[p + 2])});
          }
          CHECK(apart < 1e-5F);
        }
      }
    }
  }
}

TEST_CASE("one picture with colour among those that a render starts from sets the colours free") {
  const StyleOptions options = options_with("cpu", OptimizerKind::kAdam);
  const Image grey = grey_of(content());
  const std::vector<Image> mixed{grey_of(styles()[0]), styles()[1]};
  CHECK_FALSE(channels_equal(Stylizer(options, weights()).run(grey, mixed).image));
  StyleOptions from_picture = options;
  from_picture.init = Init::kPicture;
  const std::vector<Image> greys{grey_of(styles()[0])};
  RunHooks hooks;
  hooks.start = &content();
  CHECK_FALSE(channels_equal(Stylizer(from_picture, weights()).run(grey, greys, hooks).image));
}

TEST_CASE("grey is what lossy compression leaves of it, and no more") {
  Image image{2, 1, {0.5F, 0.5F, 0.5F, 0.2F, 0.2F, 0.2F}, {}};
  CHECK(is_grey(image));
  image.rgb[4] += 3.0F / 255;
  CHECK(is_grey(image));
  image.rgb[4] += 1.0F / 255;
  CHECK_FALSE(is_grey(image));
  image.alpha = {1, 0};  // under transparency
  CHECK(is_grey(flatten(image)));
}

TEST_CASE("grey noise has equal channels and the same distribution") {
  const Preprocessing preprocessing;
  for (const double deviation : {0.0, 20.0}) {
    const std::vector<float> x = noise({60, 50}, deviation, 5, preprocessing, Tint::kGrey);
    const Image image = from_network_space(x, {60, 50}, preprocessing);
    double sum = 0, squares = 0;
    for (std::size_t p = 0; p < x.size(); p += 3) {
      REQUIRE(std::abs(image.rgb[p] - image.rgb[p + 1]) < 1e-6F);
      REQUIRE(std::abs(image.rgb[p] - image.rgb[p + 2]) < 1e-6F);
      const double grey = 255.0 * image.rgb[p];
      sum += grey;
      squares += grey * grey;
    }
    const double mean = sum / 3000;
    CHECK(std::sqrt(squares / 3000 - mean * mean) ==
          Approx(deviation > 0 ? 20 : 255 / std::sqrt(12)).epsilon(0.05));
  }
}

TEST_CASE("coverage is the mean of alpha over each area, exactly zero where nothing is seen") {
  const Image image{4, 2, std::vector<float>(24), {1, 1, 0, 0, 1, 0.5F, 0, 0}};
  CHECK(coverage(image, {2, 1}) == std::vector<float>{0.875F, 0});
  CHECK(coverage(image, {4, 2}) == image.alpha);
  const std::vector<float> larger = coverage(image, {8, 2});
  CHECK(std::vector<float>(larger.begin(), larger.begin() + 8) == std::vector<float>{1, 1, 1, 1, 0, 0, 0, 0});
  const std::vector<float> thirds = coverage(image, {3, 2});
  CHECK(thirds[0] == 1.0F);
  CHECK(thirds[1] == Approx(0.5));
  CHECK(coverage({4, 2, std::vector<float>(24), {}}, {3, 1}) == std::vector<float>(3, 1.0F));
  Image wide{1000, 1, std::vector<float>(3000), std::vector<float>(1000, 1.0F)};
  for (std::size_t x = 500; x < 1000; ++x) wide.alpha[x] = 0;
  for (const std::int64_t width : {6, 14, 22, 998, 1454}) {
    const std::vector<float> shares = coverage(wide, {width, 1});
    for (std::int64_t x = 0; x < width; ++x)
      CHECK(shares[static_cast<std::size_t>(x)] == (2 * x < width ? 1 : 0));
  }
}

TEST_CASE("the transparent part of a style picture counts for nothing") {
  const StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kAdam);
  const auto run = [&](const Image& style) {
    Stylizer stylizer(options, weights());
    const std::vector<PixelSize> sizes{style.size()};
    const RenderPlan plan = stylizer.plan({60, 45}, sizes);
    const RenderResult result = stylizer.run(content(), std::span(&style, 1));
    CHECK(plan.device_bytes == result.counted_bytes);
    return result.image.rgb;
  };
  Image half = styles()[0];
  half.alpha.assign(static_cast<std::size_t>(half.pixels()), 1.0F);
  CHECK(run(half) == run(styles()[0]));
  for (std::size_t i = 0; i < half.alpha.size(); ++i) half.alpha[i] = i % 50 < 25 ? 1.0F : 0.0F;
  Image other = half;
  for (std::size_t i = 0; i < half.alpha.size(); ++i) {
    for (std::size_t c = 0; c < 3 && half.alpha[i] == 0; ++c) other.rgb[3 * i + c] = 1 - other.rgb[3 * i + c];
  }
  CHECK(run(half) == run(other));
  CHECK(run(half) != run(flatten(half)));
}

TEST_CASE("a style picture that is wholly transparent is an error that says which") {
  std::vector<Image> pictures = styles();
  pictures[1].alpha.assign(static_cast<std::size_t>(pictures[1].pixels()), 0.0F);
  Stylizer stylizer(options_with("cpu", OptimizerKind::kAdam), weights());
  try {
    (void)stylizer.run(content(), pictures);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kBadInput);
    CHECK_THAT(error.what(), ContainsSubstring("style picture 2: expected a part that is not transparent"));
  }
}

TEST_CASE("the network's space and pixels are each other's inverse, in either channel order") {
  Preprocessing preprocessing;
  preprocessing.mean = {10, 20, 30};
  const Image image{2, 1, {0, 0.5F, 1, 0.25F, 0.125F, 0.75F}, {}};
  for (const bool bgr : {true, false}) {
    preprocessing.bgr = bgr;
    const std::vector<float> x = to_network_space(image.rgb, preprocessing);
    CHECK(x[0] == Approx(bgr ? 245 : -10));
    CHECK(x[2] == Approx(bgr ? -30 : 225));
    const Image back = from_network_space(x, {2, 1}, preprocessing);
    for (std::size_t i = 0; i < 6; ++i) CHECK(back.rgb[i] == Approx(image.rgb[i]).margin(1e-6));
  }
}

TEST_CASE("noise is the same for a seed and has the distribution asked for") {
  const Preprocessing preprocessing;
  const std::vector<float> a = noise({100, 100}, 2, 5, preprocessing);
  CHECK(a == noise({100, 100}, 2, 5, preprocessing));
  CHECK(a != noise({100, 100}, 2, 6, preprocessing));
  double sum = 0, squares = 0;
  for (const float v : a) {
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  CHECK(sum / 30000 == Approx(0).margin(0.05));
  CHECK(std::sqrt(squares / 30000) == Approx(2).epsilon(0.02));
  for (const float v : noise({50, 50}, 0, 1, preprocessing)) {
    REQUIRE(v >= -124);
    REQUIRE(v <= 152);
  }
}
