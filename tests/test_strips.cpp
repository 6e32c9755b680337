// Programs in strips against the same at once, and the search for the one that fits.
#include <cmath>
#include <map>
#include <random>

#include "engine/backend/devices.h"
#include "engine/core/error.h"
#include "engine/network/executor.h"
#include "engine/network/plan_search.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"
#include "tests/support/tiny_vgg.h"

using namespace impasto;

namespace {

/// What a pass over a picture gives: for each tap its features as the parts brought them, and the gradient of
/// J = sum over taps of sum_i sin(i) * feature_i.
struct Result {
  std::map<int, std::vector<double>> features;
  std::vector<double> gradient;
};

class Runner {
 public:
  Runner(Backend& backend, const std::vector<std::string>& taps)
      : backend_(backend), executor_(backend, test::tiny_vgg(), build_graph(test::tiny_vgg(), taps)) {}

  [[nodiscard]] const NodeGraph& graph() const { return executor_.graph(); }
  [[nodiscard]] ProgramTask task(Shape picture, Pooling pooling, Pass pass = Pass::kForwardBackward) const {
    return {picture, pooling, pass, static_cast<int>(graph().nodes.size()) - 1};
  }

  Result run(const ProgramTask& task, const Segments& segments) {
    const NetworkPlan plan =
        plan_memory(make_program(graph(), task, backend_.traits(), segments), backend_.traits());
    const Buffer arena = backend_.allocate(plan.arena_bytes);
    const Buffer workspace = backend_.allocate(plan.workspace_bytes + 1);
    const NetworkMemory memory{&plan, arena.data(), {workspace.data(), plan.workspace_bytes}};
    backend_.fill({arena.data(), {1, 1, static_cast<std::int64_t>(plan.arena_bytes / 8)}, DType::kFloat64},
                  std::nan(""));
    const DType real = backend_.traits().real;
    const Buffer pictures =
        backend_.allocate(2 * static_cast<std::size_t>(task.picture.elements()) * size_of(real));
    const TensorView x = pictures.view(0, task.picture, real),
                     dx = pictures.view(x.bytes(), task.picture, real);
    backend_.fill(dx, std::nan(""));
    std::mt19937 random(11);
    std::vector<double> host(static_cast<std::size_t>(task.picture.elements()));
    for (double& v : host) v = static_cast<double>(random() % 2550) / 10 - 127;
    const bool forward = task.pass == Pass::kForward;
    backend_.upload(forward ? memory.picture() : x, std::span<const double>(host));
    Result result;
    TapHooks hooks;
    hooks.features = [&](int tap, const TapRows& rows, ConstTensorView f) {
      CHECK(rows.rows.count == f.shape.h);
      std::vector<double>& seen = result.features[tap];
      CHECK(static_cast<std::int64_t>(seen.size()) == rows.rows.first * f.shape.w * f.shape.c);
      const std::size_t before = seen.size();
      seen.resize(before + static_cast<std::size_t>(f.shape.elements()));
      backend_.download(std::span(seen).subspan(before), f);
      if (rows.whole()) ++completed_[tap];
    };
    hooks.complete = [&](int tap) { ++completed_[tap]; };
    hooks.gradient = [&](int tap, const TapGradient& step, TensorView d, ConstTensorView f) {
      std::vector<double> gradient(static_cast<std::size_t>(d.shape.elements())), features(gradient.size());
      if (step.accumulate == Accumulate::kAdd) backend_.download(std::span(gradient), d);
      backend_.download(std::span(features), f);
      const std::int64_t first = step.at.rows.first * d.shape.w * d.shape.c;
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] += std::sin(static_cast<double>(first + static_cast<std::int64_t>(i) + tap));
        if (step.mask == Relu::kYes && features[i] <= 0) gradient[i] = 0;
      }
      backend_.upload(d, std::span<const double>(gradient));
    };
    completed_.clear();
    executor_.run(memory, {x, dx}, hooks);
    for (int tap = 0; tap < static_cast<int>(graph().taps.size()); ++tap) CHECK(completed_[tap] == 1);
    if (forward) return result;
    result.gradient.resize(host.size());
    backend_.download(std::span(result.gradient), dx);
    return result;
  }

 private:
  Backend& backend_;
  Executor executor_;
  std::map<int, int> completed_;
};

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

/// Some pools kept, segments at once or in strips of any height.
Segments random_segments(const NodeGraph& graph, std::mt19937& random) {
  Segments segments;
  const int last = static_cast<int>(graph.nodes.size()) - 1;
  for (int i = 0; i <= last; ++i) {
    const bool pool = graph.nodes[static_cast<std::size_t>(i)].kind == NodeKind::kPool;
    if (i < last && (!pool || random() % 3 == 0)) continue;
    segments.push_back({i, random() % 4 == 0 ? 0 : 1 + static_cast<std::int64_t>(random() % 9)});
  }
  return segments;
}

const std::vector<std::vector<std::string>> kTaps{
    {"relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"},
    {"relu4_2"},
    {"conv1_2", "relu1_2", "conv2_2", "conv5_3"},
    {"relu1_1"},
    {"conv3_2", "relu2_2", "relu3_3"},
};

}  // namespace

