#include "engine/style/objective.h"

#include <cmath>
#include <functional>
#include <map>
#include <random>

#include "engine/core/error.h"
#include "engine/network/plan_search.h"
#include "engine/style/scale_layout.h"
#include "engine/style/schedule.h"
#include "engine/style/terms/scaling.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"
#include "tests/support/tiny_vgg.h"

using namespace impasto;

namespace {

std::vector<double> random_picture(Shape shape, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<double> x(static_cast<std::size_t>(shape.elements()));
  for (double& v : x) v = static_cast<float>(static_cast<double>(random() % 2550) / 10 - 127);
  return x;
}

/// An objective with its memory on any backend, targets set from two random style pictures of another size.
struct Bench {
  Bench(const std::string& device, const ObjectiveOptions& options, Shape picture, Shape style,
        const std::vector<float>& coverage = {}, std::size_t most = std::numeric_limits<std::size_t>::max(),
        const OptimizerOptions& optimizer = {}, bool records = true)
      : backend(records ? make_backend(test::on_device(device)) : test::open_without_recording(device)) {
    const Weights weights = test::tiny_vgg();
    const std::vector<std::string> taps = objective_taps(options);
    executor = std::make_unique<Executor>(*backend, weights, build_graph(weights, taps));
    StyleOptions all;
    all.objective = options;
    all.optimizer = optimizer;
    const std::vector<PixelSize> styles{{style.w, style.h}, {style.h, style.w}};
    layout = plan_scale(all, executor->graph(), backend->traits(), {{picture.w, picture.h}, styles}, most);
    arena = backend->allocate(layout.arena_bytes());
    auto* base = static_cast<std::byte*>(arena.data());
    network = base;
    base += layout.network_bytes;
    tensors = layout_views(layout.objective, backend->traits().alignment, base);
    vectors = layout_views(layout.optimizer, backend->traits().alignment, base);
    x = vectors[0];
    gradient = vectors[1];
    objective =
        std::make_unique<StyleObjective>(*backend, *executor, options, tensors,
                                         NetworkMemory::at(layout.evaluation, network, layout.network_bytes));
    objective->set_content(stage(layout.content_pass, 21));
    const StyleTargets first = objective->measure_style(stage(layout.style_passes[0], 22), coverage);
    const StyleTargets second = objective->measure_style(stage(layout.style_passes[1], 23));
    const std::vector<WeightedTargets> blend{{&first, 0.7}, {&second, 0.3}};
    objective->set_styles(blend);
    objective->finish_targets([this](const std::string& w) { warnings.push_back(w); });
  }
  NetworkMemory stage(const NetworkPlan& plan, std::uint32_t seed) {
    const NetworkMemory memory = NetworkMemory::at(plan, network, layout.network_bytes);
    backend->upload(memory.picture(), std::span<const double>(random_picture(plan.program.picture, seed)));
    return memory;
  }
  double evaluate(const std::vector<double>& host) {
    backend->upload(x, std::span<const double>(host));
    objective->evaluate(x, gradient);
    return objective->values().total;
  }
  std::vector<double> download_gradient() {
    std::vector<double> host(static_cast<std::size_t>(gradient.shape.elements()));
    backend->download(std::span(host), gradient);
    return host;
  }
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Executor> executor;
  ScaleLayout layout;
  Buffer arena;
  std::byte* network = nullptr;
  std::vector<TensorView> tensors, vectors;
  std::unique_ptr<StyleObjective> objective;
  TensorView x, gradient;
  std::vector<std::string> warnings;
};

ObjectiveOptions with(Scaling scaling, TotalVariation tv, Pooling pooling) {
  ObjectiveOptions options;
  options.scaling = scaling;
  options.content_layers = {{"relu4_2", 1}, {"conv3_2", 0.5}};
  options.style_layers = {{"relu1_1", 1}, {"relu2_1", 2}, {"conv3_2", 1}, {"relu4_2", 1}, {"relu5_1", 0.5}};
  options.content_weight = scaling == Scaling::kRelative ? 0.3 : scaling == Scaling::kPaper ? 1e-3 : 5;
  options.style_weight = scaling == Scaling::kRelative ? 1 : scaling == Scaling::kPaper ? 1e-6 : 100;
  options.tv = tv;
  options.tv_weight = tv == TotalVariation::kL1 ? 1e-3 : 0.5;
  options.pooling = pooling;
  return options;
}

}  // namespace

