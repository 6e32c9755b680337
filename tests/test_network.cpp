#include <algorithm>
#include <map>
#include <random>

#include "engine/backend/devices.h"
#include "engine/core/error.h"
#include "engine/network/executor.h"
#include "engine/network/vgg_blocks.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_vgg.h"

using namespace impasto;

namespace {

std::vector<std::string> names(const NodeGraph& graph) {
  std::vector<std::string> result;
  for (const Node& node : graph.nodes) result.push_back(node.name);
  return result;
}

BackendTraits plain_traits() {
  BackendTraits traits;
  traits.conv_filter_bytes = [](std::int64_t, std::int64_t) { return std::size_t{0}; };
  traits.conv_workspace_bytes = [](const ConvTask&) { return std::size_t{0}; };
  traits.gram_workspace_bytes = [](Shape) { return std::size_t{0}; };
  return traits;
}

std::vector<std::string> step_names(const NodeGraph& graph, const Program& program) {
  std::vector<std::string> names;
  for (const Step& step : program.steps) names.push_back(step_name(graph, step));
  return names;
}

}  // namespace

TEST_CASE("the graph ends at the deepest tap and fuses every ReLU that no tap needs unfused") {
  const Weights weights = test::tiny_vgg();
  const std::vector<std::string> taps{"relu2_1", "conv3_1", "relu1_1", "relu1_1"};
  const NodeGraph graph = build_graph(weights, taps);
  CHECK(names(graph) ==
        std::vector<std::string>{"relu1_1", "relu1_2", "pool1", "relu2_1", "relu2_2", "pool2", "conv3_1"});
  CHECK(graph.taps == std::vector<std::string>{"relu2_1", "conv3_1", "relu1_1"});
  CHECK(graph.tap_nodes == std::vector<int>{3, 6, 0});
  CHECK(graph.nodes[6].kind == NodeKind::kConv);
  CHECK(graph.min_side() == 4);
  CHECK(graph.shapes({9, 22, 3}).back() == Shape{2, 5, 7});
}

TEST_CASE("a convolution and its ReLU can both be taps") {
  const std::vector<std::string> taps{"conv2_1", "relu2_1", "relu2_2"};
  const NodeGraph graph = build_graph(test::tiny_vgg(), taps);
  CHECK(names(graph) ==
        std::vector<std::string>{"relu1_1", "relu1_2", "pool1", "conv2_1", "relu2_1", "relu2_2"});
  CHECK(graph.nodes[4].kind == NodeKind::kRelu);
}

TEST_CASE("a layer that the network lacks is a usage error that names it") {
  for (const std::string layer : {"relu6_1", "conv3_4", "pool9", "relu4_2x"}) {
    const std::vector<std::string> taps{layer};
    try {
      (void)build_graph(test::tiny_vgg(), taps);
      FAIL("no error for " << layer);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUsage);
      CHECK_THAT(error.what(), ContainsSubstring(layer));
    }
  }
}

TEST_CASE("where style losses go on beside the layers, the workspace has room for both at a time") {
  const NodeGraph graph = build_graph(test::tiny_vgg(), std::vector<std::string>{"relu1_1", "relu3_1"});
  BackendTraits traits = plain_traits();
  traits.alignment = 256;
  traits.conv_workspace_bytes = [](const ConvTask&) { return std::size_t{1000}; };
  traits.gram_workspace_bytes = [](Shape features) { return static_cast<std::size_t>(10 * features.h); };
  const Shape picture{64, 64, 3};
  const auto planned = [&](const Program& program) { return plan_memory(program, traits).workspace_bytes; };
  const Program whole = whole_program(graph, picture, Pooling::kMax, Pass::kForwardBackward, traits);
  CHECK(planned(whole) == 1000);
  traits.style_losses_beside = true;
  CHECK(planned(whole) == 1024 + 768);  // relu1_1 asks for 640
  // In strips there is none: Gram matrices are added up in their turn.
  const ProgramTask task{picture, Pooling::kMax, Pass::kForwardBackward,
                         static_cast<int>(graph.nodes.size()) - 1};
  CHECK(planned(make_program(graph, task, traits, {{task.last_node, 4}})) == 1000);
}

