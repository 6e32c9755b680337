// Whole renders on a GPU, held against the CPU's: traces, the replayed graph, precisions, memory, several at
// a time. Runs on the device that IMPASTO_TEST_DEVICE names.
#include <cmath>
#include <random>
#include <thread>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/network/executor.h"
#include "engine/style/stylizer.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"

using namespace impasto;

namespace {

constexpr std::int64_t kWidth = 64, kHeight = 48;

Image random_image(std::uint32_t seed) {
  std::mt19937 random(seed);
  Image image{kWidth, kHeight, std::vector<float>(static_cast<std::size_t>(3 * kWidth * kHeight)), {}};
  for (float& v : image.rgb) v = static_cast<float>(random() % 256) / 255;
  return resize(resize(image, {kWidth / 4, kHeight / 4}), {kWidth, kHeight});
}
const Image& content() {
  static const Image image = random_image(1);
  return image;
}
const std::vector<Image>& styles() {
  static const std::vector<Image> images{random_image(2)};
  return images;
}

Precision precision() { return test::other_device().precision; }

StyleOptions options_of(OptimizerKind kind, Scaling scaling, LineSearch search = LineSearch::kNone) {
  StyleOptions options;
  options.device = "cpu";
  options.precision = "exact";  // Winograd rounds otherwise than a GPU's engines
  options.size = kWidth;
  options.iterations = 10;
  options.threads = 2;
  options.objective.scaling = scaling;
  options.objective.pooling = Pooling::kAverage;  // no ties: the traces differ by rounding alone
  options.objective.tv_weight = 0.1;
  options.objective.content_layers = {{"relu2_2", 1}};
  options.objective.style_layers = {{"relu1_1", 1}, {"relu2_1", 1}, {"relu3_1", 1}};
  options.optimizer.kind = kind;
  options.optimizer.line_search = search;
  if (kind == OptimizerKind::kGradientDescent) {
    options.optimizer.learning_rate = scaling == Scaling::kRelative ? 1e3 : 1e-9;
  }
  return options;
}

/// L-BFGS with its line search, or gradient descent that finds its steps.
StyleOptions deciding(OptimizerKind kind) {
  StyleOptions options = options_of(kind, Scaling::kRelative, LineSearch::kWolfe);
  options.optimizer.learning_rate.reset();
  options.optimizer.momentum = 0.9;
  return options;
}

StyleOptions on_gpu(StyleOptions options) {
  options.device = test::other_device().device;
  options.precision = to_string(precision());
  return options;
}

std::shared_ptr<const Weights> weights() { return std::make_shared<Weights>(find_weights("random-vgg16:1")); }

struct Run {
  Image image;
  std::vector<double> losses;
  std::string activity;
};
Run render(const StyleOptions& options) {
  Run run;
  Stylizer stylizer(options, weights());
  RunHooks hooks;
  hooks.exact_every = 0;
  hooks.progress = [&](const Progress& p) {
    run.losses.push_back(p.loss);
    return Action::kContinue;
  };
  run.image = stylizer.run(content(), styles(), hooks).image;
  run.activity = stylizer.device_activity();
  return run;
}

/// Largest relative difference of a loss from the CPU's.
double bound() {
  switch (precision()) {
    case Precision::kBf16: return 0.1;
    case Precision::kTf32:
    case Precision::kFp16: return 1e-2;
    default: return 1e-4;
  }
}

}  // namespace

TEST_CASE("each optimiser and scaling follows the CPU's trace, by replaying one graph") {
  for (const Scaling scaling : {Scaling::kRelative, Scaling::kPaper, Scaling::kMean}) {
    for (const OptimizerKind kind :
         {OptimizerKind::kLbfgs, OptimizerKind::kAdam, OptimizerKind::kGradientDescent}) {
      const StyleOptions options = options_of(kind, scaling);
      const Run gpu = render(on_gpu(options)), cpu = render(options);
      REQUIRE(gpu.losses.size() == cpu.losses.size());
      CHECK_THAT(gpu.activity, ContainsSubstring("captured 1, replayed 8, plain 1 times"));
      for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
        INFO(to_string(kind) << " " << to_string(scaling) << " iteration " << i + 1 << ": GPU "
                             << gpu.losses[i] << ", CPU " << cpu.losses[i]);
        // L-BFGS multiplies a difference in rounding at each
        // step: its first curvature pair comes of a tiny move.
        const double largest = kind != OptimizerKind::kLbfgs || i < 2 ? bound()
                               : precision() == Precision::kFp32      ? (i < 8 ? 1 : 10) * bound()
                                                                      : 1;
        CHECK(std::abs(gpu.losses[i] / cpu.losses[i] - 1) < largest);
      }
    }
  }
}