TEST_CASE("the whole objective's gradient matches finite differences in double") {
  const Shape picture{20, 23, 3};
  const Shape style{27, 18, 3};
  for (const Scaling scaling : {Scaling::kRelative, Scaling::kPaper, Scaling::kMean}) {
    for (const TotalVariation tv : {TotalVariation::kL2, TotalVariation::kL1, TotalVariation::kHalfSum}) {
      for (const Pooling pooling : {Pooling::kMax, Pooling::kAverage}) {
        Bench bench("reference", with(scaling, tv, pooling), picture, style);
        std::vector<double> host = random_picture(picture, 5);
        (void)bench.evaluate(host);
        const std::vector<double> gradient = bench.download_gradient();
        double largest = 0;
        for (const double g : gradient) largest = std::max(largest, std::abs(g));
        REQUIRE(largest > 0);
        for (std::size_t i = 1; i < host.size(); i += 211) {
          const double before = host[i];
          constexpr double kStep = 1e-3;
          const auto at = [&](double offset) {
            host[i] = before + offset;
            return bench.evaluate(host);
          };
          // Five-point stencil: its error term is of the fourth order.
          const double difference =
              (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
          host[i] = before;
          INFO("scaling " << to_string(scaling) << ", tv " << to_string(tv) << ", element " << i);
          CHECK(std::abs(difference - gradient[i]) <= 1e-6 * largest);
        }
      }
    }
  }
}

TEST_CASE("in strips, loss and gradient are those of the whole picture, without seams") {
  const Shape picture{131, 38, 3}, style{140, 27, 3};
  const ObjectiveOptions options = with(Scaling::kRelative, TotalVariation::kL2, Pooling::kMax);
  std::vector<float> coverage(static_cast<std::size_t>(style.positions()), 1.0F);
  for (std::size_t i = 0; i < coverage.size() / 2; ++i) coverage[i] = static_cast<float>(i % 5) / 4;
  const std::vector<double> host = random_picture(picture, 9);
  const auto row_jumps = [&](const std::vector<double>& g) {
    std::vector<double> jumps(static_cast<std::size_t>(picture.h - 1));
    const auto row = static_cast<std::size_t>(picture.w * picture.c);
    for (std::size_t i = 0; i < jumps.size() * row; ++i) jumps[i / row] += std::abs(g[i + row] - g[i]);
    return jumps;
  };
  const std::string other = test::other_device().device;
  for (const std::string& device : {std::string("reference"), other.empty() ? std::string("cpu") : other}) {
    const double tolerance = device == "reference" ? 1e-12 : 2e-6;
    Bench whole(device, options, picture, style, coverage);
    const double loss = whole.evaluate(host);
    const std::vector<double> gradient = whole.download_gradient();
    const std::vector<double> jumps = row_jumps(gradient);
    double norm = 0;
    for (const double g : gradient) norm += g * g;
    for (const double share : {0.8, 0.6, 0.0}) {
      const auto most = static_cast<std::size_t>(share * static_cast<double>(whole.layout.arena_bytes()));
      Bench strips(device, options, picture, style, coverage, most);
      const Segments& segments = strips.layout.evaluation.program.segments;
      INFO(device << " " << share << ": " << describe(strips.executor->graph(), picture, segments));
      REQUIRE(segments != whole.layout.evaluation.program.segments);
      if (share > 0) CHECK(strips.layout.arena_bytes() <= most);
      CHECK(strips.evaluate(host) == Approx(loss).epsilon(tolerance));
      const std::vector<double> found = strips.download_gradient();
      double difference = 0;
      for (std::size_t i = 0; i < found.size(); ++i) difference += std::pow(found[i] - gradient[i], 2);
      CHECK(std::sqrt(difference / norm) < tolerance);
      const std::vector<double> found_jumps = row_jumps(found);
      for (std::size_t y = 0; y < jumps.size(); ++y)
        CHECK(found_jumps[y] == Approx(jumps[y]).epsilon(20 * tolerance));
    }
  }
}

TEST_CASE("loss and gradient on the cpu agree with the reference") {
  const Shape picture{33, 38, 3};
  const Shape style{40, 27, 3};
  for (const Scaling scaling : {Scaling::kRelative, Scaling::kPaper, Scaling::kMean}) {
    const ObjectiveOptions options = with(scaling, TotalVariation::kL2, Pooling::kMax);
    Bench exact("reference", options, picture, style);
    Bench fast("cpu", options, picture, style);
    const std::vector<double> host = random_picture(picture, 6);
    CHECK(fast.evaluate(host) == Approx(exact.evaluate(host)).epsilon(1e-5));
    const LossValue style_values = *find_loss(exact.objective->values().losses, "style");
    REQUIRE(style_values.terms.size() == 5);
    for (std::size_t i = 0; i < style_values.terms.size(); ++i) {
      CHECK(find_loss(fast.objective->values().losses, "style")->terms[i].second ==
            Approx(style_values.terms[i].second).epsilon(1e-4));
    }
    const std::vector<double> a = exact.download_gradient();
    const std::vector<double> b = fast.download_gradient();
    double dot = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      dot += a[i] * b[i];
      aa += a[i] * a[i];
      bb += b[i] * b[i];
    }
    CHECK(1 - dot / std::sqrt(aa * bb) < 1e-8);
    CHECK(std::sqrt(bb / aa) == Approx(1).epsilon(1e-4));
  }
}

