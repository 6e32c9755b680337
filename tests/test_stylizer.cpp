#include "engine/style/stylizer.h"

#include <cmath>
#include <random>
#include <thread>

#include "engine/core/error.h"
#include "engine/style/picture.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"
#include "tests/support/tiny_vgg.h"

using namespace impasto;

namespace {

Image random_image(std::int64_t width, std::int64_t height, std::uint32_t seed) {
  std::mt19937 random(seed);
  Image image{width, height, std::vector<float>(static_cast<std::size_t>(3 * width * height)), {}};
  for (float& v : image.rgb) v = static_cast<float>(random() % 256) / 255;
  return resize(resize(image, width / 3, height / 3), width, height);
}

StyleOptions options_with(const std::string& device, OptimizerKind kind,
                          LineSearch search = LineSearch::kWolfe) {
  StyleOptions options;
  options.device = device;
  if (device == test::other_device().device) options.precision = to_string(test::other_device().precision);
  options.threads = 2;
  options.size = 48;
  options.num_scales = 2;
  options.min_size = 0;
  options.iterations = 7;
  options.optimizer.kind = kind;
  options.optimizer.line_search = search;
  if (kind == OptimizerKind::kGradientDescent) options.optimizer.learning_rate = 1e3;
  return options;
}
/// Gradient descent that finds its steps itself, with momentum or without.
StyleOptions automatic(const std::string& device, double momentum) {
  StyleOptions options = options_with(device, OptimizerKind::kGradientDescent);
  options.optimizer.learning_rate.reset();
  options.optimizer.momentum = momentum;
  return options;
}
/// All of them, on one device.
std::vector<StyleOptions> every_optimizer(const std::string& device) {
  return {options_with(device, OptimizerKind::kLbfgs, LineSearch::kWolfe),
          options_with(device, OptimizerKind::kLbfgs, LineSearch::kNone),
          options_with(device, OptimizerKind::kAdam),
          options_with(device, OptimizerKind::kGradientDescent),
          automatic(device, 0),
          automatic(device, 0.9)};
}
std::string name_of(const OptimizerOptions& o) {
  return to_string(o.kind) + " " + to_string(o.line_search) + " rate " +
         (o.learning_rate ? format_number(*o.learning_rate) : "auto") + " momentum " +
         format_number(o.momentum);
}

std::shared_ptr<const Weights> weights() { return std::make_shared<Weights>(test::tiny_vgg()); }

const Image& content() {
  static const Image image = random_image(60, 45, 1);
  return image;
}
const std::vector<Image>& styles() {
  static const std::vector<Image> images{random_image(50, 50, 2), random_image(40, 70, 3)};
  return images;
}

struct Run {
  RenderResult result;
  std::vector<Progress> trace;
};

Run render(const StyleOptions& options, int stop_after = 0) {
  Run run;
  Stylizer stylizer(options, weights());
  run.result = stylizer.run(content(), styles(),
                            {[&](const Progress& p) {
                               run.trace.push_back(p);
                               const bool stop = stop_after == static_cast<int>(run.trace.size());
                               return stop ? Action::kStop : Action::kContinue;
                             },
                             {},
                             nullptr,
                             nullptr});
  return run;
}

}  // namespace