TEST_CASE("optimisers that decide by the loss replay their evaluations and end as low as the CPU's") {
  for (const OptimizerKind kind : {OptimizerKind::kLbfgs, OptimizerKind::kGradientDescent}) {
    const StyleOptions options = deciding(kind);
    const Run gpu = render(on_gpu(options)), cpu = render(options);
    INFO(to_string(kind));
    CHECK_THAT(gpu.activity, ContainsSubstring("captured 1, replayed 8, plain 1 times"));
    CHECK(gpu.losses.back() < 0.9 * gpu.losses.front());
    CHECK(gpu.losses.back() == Approx(cpu.losses.back()).epsilon(10 * bound()));
  }
}

TEST_CASE("the same render gives the same bytes, also beside another one on the same GPU") {
  const StyleOptions options = on_gpu(options_of(OptimizerKind::kAdam, Scaling::kRelative));
  const Run first = render(options);
  Run second, third;
  std::thread other([&] { third = render(options); });
  second = render(options);
  other.join();
  CHECK(first.losses == second.losses);
  CHECK(first.losses == third.losses);
  CHECK(first.image.rgb == second.image.rgb);
  CHECK(first.image.rgb == third.image.rgb);
}

TEST_CASE("a render stopped and resumed ends with the same bytes, on the plans that it began with") {
  for (const StyleOptions& options : {on_gpu(options_of(OptimizerKind::kLbfgs, Scaling::kRelative)),
                                      on_gpu(options_of(OptimizerKind::kAdam, Scaling::kRelative)),
                                      on_gpu(deciding(OptimizerKind::kGradientDescent))}) {
    const Run whole = render(options);
    Stylizer first(options, weights());
    RunHooks hooks;
    hooks.exact_every = 0;
    hooks.progress = [](const Progress& p) { return p.iteration == 4 ? Action::kStop : Action::kContinue; };
    (void)first.run(content(), styles(), hooks);
    Checkpoint checkpoint = first.checkpoint();
    CHECK(checkpoint.iteration == 5);  // one was queued behind the fourth
    CHECK_THAT(checkpoint.device.at("tuning"), ContainsSubstring(" = eng"));
    hooks = {};
    hooks.resume = &checkpoint;
    Stylizer second(options, weights());
    CHECK(second.run(content(), styles(), hooks).image.rgb == whole.image.rgb);

    if (precision() == Precision::kFp16) {
      for (const char* const scale : {"", "3"}) {
        Checkpoint changed = checkpoint;
        changed.device["gradient_scale"] = scale;
        hooks.resume = &changed;
        Stylizer refusing(options, weights());
        CHECK_THROWS_WITH(refusing.run(content(), styles(), hooks),
                          ContainsSubstring("a power of two as the gradients' scale, found"));
      }
      // A scale far too large is left step by step; what was cut meanwhile is said, and only then.
      int said = 0;
      hooks.warn = [&](const std::string& line) {
        said += line.find("met larger ones, which were cut; --precision bf16") != std::string::npos;
      };
      const bool adam = options.optimizer.kind == OptimizerKind::kAdam;
      Checkpoint wild = checkpoint;
      if (adam) wild.device["gradient_scale"] = format_number(0x1p60);
      hooks.resume = &wild;
      Stylizer saying(options, weights());
      (void)saying.run(content(), styles(), hooks);
      CHECK(said == (adam ? 1 : 0));
      hooks.warn = nullptr;
      hooks.resume = &checkpoint;
    }

    std::string& tuning = checkpoint.device["tuning"];
    tuning.replace(0, tuning.find('\n'), "another GPU");
    Stylizer third(options, weights());
    CHECK_THROWS_WITH(third.run(content(), styles(), hooks),
                      ContainsSubstring("expected to go on with another GPU"));
  }
}