TEST_CASE(
    "tensors alive in one step never overlap and the arena is no larger than their greatest sum demands "
    "twice") {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> tensors;
    for (int i = 0; i < 30; ++i) {
      const int first = static_cast<int>(random() % 40);
      tensors.push_back({random() % 5000, first, first + static_cast<int>(random() % 12), 0});
    }
    const std::size_t total = assign_offsets(tensors, 64);
    std::size_t demand = 0;
    for (int step = 0; step < 60; ++step) {
      std::size_t sum = 0;
      for (const Lifetime& t : tensors) sum += t.first <= step && step <= t.last ? t.bytes : 0;
      demand = std::max(demand, sum);
    }
    CHECK(total >= demand);
    CHECK(total <= 2 * demand + 64 * 30);
    for (std::size_t a = 0; a < tensors.size(); ++a) {
      CHECK(tensors[a].offset % 64 == 0);
      CHECK(tensors[a].offset + tensors[a].bytes <= total);
      for (std::size_t b = 0; b < a; ++b) {
        if (tensors[a].last < tensors[b].first || tensors[b].last < tensors[a].first) continue;
        CHECK((tensors[a].offset + tensors[a].bytes <= tensors[b].offset ||
               tensors[b].offset + tensors[b].bytes <= tensors[a].offset));
      }
    }
  }
}

TEST_CASE("a training plan takes little more than its feature maps, a forward plan a few of them") {
  const BackendTraits traits = plain_traits();
  Weights vgg19;
  vgg19.network = "vgg19";
  std::int64_t in = 3;
  int block = 0;
  for (const VggBlock& of : vgg_blocks("vgg19")) {
    ++block;
    for (int i = 1; i <= of.convs; ++i) {
      vgg19.layers.push_back({ConvName{block, i}.str(), in, of.channels, {}, {}});
      in = of.channels;
    }
  }
  const std::vector<std::string> taps{"relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"};
  const NodeGraph graph = build_graph(vgg19, taps);
  const auto plan = [&](Pass pass) {
    return plan_memory(whole_program(graph, {512, 512, 3}, Pooling::kMax, pass, traits), traits);
  };
  const NetworkPlan training = plan(Pass::kForwardBackward), forward = plan(Pass::kForward);
  const double per_pixel = 4.0 * 512 * 512;
  // Near the bottom: relu1_1 and the gradients on both sides of conv1_2, 64 floats a pixel each. By then the
  // deep maps are dead, and of those before a pool a byte for each of its windows is left.
  CHECK(static_cast<double>(training.arena_bytes) / per_pixel == Approx(192).margin(4));
  CHECK(static_cast<double>(forward.arena_bytes) / per_pixel == Approx(128).margin(4));
}

TEST_CASE("backward agrees with finite differences through every layer") {
  const auto backend = make_backend({"reference", Precision::kAuto, 1});
  const Weights weights = test::tiny_vgg();
  for (const Pooling pooling : {Pooling::kMax, Pooling::kAverage}) {
    for (const std::string tap :
         {"relu1_1", "conv1_2", "relu2_1", "conv3_2", "relu4_2", "relu5_1", "conv5_3"}) {
      const std::vector<std::string> taps{tap, "relu1_2", "conv2_2"};
      Executor executor(*backend, weights, build_graph(weights, taps));
      const Shape shape{21, 18, 3};
      const NetworkPlan plan = plan_memory(
          whole_program(executor.graph(), shape, pooling, Pass::kForwardBackward, backend->traits()),
          backend->traits());
      const Buffer arena = backend->allocate(plan.arena_bytes);
      const Buffer workspace = backend->allocate(plan.workspace_bytes + 1);
      const NetworkMemory memory{&plan, arena.data(), {workspace.data(), plan.workspace_bytes}};
      const Buffer pictures = backend->allocate(2 * static_cast<std::size_t>(shape.elements()) * 8);
      const TensorView x = pictures.view(0, shape, DType::kFloat64);
      const TensorView dx = pictures.view(x.bytes(), shape, DType::kFloat64);

      std::mt19937 random(11);
      std::vector<double> host(static_cast<std::size_t>(shape.elements()));
      for (double& v : host) v = static_cast<double>(random() % 2550) / 10 - 127;
      // J = sum over taps of sum_i sin(i) * feature_i: a different weight for every element.
      double sum = 0;
      TapHooks hooks;
      hooks.features = [&](int t, const TapRows&, ConstTensorView f) {
        const auto* values = f.as<double>();
        for (std::int64_t i = 0; i < f.shape.elements(); ++i)
          sum += std::sin(static_cast<double>(i + t)) * values[i];
      };
      hooks.gradient = [&](int t, const TapGradient& step, TensorView d, ConstTensorView f) {
        for (std::int64_t i = 0; i < d.shape.elements(); ++i) {
          double& out = d.as<double>()[i];
          out = (step.accumulate == Accumulate::kAdd ? out : 0) + std::sin(static_cast<double>(i + t));
          if (step.mask == Relu::kYes && f.as<double>()[i] <= 0) out = 0;
        }
      };
      const auto evaluate = [&] {
        sum = 0;
        backend->upload(x, std::span<const double>(host));
        executor.run(memory, {x, dx}, hooks);
        return sum;
      };
      (void)evaluate();
      std::vector<double> gradient(host.size());
      backend->download(std::span(gradient), dx);
      double scale = 0;
      for (const double g : gradient) scale = std::max(scale, std::abs(g));
      REQUIRE(scale > 0);
      for (std::size_t i = 3; i < host.size(); i += 97) {
        const double before = host[i];
        constexpr double kStep = 1e-5;  // piecewise linear: exact but for rounding, away from kinks
        host[i] = before + kStep;
        const double above = evaluate();
        host[i] = before - kStep;
        const double below = evaluate();
        host[i] = before;
        INFO(tap << ", element " << i);
        CHECK((above - below) / (2 * kStep) == Approx(gradient[i]).margin(1e-6 * scale));
      }
    }
  }
}