TEST_CASE(
    "every optimiser lowers the loss, reports every evaluation and gives a picture of the size asked for") {
  for (const std::string& device : test::op_devices()) {
    for (const StyleOptions& options : every_optimizer(device)) {
      const Run run = render(options);
      INFO(device << " " << name_of(options.optimizer));
      REQUIRE(run.trace.size() == 14);
      CHECK(run.trace[0].width == 24);
      CHECK(run.trace[13].width == 48);
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
      const std::vector<std::pair<std::int64_t, std::int64_t>> sizes{{50, 50}, {40, 70}};
      const RenderPlan plan = stylizer.plan({60, 45}, sizes);
      const RenderResult result = stylizer.run(content(), styles());
      INFO(device << " " << name_of(options.optimizer));
      CHECK(plan.device_bytes == result.counted_bytes);
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

TEST_CASE("a render stopped at any iteration and resumed ends with the same bits") {
  for (const StyleOptions& options : every_optimizer(test::op_devices().back())) {
    const Run whole = render(options);
    for (int stop = 1; stop <= 14; ++stop) {
      Checkpoint checkpoint;
      {
        Stylizer stylizer(options, weights());
        int count = 0;
        const RenderResult part = stylizer.run(
            content(), styles(),
            {[&](const Progress&) { return ++count == stop ? Action::kStop : Action::kContinue; },
             {},
             nullptr,
             nullptr});
        CHECK(part.stopped);
        checkpoint = stylizer.checkpoint();
      }
      Stylizer stylizer(options, weights());
      std::vector<double> losses;
      const RenderResult rest = stylizer.run(content(), styles(),
                                             {[&](const Progress& p) {
                                                losses.push_back(p.loss);
                                                return Action::kContinue;
                                              },
                                              {},
                                              &checkpoint,
                                              nullptr});
      INFO(name_of(options.optimizer) << " stopped after " << stop);
      CHECK(losses.size() == static_cast<std::size_t>(14 - stop));
      if (!losses.empty()) CHECK(losses.back() == whole.trace.back().loss);
      CHECK(rest.image.rgb == whole.result.image.rgb);
    }
  }
}

TEST_CASE("resuming with another picture or option is an error that names it") {
  StyleOptions options = options_with(test::op_devices().back(), OptimizerKind::kAdam);
  Stylizer stylizer(options, weights());
  (void)stylizer.run(content(), styles(),
                     {[](const Progress&) { return Action::kStop; }, {}, nullptr, nullptr});
  const Checkpoint checkpoint = stylizer.checkpoint();
  RunHooks hooks;
  hooks.resume = &checkpoint;
  Stylizer again(options, weights());
  CHECK_THROWS_WITH((void)again.run(styles()[0], styles(), hooks), ContainsSubstring("content"));
  options.objective.content_weight = 0.75;
  Stylizer other(options, weights());
  CHECK_THROWS_WITH((void)other.run(content(), styles(), hooks), ContainsSubstring("content-weight"));
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
    const std::vector<std::pair<std::int64_t, std::int64_t>> sizes{{50, 50}, {40, 70}};
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

TEST_CASE("the network's space and pixels are each other's inverse, in either channel order") {
  Preprocessing preprocessing;
  preprocessing.mean = {10, 20, 30};
  const Image image{2, 1, {0, 0.5F, 1, 0.25F, 0.125F, 0.75F}, {}};
  for (const bool bgr : {true, false}) {
    preprocessing.bgr = bgr;
    const std::vector<float> x = to_network_space(image, preprocessing);
    CHECK(x[0] == Approx(bgr ? 245 : -10));
    CHECK(x[2] == Approx(bgr ? -30 : 225));
    const Image back = from_network_space(x, 2, 1, preprocessing);
    for (std::size_t i = 0; i < 6; ++i) CHECK(back.rgb[i] == Approx(image.rgb[i]).margin(1e-6));
  }
}

TEST_CASE("noise is the same for a seed and has the distribution asked for") {
  const Preprocessing preprocessing;
  const std::vector<float> a = noise(100, 100, 2, 5, preprocessing);
  CHECK(a == noise(100, 100, 2, 5, preprocessing));
  CHECK(a != noise(100, 100, 2, 6, preprocessing));
  double sum = 0, squares = 0;
  for (const float v : a) {
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  CHECK(sum / 30000 == Approx(0).margin(0.05));
  CHECK(std::sqrt(squares / 30000) == Approx(2).epsilon(0.02));
  for (const float v : noise(50, 50, 0, 1, preprocessing)) {
    REQUIRE(v >= -124);
    REQUIRE(v <= 152);
  }
}