TEST_CASE("the loss is zero where picture and targets are the same, and J is the weighted sum of its terms") {
  ObjectiveOptions options = with(Scaling::kMean, TotalVariation::kL2, Pooling::kMax);
  options.tv_weight = 0;
  Bench bench("reference", options, {24, 24, 3}, {24, 24, 3});
  (void)bench.evaluate(random_picture({24, 24, 3}, 21));  // the content target's own picture
  CHECK(find_loss(bench.objective->values().losses, "content")->sum() == 0);
  (void)bench.evaluate(random_picture({24, 24, 3}, 9));
  const LossValues values = bench.objective->values();
  double sum = 0;
  for (const auto& [layer, value] : find_loss(values.losses, "content")->terms) {
    sum += 5 * (layer == "relu4_2" ? 1 : 0.5) / 1.5 * value;
  }
  const double lambda[] = {1, 2, 1, 1, 0.5};
  const auto& style = find_loss(values.losses, "style")->terms;
  for (std::size_t i = 0; i < 5; ++i) sum += 100 * lambda[i] / 5.5 * style[i].second;
  CHECK(values.total == Approx(sum).epsilon(1e-12));
}

namespace {

/// Adds weight * sum_p m_p f_p f_p' / sum_p m_p of each style layer to `grams`, in double.
void add_grams(Bench& bench, const NetworkPlan& plan, std::uint32_t seed, double weight,
               const std::function<double(Shape tap, std::int64_t y, std::int64_t x)>& m,
               std::map<std::string, std::vector<double>>& grams) {
  TapHooks hooks;
  hooks.features = [&](int tap, const TapRows&, ConstTensorView view) {
    const auto [h, w, c] = view.shape;
    std::vector<double> f(static_cast<std::size_t>(view.shape.elements()));
    bench.backend->download(std::span(f), view);
    std::vector<double> gram(static_cast<std::size_t>(c * c));
    double sum = 0;
    for (std::int64_t p = 0; p < h * w; ++p) {
      const double own = m(view.shape, p / w, p % w);
      sum += own;
      for (std::int64_t a = 0; a < c; ++a) {
        for (std::int64_t b = 0; b < c; ++b) {
          gram[static_cast<std::size_t>(a * c + b)] +=
              own * f[static_cast<std::size_t>(p * c + a)] * f[static_cast<std::size_t>(p * c + b)];
        }
      }
    }
    std::vector<double>& total = grams[bench.executor->graph().taps[static_cast<std::size_t>(tap)]];
    total.resize(gram.size());
    for (std::size_t i = 0; i < gram.size(); ++i) total[i] += weight * gram[i] / sum;
  };
  bench.executor->run(bench.stage(plan, seed), {}, hooks);
}

}  // namespace