TEST_CASE("a program lists the steps of an evaluation in order, taps where the features are whole") {
  const std::vector<std::string> taps{"relu1_1", "conv2_1", "relu2_1"};
  const NodeGraph graph = build_graph(test::tiny_vgg(), taps);
  const Program whole =
      whole_program(graph, {8, 6, 3}, Pooling::kMax, Pass::kForwardBackward, plain_traits());
  CHECK(step_names(graph, whole) ==
        std::vector<std::string>{
            "picture to input", "conv1_1 forward", "losses relu1_1", "conv1_2 forward", "pool1 forward",
            "conv2_1 forward", "losses conv2_1", "relu2_1 forward", "losses relu2_1", "loss gradient relu2_1",
            "relu2_1 backward", "loss gradient conv2_1", "conv2_1 backward", "pool1 backward",
            "conv1_2 backward", "loss gradient relu1_1", "conv1_1 backward", "input to picture"});
  const Program cut =
      whole_program(graph, {8, 6, 3}, Pooling::kMax, Pass::kForward, plain_traits(), graph.tap_nodes[0]);
  CHECK(step_names(graph, cut) ==
        std::vector<std::string>{"picture to input", "conv1_1 forward", "losses relu1_1"});
}

TEST_CASE("a tensor lives from the first step that names it to the last, and external ones take no place") {
  const std::vector<std::string> taps{"relu1_1", "relu2_1"};
  const NodeGraph graph = build_graph(test::tiny_vgg(), taps);
  const BackendTraits traits = plain_traits();
  const NetworkPlan plan = plan_memory(
      whole_program(graph, {16, 16, 3}, Pooling::kAverage, Pass::kForwardBackward, traits), traits);
  const std::vector<ProgramTensor>& tensors = plan.program.tensors;
  CHECK(tensors[Program::kPicture].external);
  CHECK(tensors[Program::kPictureGradient].external);
  for (std::size_t i = 0; i < plan.program.steps.size(); ++i) {
    // No step reads what another tensor of the same step lies on, unless they are one.
    const Step& step = plan.program.steps[i];
    std::vector<int> used;
    for (const Step::Operand& operand : {step.out, step.in, step.features}) {
      if (operand && !tensors[static_cast<std::size_t>(operand.tensor)].external)
        used.push_back(operand.tensor);
    }
    for (const int a : used) {
      for (const int b : used) {
        if (a == b) continue;
        const auto begin = [&](int t) { return plan.offsets[static_cast<std::size_t>(t)]; };
        const auto end = [&](int t) {
          const ProgramTensor& tensor = tensors[static_cast<std::size_t>(t)];
          return begin(t) + static_cast<std::size_t>(tensor.shape.elements()) * size_of(tensor.dtype);
        };
        INFO(step_name(graph, step) << ": " << tensors[static_cast<std::size_t>(a)].name << ", "
                                    << tensors[static_cast<std::size_t>(b)].name);
        CHECK((end(a) <= begin(b) || end(b) <= begin(a)));
      }
    }
  }
}

TEST_CASE("workspace and choices are those of each convolution's own rows, forward and backward") {
  const auto backend = make_backend({"cpu", Precision::kFp32, 2});
  const std::vector<std::string> taps{"relu3_1"};
  const NodeGraph graph = build_graph(random_weights("vgg16", 1), taps);
  for (const std::int64_t height : {51, 58, 100}) {
    Program program =
        whole_program(graph, {height, 640, 3}, Pooling::kMax, Pass::kForwardBackward, backend->traits());
    for (Step& step : program.steps) {
      if (step.op == Op::kConv) {  // little, so that backward's need is the largest
        step.out.rows = {0, 2};
        step.in.rows = {0, 3};
        step.padding = {.top = 1, .bottom = 0};
      } else if (step.op == Op::kConvBackward) {
        const std::int64_t upper = program.shape(step.out).h / 2;
        step.out.rows = {0, upper};
        step.in.rows = {0, upper - 1};
        step.padding = {.top = 1, .bottom = 0};
      }
    }
    backend->tuning()->begin({}, {});
    prepare_convolutions(*backend, program);
    const std::string choices = backend->tuning()->end();
    const std::size_t planned = plan_memory(program, backend->traits()).workspace_bytes;
    for (const Step& step : program.steps) {
      if (step.op != Op::kConvBackward) continue;
      const Shape dx = program.shape(step.out), dy = program.shape(step.in);
      INFO(step_name(graph, step) << " of height " << height);
      CHECK(planned >= backend->traits().conv_workspace_bytes(program.conv_task(step)));
      if (dx.c < 16) continue;  // done without choices
      const std::string choice = "backward " + std::to_string(dx.w) + "x" + std::to_string(dx.h) + " " +
                                 std::to_string(dy.c) + " to ";
      CHECK_THAT(choices, ContainsSubstring(choice));
    }
  }
}