TEST_CASE("a program in strips gives each tap the same features and the picture the same gradient") {
  const auto backend = make_backend({"reference", Precision::kAuto, 1});
  std::mt19937 random(3);
  for (const std::vector<std::string>& taps : kTaps) {
    Runner runner(*backend, taps);
    for (int round = 0; round < 12; ++round) {
      const Shape picture{17 + static_cast<std::int64_t>(random() % 50),
                          16 + static_cast<std::int64_t>(random() % 9), 3};
      const ProgramTask task = runner.task(picture, random() % 2 == 0 ? Pooling::kMax : Pooling::kAverage);
      const Result whole = runner.run(task, {{task.last_node, 0}});
      const Segments segments = random_segments(runner.graph(), random);
      INFO(taps.front() << ", " << picture.h << "x" << picture.w << ": "
                        << describe(runner.graph(), picture, segments));
      const Result strips = runner.run(task, segments);
      for (const auto& [tap, features] : whole.features) CHECK(strips.features.at(tap) == features);
      CHECK(distance(strips.gradient, whole.gradient) < 1e-13);
      const ProgramTask forward = runner.task(picture, task.pooling, Pass::kForward);
      for (const auto& [tap, features] : runner.run(forward, segments).features)
        CHECK(whole.features.at(tap) == features);
    }
  }
}

TEST_CASE("planned with few strips, a program needs the memory that all of them need") {
  const auto backend = make_backend({"cpu", Precision::kAuto, 1});
  const BackendTraits& traits = backend->traits();
  std::mt19937 random(5);
  for (const std::vector<std::string>& taps : kTaps) {
    const NodeGraph graph = build_graph(test::tiny_vgg(), taps);
    for (int round = 0; round < 20; ++round) {
      const Pass pass = random() % 2 == 0 ? Pass::kForward : Pass::kForwardBackward;
      const Shape picture{300 + static_cast<std::int64_t>(random() % 100), 40, 3};
      const ProgramTask task{picture, Pooling::kMax, pass, static_cast<int>(graph.nodes.size()) - 1};
      const Segments segments = random_segments(graph, random);
      const NetworkPlan all = plan_memory(make_program(graph, task, traits, segments), traits);
      const NetworkPlan few = plan_memory(make_program(graph, task, traits, segments, Strips::kFew), traits);
      INFO(picture.h << ": " << describe(graph, picture, segments));
      CHECK(few.arena_bytes == all.arena_bytes);
      CHECK(few.workspace_bytes == all.workspace_bytes);
    }
  }
}

TEST_CASE("few strips are enough where one reaches over many, as from the deepest layer in one segment") {
  const auto backend = make_backend({"cpu", Precision::kAuto, 1});
  const BackendTraits& traits = backend->traits();
  for (const char* tap : {"conv5_3", "relu5_1", "relu4_2"}) {
    const std::vector<std::string> taps{tap};
    const NodeGraph graph = build_graph(test::tiny_vgg(), taps);
    const int last = static_cast<int>(graph.nodes.size()) - 1;
    for (const std::int64_t rows : {1, 2, 3}) {
      const ProgramTask task{{800, 20, 3}, Pooling::kMax, Pass::kForwardBackward, last};
      const Segments segments{{last, rows}};
      const NetworkPlan all = plan_memory(make_program(graph, task, traits, segments), traits);
      const NetworkPlan few = plan_memory(make_program(graph, task, traits, segments, Strips::kFew), traits);
      CHECK(few.bytes() == all.bytes());
    }
  }
}

TEST_CASE("the search takes the picture at once where that fits, else the strips of least work that do") {
  const auto backend = make_backend({"cpu", Precision::kAuto, 1});
  const BackendTraits& traits = backend->traits();
  const NodeGraph graph = build_graph(test::tiny_vgg(), kTaps.front());
  const ProgramTask task{
      {400, 300, 3}, Pooling::kMax, Pass::kForwardBackward, static_cast<int>(graph.nodes.size()) - 1};
  const auto plan = [&](const Segments& segments) {
    return plan_memory(make_program(graph, task, traits, segments), traits);
  };
  const Segments at_once{{task.last_node, 0}};
  const std::size_t whole = plan(at_once).bytes();
  CHECK(choose_segments(graph, task, traits, whole) == at_once);
  double work = convolution_flops(plan(at_once).program);
  std::size_t least = 0;
  for (const double share : {0.9, 0.6, 0.4, 0.3, 0.2, 0.0}) {
    const auto room = static_cast<std::size_t>(share * static_cast<double>(whole));
    const NetworkPlan found = plan(choose_segments(graph, task, traits, room));
    const bool fits = found.bytes() <= room;
    INFO(share << ": " << describe(graph, task.picture, found.program.segments));
    CHECK(fits == (share > 0.15));
    if (!fits) least = found.bytes();
    if (!fits) break;
    CHECK(convolution_flops(found.program) >= work);  // less memory, more work
    work = convolution_flops(found.program);
  }
  REQUIRE(least > 0);
  CHECK(plan(choose_segments(graph, task, traits, least)).bytes() <= least);
  CHECK(plan(choose_segments(graph, task, traits, least - 1)).bytes() > least - 1);
}

TEST_CASE("no operand of a program that the search finds has more elements than the device takes") {
  const auto backend = make_backend({"cpu", Precision::kAuto, 1});
  BackendTraits traits = backend->traits();
  const NodeGraph graph = build_graph(test::tiny_vgg(), kTaps.front());
  const ProgramTask task{
      {400, 300, 3}, Pooling::kMax, Pass::kForwardBackward, static_cast<int>(graph.nodes.size()) - 1};
  traits.most_elements = 100'000;
  const Program program = make_program(
      graph, task, traits, choose_segments(graph, task, traits, std::numeric_limits<std::size_t>::max()));
  for (const Step& step : program.steps) {
    for (const Step::Operand& operand : {step.out, step.in, step.features}) {
      if (operand) CHECK(program.shape(operand).elements() <= traits.most_elements);
    }
  }
  CHECK(program.steps.size() > whole_program(graph, task, traits).steps.size());
}