TEST_CASE("a tolerance ends a scale before an iteration too many is queued, and a stop is resumed") {
  StyleOptions options = on_gpu(options_of(OptimizerKind::kAdam, Scaling::kRelative));
  options.iterations = 11;
  const Run asked = render(options);
  options.iterations = 30;
  options.tolerance = 0.999;  // the eleventh evaluation is the first that may end it
  const Run ended = render(options);
  CHECK(ended.losses == asked.losses);
  CHECK(ended.image.rgb == asked.image.rgb);
  for (const int stop : {4, 11}) {
    Stylizer first(options, weights());
    RunHooks hooks;
    hooks.exact_every = 0;
    hooks.progress = [&](const Progress& p) {
      return p.iteration == stop ? Action::kStop : Action::kContinue;
    };
    (void)first.run(content(), styles(), hooks);
    const Checkpoint checkpoint = first.checkpoint();
    // The fifth, which cannot be the last, was queued before the fourth was read.
    CHECK(checkpoint.iteration == (stop == 4 ? 5 : stop));
    hooks = {};
    hooks.resume = &checkpoint;
    Stylizer second(options, weights());
    CHECK(second.run(content(), styles(), hooks).image.rgb == ended.image.rgb);
  }
}

TEST_CASE("replayed work gives the bytes of plain work") {
  StyleOptions options = on_gpu(options_of(OptimizerKind::kAdam, Scaling::kRelative));
  const Run replayed = render(options);
  options.iterations = 1;  // the first call of a recording is plain
  CHECK(render(options).losses.front() == replayed.losses.front());
  CHECK(replayed.losses.size() == 10);
}

TEST_CASE("a start whose gradient is zero everywhere leaves the gradients' scale alone") {
  StyleOptions options = on_gpu(options_of(OptimizerKind::kAdam, Scaling::kRelative));
  options.objective.style_layers.clear();
  options.objective.tv_weight = 0;
  options.init = Init::kContent;
  options.iterations = 2;
  Stylizer stylizer(options, weights());
  (void)stylizer.run(content(), styles());
  const auto device = stylizer.checkpoint().device;
  if (precision() == Precision::kFp16) {
    CHECK(device.at("gradient_scale") == "1");
  } else {
    CHECK(device.count("gradient_scale") == 0);
  }
}

TEST_CASE("an iteration of VGG-19 with five style layers and L-BFGS is at most 66 launches") {
  StyleOptions options = on_gpu(options_of(OptimizerKind::kLbfgs, Scaling::kRelative));
  options.objective.content_layers = {{"relu4_2", 1}};
  options.objective.style_layers = {
      {"relu1_1", 1}, {"relu2_1", 1}, {"relu3_1", 1}, {"relu4_1", 1}, {"relu5_1", 1}};
  options.iterations = 3;
  Stylizer stylizer(options, std::make_shared<Weights>(find_weights("random:1")));
  (void)stylizer.run(content(), styles());
  const std::string activity = stylizer.device_activity();
  INFO(activity);
  int convolutions = 0, backward = 0, products = 0, others = 0;
  REQUIRE(std::sscanf(activity.c_str(), "graph of %d convolutions, %d backward, %d products and %d other",
                      &convolutions, &backward, &products, &others) == 4);
  CHECK(convolutions == 13);
  CHECK(backward == 13);
  const bool halves = precision() == Precision::kFp16 || precision() == Precision::kBf16;
  CHECK(products == (halves ? 5 : 10));  // style gradients: a kernel of our own in 16 bits
  CHECK(others <= 30);
}