TEST_CASE("style targets count each position by its coverage, averaged over the pools' blocks") {
  // Two strips at relu1_1 (more than 2^21 values), odd sizes at both pools, partial coverage within blocks.
  ObjectiveOptions options;
  options.content_layers = {{"relu1_1", 1}};
  options.style_layers = {{"relu1_1", 1}, {"conv2_1", 1}, {"relu3_1", 1}};
  const Shape style{803, 701, 3};
  const auto share = [](std::int64_t y, std::int64_t x) {  // opaque above, transparent at the right, between
    return y < 500 && x < 600 ? 1.0F : x > 650 ? 0.0F : static_cast<float>((x + 2 * y) % 4) / 4;
  };
  std::vector<float> coverage;
  for (std::int64_t p = 0; p < style.positions(); ++p) coverage.push_back(share(p / style.w, p % style.w));
  Bench bench("cpu", options, {20, 23, 3}, style, coverage);
  std::map<std::string, std::vector<double>> expected;
  const auto covered = [&](Shape tap, std::int64_t y, std::int64_t x) {
    const std::int64_t block = tap.h == style.h ? 1 : tap.h == style.h / 2 ? 2 : 4;
    double sum = 0;
    for (std::int64_t i = 0; i < block * block; ++i)
      sum += share(block * y + i / block, block * x + i % block);
    return sum / static_cast<double>(block * block);
  };
  add_grams(bench, bench.layout.style_passes[0], 22, 0.7, covered, expected);
  add_grams(
      bench, bench.layout.style_passes[1], 23, 0.3, [](auto&&...) { return 1.0; }, expected);
  int compared = 0;
  for (std::size_t i = 0; i < bench.layout.objective.size(); ++i) {
    const std::string& name = bench.layout.objective[i].name;
    if (!name.starts_with("style ") || name.starts_with("style gradient")) continue;
    const std::vector<double>& wanted = expected.at(name.substr(6));
    std::vector<double> found(wanted.size());
    bench.backend->download(std::span(found), bench.tensors[i]);
    for (std::size_t j = 0; j < found.size(); ++j) {
      INFO(name << " element " << j);
      CHECK(found[j] == Approx(wanted[j]).epsilon(2e-6).margin(1e-3));
    }
    ++compared;
  }
  CHECK(compared == 3);
}

TEST_CASE("a style picture of which a layer sees nothing is an error that names the layer") {
  std::vector<float> coverage(17 * 17);
  coverage.back() = 1;  // the last odd row and column, which the first pool leaves out
  ObjectiveOptions options;
  options.style_layers = {{"relu2_1", 1}};
  try {
    const Bench bench("cpu", options, {20, 23, 3}, {17, 17, 3}, coverage);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kBadInput);
    CHECK_THAT(error.what(), ContainsSubstring("not transparent") && ContainsSubstring("relu2_1"));
  }
}

TEST_CASE("kept grey, the gradient is the free one's mean over the channels, in each of them") {
  const ObjectiveOptions options = with(Scaling::kRelative, TotalVariation::kL2, Pooling::kMax);
  const Shape picture{20, 23, 3};
  const std::vector<double> x = random_picture(picture, 7);
  Bench bench("reference", options, picture, {27, 18, 3});
  (void)bench.evaluate(x);
  const std::vector<double> free = bench.download_gradient();
  Bench grey("reference", options, picture, {27, 18, 3});
  grey.objective->keep_grey();
  (void)grey.evaluate(x);
  const std::vector<double> kept = grey.download_gradient();
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const std::size_t p = i - i % 3;
    CHECK(kept[i] == Approx((free[p] + free[p + 1] + free[p + 2]) / 3).epsilon(1e-12).margin(1e-18));
  }
}

TEST_CASE("an evaluation gives the same bits every time and allocates nothing") {
  for (const std::string& device : test::op_devices()) {
    Bench bench(device, with(Scaling::kRelative, TotalVariation::kL2, Pooling::kMax), {37, 29, 3},
                {30, 30, 3});
    const std::vector<double> host = random_picture({37, 29, 3}, 3);
    const double first = bench.evaluate(host);
    const std::vector<double> gradient = bench.download_gradient();
    const auto allocations = bench.backend->num_allocations();
    for (int i = 0; i < 2; ++i) {  // on a GPU captured, then replayed
      CHECK(bench.evaluate(host) == first);
      CHECK(bench.download_gradient() == gradient);
    }
    CHECK(bench.backend->num_allocations() == allocations);
  }
}