TEST_CASE("a convolution is prepared and planned for in the forms that a program does it in, no others") {
  const auto backend = make_backend({"cpu", Precision::kFp32, 2});
  BackendTraits traits = plain_traits();
  traits.conv_workspace_bytes = [](const ConvTask& task) {
    switch (task.op) {
      case ConvOp::kForwardRelu: return std::size_t{1000};
      case ConvOp::kForward: return std::size_t{2000};
      case ConvOp::kBackwardData: return std::size_t{3000};
      case ConvOp::kBackwardDataAdd: break;
    }
    return std::size_t{4000};
  };
  using Taps = std::vector<std::string>;
  struct Case {
    Taps taps;
    Pass pass;
    std::int64_t rows;  // of a strip behind the first pool
    std::size_t workspace_bytes;
  };
  for (const auto& [taps, pass, rows, bytes] :
       {Case{{"relu2_2"}, Pass::kForward, 0, 1000},
        {{"relu2_1", "conv2_2"}, Pass::kForward, 0, 2000},
        {{"relu2_1", "relu2_2"}, Pass::kForwardBackward, 0, 3000},
        {{"relu2_2"}, Pass::kForwardBackward, 5, 4000}}) {  // strips add where they overlap
    const NodeGraph graph = build_graph(random_weights("vgg16", 1), taps);
    const int last = static_cast<int>(graph.nodes.size()) - 1;
    const Program program =
        make_program(graph, {{24, 32, 3}, Pooling::kMax, pass, last}, traits, {{2, 0}, {last, rows}});
    CHECK(plan_memory(program, traits).workspace_bytes == bytes);
    backend->tuning()->begin({}, {});
    prepare_convolutions(*backend, program);
    const std::string choices = backend->tuning()->end();
    CHECK(choices.find("forward 32x24 64 to 64 = ") != std::string::npos);
    CHECK((choices.find("backward") != std::string::npos) == (pass == Pass::kForwardBackward));
  }
}

TEST_CASE("steps on parts of the rows, each with the padding of its place, make the whole") {
  const auto backend = make_backend({"reference", Precision::kAuto, 1});
  const std::vector<std::string> taps{"relu1_1"};
  Executor executor(*backend, test::tiny_vgg(), build_graph(test::tiny_vgg(), taps));
  const Shape shape{12, 9, 3};
  const auto run = [&](Program program) {
    const NetworkPlan plan = plan_memory(std::move(program), backend->traits());
    const Buffer arena = backend->allocate(plan.arena_bytes);
    const Buffer workspace = backend->allocate(plan.workspace_bytes + 1);
    const NetworkMemory memory{&plan, arena.data(), {workspace.data(), plan.workspace_bytes}};
    std::vector<double> picture(static_cast<std::size_t>(shape.elements()));
    for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<double>(i * 37 % 101) - 50;
    backend->upload(memory.picture(), std::span<const double>(picture));
    std::vector<double> features;
    TapHooks hooks;
    hooks.features = [&](int, const TapRows&, ConstTensorView f) {
      features.resize(static_cast<std::size_t>(f.shape.elements()));
      backend->download(std::span(features), f);
    };
    executor.run(memory, {}, hooks);
    return features;
  };
  const Program whole =
      whole_program(executor.graph(), shape, Pooling::kMax, Pass::kForward, backend->traits());
  Program parts = whole;
  const auto conv =
      std::find_if(parts.steps.begin(), parts.steps.end(), [](const Step& s) { return s.op == Op::kConv; });
  Step upper = *conv, lower = *conv;
  upper.out.rows = {0, 5};
  upper.in.rows = {0, 6};
  upper.padding = {.top = 1, .bottom = 0};
  lower.out.rows = {5, 7};
  lower.in.rows = {4, 8};
  lower.padding = {.top = 0, .bottom = 1};
  *conv = lower;
  parts.steps.insert(conv, upper);
  CHECK(run(parts) == run(whole));
}