namespace {

/// relu2_1 and half the gradient of its square, of VGG-16's first blocks at a picture of waves.
struct Evaluation {
  std::vector<double> features, gradient;
  Shape tap;
  Evaluation(Backend& backend, const Weights& weights, Shape picture, std::int64_t left, std::int64_t top) {
    const std::vector<std::string> taps{"relu2_1"};
    Executor executor(backend, weights, build_graph(weights, taps));
    const NetworkPlan plan = plan_memory(whole_program(executor.graph(), picture, Pooling::kAverage,
                                                       impasto::Pass::kForwardBackward, backend.traits()),
                                         backend.traits());
    const Buffer arena = backend.allocate(plan.arena_bytes),
                 workspace = backend.allocate(plan.workspace_bytes + 1);
    const std::size_t bytes = static_cast<std::size_t>(picture.elements()) * sizeof(float);
    const Buffer from = backend.allocate(bytes), to = backend.allocate(bytes);
    const TensorView x = from.view(0, picture, DType::kFloat32), dx = to.view(0, picture, DType::kFloat32);
    std::vector<float> host;
    for (std::int64_t i = 0; i < picture.positions(); ++i) {
      const auto column = static_cast<double>(left + i % picture.w),
                 row = static_cast<double>(top + i / picture.w);
      for (int c = 0; c < 3; ++c)
        host.push_back(
            static_cast<float>(60 * std::sin(0.3 * column + c) + 60 * std::cos(0.01 * column * row)));
    }
    backend.upload(x, std::span<const float>(host));
    TapHooks hooks;
    hooks.features = [&](int, const TapRows&, ConstTensorView f) {
      tap = f.shape;
      features.resize(static_cast<std::size_t>(f.shape.elements()));
      backend.download(std::span(features), f);
    };
    // Halved often enough for half precision, in which a gradient is then exact to the same bits.
    hooks.gradient = [&](int, const TapGradient& step, TensorView d, ConstTensorView f) {
      const Buffer zero =
          backend.allocate(static_cast<std::size_t>(f.shape.elements()) * size_of(f.dtype) + 8);
      const TensorView none = zero.view(8, f.shape, f.dtype), slot = zero.view(0, {1, 1, 1}, DType::kFloat64);
      backend.fill(none, 0);
      backend.squared_error(slot, d, f, none, {1, 0x1p-8}, step.accumulate, step.mask);
    };
    executor.run({&plan, arena.data(), {workspace.data(), plan.workspace_bytes}}, {x, dx}, hooks);
    gradient.resize(static_cast<std::size_t>(picture.elements()));
    backend.download(std::span(gradient), dx);
  }
};

/// Of the crop's interior, `margin` from its edges, against the same place of the whole: relative.
double difference(const std::vector<double>& whole, Shape of_whole, const std::vector<double>& crop,
                  Shape of_crop, std::int64_t left, std::int64_t top, std::int64_t margin) {
  double off = 0, norm = 0;
  for (std::int64_t y = margin; y < of_crop.h - margin; ++y) {
    for (std::int64_t i = margin * of_crop.c; i < (of_crop.w - margin) * of_crop.c; ++i) {
      const double a = whole[static_cast<std::size_t>(((y + top) * of_whole.w + left) * of_whole.c + i)];
      const double b = crop[static_cast<std::size_t>(y * of_crop.w * of_crop.c + i)];
      off += (a - b) * (a - b);
      norm += a * a;
    }
  }
  return std::sqrt(off / norm);
}

}  // namespace

TEST_CASE("inside, features and gradient of a picture of 512 pixels are those of a part of it") {
  const auto backend = make_backend(test::other_device());
  const Weights weights = random_weights("vgg16", 1);
  constexpr std::int64_t kLeft = 330, kTop = 148;
  const Shape large{256, 512, 3}, small{64, 80, 3};
  const Evaluation whole(*backend, weights, large, 0, 0), crop(*backend, weights, small, kLeft, kTop);
  const double most = precision() == Precision::kFp32 ? 1e-6 : precision() == Precision::kBf16 ? 1e-2 : 1e-3;
  CHECK(difference(whole.features, whole.tap, crop.features, crop.tap, kLeft / 2, kTop / 2, 4) < most);
  CHECK(difference(whole.gradient, large, crop.gradient, small, kLeft, kTop, 16) < most);
  // And elsewhere they are not.
  CHECK(difference(whole.features, whole.tap, crop.features, crop.tap, kLeft / 2 + 1, kTop / 2, 4) > 0.1);
}

TEST_CASE("memory that the GPU does not have is an error with the numbers, before any work") {
  const auto backend = make_backend(test::other_device());
  try {
    (void)backend->allocate(std::size_t{1} << 50);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kResources);
    CHECK_THAT(error.what(), ContainsSubstring("expected 1125899906842624 bytes more"));
  }
  StyleOptions options = on_gpu(options_of(OptimizerKind::kAdam, Scaling::kRelative));
  options.memory_bytes = static_cast<std::int64_t>(backend->traits().fixed_bytes);
  Stylizer stylizer(options, weights());
  CHECK_THROWS_AS(stylizer.run(content(), styles()), Error);
}