TEST_CASE("steps that a device replays have the bits of steps that it does anew, in every iteration") {
  const std::string device = test::op_devices().back();
  for (const OptimizerKind kind :
       {OptimizerKind::kAdam, OptimizerKind::kLbfgs, OptimizerKind::kGradientDescent}) {
    OptimizerOptions options;
    options.kind = kind;
    options.momentum = 0.9;  // of gradient descent
    options.history = 3;
    options.line_search = LineSearch::kNone;
    const auto states = [&](bool records) {
      Bench bench(device, with(Scaling::kRelative, TotalVariation::kL2, Pooling::kMax), {37, 29, 3},
                  {30, 30, 3}, {}, std::numeric_limits<std::size_t>::max(), options, records);
      bench.backend->upload(bench.x, std::span<const double>(random_picture({37, 29, 3}, 3)));
      const auto optimizer = make_optimizer(options, *bench.backend, bench.vectors, {});
      if (bench.backend->traits().scaled_gradients) bench.objective->calibrate(bench.x, bench.gradient);
      std::vector<std::vector<double>> all;
      for (int i = 0; i < 6; ++i) {  // on a GPU as it is, captured, then replayed
        optimizer->step(*bench.objective);
        bench.objective->queue_values();
        std::vector<double>& x = all.emplace_back(static_cast<std::size_t>(bench.x.shape.elements()));
        bench.backend->download(std::span(x), bench.x);
        x.push_back(bench.objective->take_values().total);
      }
      const std::string activity = bench.backend->activity();
      if (device.starts_with("cuda")) CHECK((activity.find("replayed 4") != std::string::npos) == records);
      return all;
    };
    const auto replayed = states(true), anew = states(false);
    for (std::size_t i = 0; i < anew.size(); ++i) {
      INFO(to_string(kind) << " iteration " << i + 1);
      CHECK(replayed[i] == anew[i]);
      CHECK((i == 0 || anew[i] != anew[i - 1]));
    }
  }
}

TEST_CASE("the factors of each scaling are those of its source") {
  const Shape features{6, 7, 5};
  CHECK(content_factor(Scaling::kPaper, features, 3) == 0.5);
  CHECK(*content_factor(Scaling::kMean, features, 3) == Approx(1.0 / 210));
  CHECK(*content_factor(Scaling::kRelative, features, 4) == 0.25);
  CHECK_FALSE(content_factor(Scaling::kRelative, features, 0).has_value());
  // |G - A|^2 / (2 h w c)^2 with G = N G^ equals |G^ - A^|^2 / (4 c^2).
  CHECK(*style_factor(Scaling::kPaper, features, 3) == Approx(42.0 * 42 / std::pow(2.0 * 6 * 7 * 5, 2)));
  CHECK(*style_factor(Scaling::kMean, features, 3) == Approx(1.0 / 625));
  CHECK(*style_factor(Scaling::kRelative, features, 8) == 0.125);
}

TEST_CASE("scales double up to the size asked for and leave out what the network cannot take") {
  StyleOptions options;
  options.size = 512;
  options.min_size = 128;
  CHECK(scale_sizes(options, {600, 400}, 16) == std::vector<PixelSize>{{128, 85}, {256, 171}, {512, 341}});
  options.min_size = 0;
  options.num_scales = 2;
  CHECK(scale_sizes(options, {400, 600}, 16) == std::vector<PixelSize>{{171, 256}, {341, 512}});
  options.size = 0;
  options.num_scales = 8;
  CHECK(scale_sizes(options, {100, 40}, 16) == std::vector<PixelSize>{{50, 20}, {100, 40}});
  options.size = 20;
  CHECK_THROWS_AS(scale_sizes(options, {100, 40}, 16), Error);
}

TEST_CASE("a style picture is as large as the content by default, or what was asked for at the last scale") {
  StyleOptions options;
  CHECK(style_picture_size(options, {640, 480}, {256, 171}, {512, 341}, 16) == PixelSize{256, 192});
  options.style_scale = 0.5;
  CHECK(style_picture_size(options, {640, 480}, {512, 341}, {512, 341}, 16) == PixelSize{256, 192});
  options.style_size = 320;
  CHECK(style_picture_size(options, {640, 480}, {256, 171}, {512, 341}, 16) == PixelSize{160, 120});
  options.style_size = 0;
  CHECK(style_picture_size(options, {640, 480}, {512, 341}, {512, 341}, 16) == PixelSize{640, 480});
}
