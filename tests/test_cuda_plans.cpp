// The convolution planner of the CUDA backend against the real cuDNN, which chooses engines and builds plans
// from a description of a GPU. No GPU and no driver are needed, and nothing is executed.
#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "engine/backend/cuda/conv_choices.h"
#include "engine/backend/cuda/conv_plans.h"
#include "engine/backend/cuda/cudnn_graph.h"
#include "engine/backend/cuda/gram.h"
#include "engine/core/error.h"
#include "engine/network/plan_search.h"
#include "tests/support/catch.h"
#include "tests/support/gpu_descriptions.h"

namespace {

using impasto::ConvOp;
using impasto::Error;
using impasto::ErrorCode;
using impasto::Precision;
using impasto::cuda::ConvKey;
using impasto::cuda::ConvPlan;
using impasto::cuda::ConvPlanner;
using impasto::test::GpuDescription;
using impasto::test::kGpus;

constexpr std::array kOps{ConvOp::kForwardRelu, ConvOp::kForward, ConvOp::kBackwardData,
                          ConvOp::kBackwardDataAdd};
constexpr std::size_t kMiB = std::size_t{1} << 20;

const GpuDescription& h100() { return kGpus[3]; }

ConvPlanner planner_for(const GpuDescription& gpu) {
  return ConvPlanner(0, static_cast<std::size_t>(gpu.memory_bytes), cudnn_json(gpu));
}

/// 5/4 of input and output of a 32-bit layer, between 256 MiB and a sixteenth of the GPU's memory.
std::size_t most_workspace(const GpuDescription& gpu, const ConvKey& key) {
  const auto copies = static_cast<std::size_t>(4 * key.h * key.w * (key.in_channels + key.out_channels));
  return std::max(256 * kMiB, std::min(copies / 4 * 5, static_cast<std::size_t>(gpu.memory_bytes) / 16));
}

std::vector<Precision> precisions_of(const GpuDescription& gpu) {
  if (!gpu.has_bf16_and_tf32()) return {Precision::kFp32, Precision::kFp16};
  return {Precision::kFp32, Precision::kTf32, Precision::kBf16, Precision::kFp16};
}
bool is_16_bit(Precision precision) { return precision == Precision::kBf16 || precision == Precision::kFp16; }

/// The distinct convolutions of VGG-16 and VGG-19 (they
/// have the same) for a picture of this size, 8 channels.
std::vector<ConvKey> vgg_keys(Precision precision, std::int64_t h, std::int64_t w) {
  std::vector<ConvKey> keys;
  std::int64_t in = 8;
  for (int block = 0; block < 5; ++block) {
    const std::int64_t out = std::min(64 << block, 512);
    for (const std::int64_t channels : std::set{in, out}) {
      for (const ConvOp op : kOps) {
        keys.push_back({op, precision, h >> block, w >> block, channels, out, {}});
      }
    }
    in = out;
  }
  return keys;
}

/// For 10.3 cuDNN 9.19 offers engines on tensor cores for few layers.
bool is_b300(const GpuDescription& gpu) { return gpu.compute_capability == 1030; }

template <class Call>
std::string message_of(ErrorCode code, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("every convolution of VGG has a plan with little workspace on every GPU in every precision") {
  for (const GpuDescription& gpu : kGpus) {
    ConvPlanner planner = planner_for(gpu);
    const bool few = &gpu - kGpus.data() >= 5;
    const std::vector<std::int64_t> sizes = &gpu == &h100()
                                                ? std::vector<std::int64_t>{256, 512, 1024, 2048, 4096}
                                            : few ? std::vector<std::int64_t>{1024}
                                                  : std::vector<std::int64_t>{512, 2048};
    for (const Precision precision : precisions_of(gpu)) {
      for (const std::int64_t size : sizes) {
        for (const std::int64_t height : few ? std::vector{size} : std::vector{size, size * 3 / 4}) {
          for (const ConvKey& key : vgg_keys(precision, height, size)) {
            INFO(gpu.name << ", " << to_string(key));
            const ConvPlan& plan = planner.plan(key);
            CAPTURE(plan.engine, plan.workspace_bytes);
            REQUIRE(plan.plan != nullptr);
            REQUIRE(plan.workspace_bytes <= (is_16_bit(precision) ? 64 * kMiB : most_workspace(gpu, key)));
            if (precision == Precision::kFp32) REQUIRE_FALSE(plan.tensor_cores);
            if (is_16_bit(precision) && key.in_channels >= 64 && !is_b300(gpu)) REQUIRE(plan.tensor_cores);
          }
        }
      }
    }
  }
}

TEST_CASE(
    "32-bit engines may copy input and output where the GPU has room for it, and do without elsewhere") {
  for (const GpuDescription* gpu : {&kGpus[1], &h100(), &kGpus[4]}) {
    ConvPlanner large = planner_for(*gpu), small(0, 1024 * kMiB, cudnn_json(*gpu));
    for (const std::int64_t size : {1024, 2048}) {
      for (const ConvOp op : kOps) {
        const ConvKey key{op, Precision::kFp32, size, size, 64, 64, {}};
        INFO(gpu->name << ", " << to_string(key));
        const ConvPlan &fast = large.plan(key), &lean = small.plan(key);
        CHECK(fast.workspace_bytes >= static_cast<std::size_t>(2 * 4 * size * size * 64));
        CHECK(lean.workspace_bytes <= 256 * kMiB);
        CHECK(fast.engine != lean.engine);
      }
    }
  }
}

TEST_CASE("every padding and odd channel counts have plans on the oldest and the newest GPUs") {
  for (const GpuDescription* gpu : {&kGpus[0], &h100(), &kGpus[4]}) {
    ConvPlanner planner = planner_for(*gpu);
    for (const Precision precision : precisions_of(*gpu)) {
      std::vector<ConvKey> keys;
      for (int bits = 0; bits < 16; ++bits) {
        const impasto::Padding padding{bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3 & 1};
        for (const ConvOp op : kOps) keys.push_back({op, precision, 14, 13, 64, 64, padding});
      }
      for (const ConvOp op : kOps) {
        keys.push_back({op, precision, 1, 1, 3, 64, {}});
        keys.push_back({op, precision, 8, 8, 1, 1, {}});
        keys.push_back({op, precision, 7, 1, 8, 5, {}});
        keys.push_back({op, precision, 9, 7, 64, 67, {}});
        keys.push_back({op, precision, 13, 11, 67, 64, {}});
        keys.push_back({op, precision, 3, 3, 64, 64, {0, 0, 0, 0}});
      }
      for (const ConvKey& key : keys) {
        INFO(gpu->name << ", " << to_string(key));
        REQUIRE(planner.plan(key).plan != nullptr);
      }
    }
  }
}

TEST_CASE("candidates are distinct, within bounds, in the same order every time, and begin with the plan") {
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kFp16}) {
    for (const ConvOp op : kOps) {
      const ConvKey key{op, precision, 192, 256, 128, 128, {}};
      INFO(to_string(key));
      ConvPlanner planner = planner_for(h100()), other = planner_for(h100());
      const std::vector<ConvPlan> plans = planner.candidates(key, 100), again = other.candidates(key, 100);
      REQUIRE(plans.size() >= 2);
      REQUIRE(plans.size() == again.size());
      CHECK(planner.plan(key).engine == plans.front().engine);
      CHECK(planner.candidates(key, 2).size() == 2);
      CHECK(planner.candidates(key, 0).empty());
      std::set<std::string> engines;
      for (std::size_t i = 0; i < plans.size(); ++i) {
        CHECK(plans[i].engine == again[i].engine);
        CHECK(engines.insert(plans[i].engine).second);
        CHECK(plans[i].workspace_bytes <= (is_16_bit(precision) ? 64 * kMiB : most_workspace(h100(), key)));
        CHECK_FALSE((precision == Precision::kFp32 && plans[i].tensor_cores));
      }
    }
  }
}

TEST_CASE("a plan is built once, and keys of other padding, direction or size have other plans") {
  ConvPlanner planner = planner_for(h100());
  const ConvKey key{ConvOp::kForward, Precision::kBf16, 48, 64, 64, 128, {}};
  std::vector<ConvKey> others(9, key);
  others[0].padding.top = 0;
  others[1].padding.bottom = 0;
  others[2].padding.left = 0;
  others[3].padding.right = 0;
  others[4].op = ConvOp::kForwardRelu;
  others[5].op = ConvOp::kBackwardData;
  others[6].op = ConvOp::kBackwardDataAdd;
  others[7].precision = Precision::kFp16;
  others[8].w = 63;
  std::set<const ConvPlan*> entries{&planner.plan(key)};
  std::set<const void*> plans{planner.plan(key).plan.get()};
  std::set<std::string> names{to_string(key)};
  for (const ConvKey& other : others) {
    INFO(to_string(other));
    CHECK(entries.insert(&planner.plan(other)).second);
    CHECK(plans.insert(planner.plan(other).plan.get()).second);
    CHECK(names.insert(to_string(other)).second);
    CHECK(&planner.plan(other) == &planner.plan(other));
  }
  CHECK(entries.count(&planner.plan(key)) == 1);
}

TEST_CASE("any candidate is found by its engine, which changes the plan of no key") {
  ConvPlanner planner = planner_for(h100());
  const ConvKey key{ConvOp::kBackwardDataAdd, Precision::kFp16, 96, 128, 256, 256, {}};
  ConvKey other = key;
  other.padding.left = 0;
  const ConvPlan& first = planner.plan(key);
  const std::string first_engine = first.engine;
  const std::vector<ConvPlan> plans = planner.candidates(key, 100);
  REQUIRE(plans.size() > 3);
  for (const std::size_t i : {std::size_t{3}, plans.size() - 1, std::size_t{0}, std::size_t{3}}) {
    const ConvPlan* const found = planner.find(key, plans[i].engine);
    REQUIRE(found != nullptr);
    CHECK(found->engine == plans[i].engine);
    CHECK(found->workspace_bytes == plans[i].workspace_bytes);
    CHECK(planner.find(key, plans[i].engine) == found);
  }
  CHECK(planner.find(key, "eng9999 k1=2") == nullptr);
  CHECK(planner.find(key, "") == nullptr);
  CHECK(&planner.plan(key) == &first);
  CHECK(first.engine == first_engine);
  CHECK(planner.find(other, first_engine) != &first);
}

TEST_CASE("an engine is found before the first plan") {
  const ConvKey key{ConvOp::kForwardRelu, Precision::kTf32, 96, 128, 256, 256, {}};
  ConvPlanner planner = planner_for(h100());
  const std::vector<ConvPlan> plans = planner.candidates(key, 2);
  REQUIRE(plans.size() == 2);
  REQUIRE(planner.find(key, plans[1].engine) != nullptr);
  CHECK(planner.plan(key).engine == plans[0].engine);
}

TEST_CASE("a key says what it is, and a tensor's alignment follows from its channels") {
  const ConvKey key{ConvOp::kBackwardDataAdd, Precision::kBf16, 384, 512, 64, 128, {0, 1, 1, 0}};
  CHECK(to_string(key) == "backward_add bf16 384x512 64-128 pad 0110");
  using impasto::cuda::alignment_of;
  CHECK(alignment_of(64, Precision::kFp16) == 16);
  CHECK(alignment_of(8, Precision::kBf16) == 16);
  CHECK(alignment_of(67, Precision::kBf16) == 2);
  CHECK(alignment_of(6, Precision::kFp16) == 4);
  CHECK(alignment_of(3, Precision::kFp32) == 4);
  CHECK(alignment_of(10, Precision::kTf32) == 8);
}

TEST_CASE("a tensor of 2^31 elements is refused with the numbers") {
  ConvPlanner planner = planner_for(h100());
  // Just below 2^31 elements, and just 2^31.
  CHECK_NOTHROW(planner.plan({ConvOp::kForward, Precision::kBf16, 4681, 7168, 64, 64, {}}));
  const auto of = [&](std::int64_t h, std::int64_t w, std::int64_t in, std::int64_t out) {
    return message_of(ErrorCode::kResources, [&] {
      (void)planner.plan({ConvOp::kForward, Precision::kBf16, h, w, in, out, {}});
    });
  };
  const std::string output = of(4096, 8192, 8, 64);
  CHECK_THAT(output, ContainsSubstring("expected at most 2147483647 elements in the output of forward bf16 "
                                       "4096x8192 8-64 pad 1111, found 4096x8192x64"));
  CHECK_THAT(of(4096, 8192, 64, 8), ContainsSubstring("in the input of"));
  // Numbers whose product does not fit 64 bits.
  CHECK_THAT(of(std::int64_t{1} << 40, std::int64_t{1} << 40, 8, 64), ContainsSubstring("in the input of"));
}

TEST_CASE("a picture whose feature maps have 2^31 elements and more goes in strips that have fewer") {
  using namespace impasto;
  const Weights weights = find_weights("random-vgg16:1");
  const NodeGraph graph = build_graph(weights, std::vector<std::string>{"relu1_1", "relu3_1"});
  ConvPlanner planner = planner_for(h100());
  BackendTraits traits;
  traits.precision = Precision::kBf16;
  traits.activation = DType::kBFloat16;
  traits.input_channels = 8;
  traits.most_elements = std::numeric_limits<std::int32_t>::max();  // as the CUDA backend has it
  traits.conv_workspace_bytes = [&](const ConvTask& task) {
    const Shape& x = task.input;
    return planner.plan({task.op, Precision::kBf16, x.h, x.w, x.c, task.out_channels, task.padding})
        .workspace_bytes;
  };
  traits.gram_workspace_bytes = [](Shape features) { return cuda::gram_workspace_bytes(features, 132); };
  for (const Shape picture : {Shape{4096, 8191, 3}, Shape{4096, 8192, 3}, Shape{8192, 8192, 3}}) {
    INFO(picture.h << "x" << picture.w);
    const ProgramTask task{picture, Pooling::kMax, Pass::kForwardBackward,
                           static_cast<int>(graph.nodes.size()) - 1};
    const Segments segments = choose_segments(graph, task, traits, std::numeric_limits<std::size_t>::max());
    CHECK((describe(graph, picture, segments) == "at once") ==
          (picture.positions() * 64 < std::int64_t{1} << 31));
    const NetworkPlan plan = plan_memory(make_program(graph, task, traits, segments), traits);
    std::int64_t most = 0;
    for (const Step& step : plan.program.steps) {
      for (const Step::Operand& operand : {step.out, step.in}) {
        if (operand) most = std::max(most, plan.program.shape(operand).elements());
      }
    }
    CHECK(most < std::int64_t{1} << 31);
    CHECK(most > std::int64_t{1} << 30);  // and no smaller than need be
    CHECK(plan.bytes() > std::size_t{1} << 32);
  }
}

TEST_CASE("where no engine fits the error names the key, and impossible requests say what was expected") {
  ConvPlanner t4 = planner_for(kGpus[0]);
  const ConvKey bf16{ConvOp::kForwardRelu, Precision::kBf16, 96, 128, 64, 64, {}};
  CHECK(t4.candidates(bf16, 10).empty());
  CHECK(t4.find(bf16, "eng41") == nullptr);
  CHECK_THAT(message_of(ErrorCode::kResources, [&] { (void)t4.plan(bf16); }),
             ContainsSubstring("expected an engine for forward_relu bf16 96x128 64-64 pad 1111"));

  ConvKey key{ConvOp::kForward, Precision::kFp64, 8, 8, 8, 8, {}};
  CHECK_THAT(message_of(ErrorCode::kInternal, [&] { (void)t4.plan(key); }),
             ContainsSubstring("expected precision fp32, tf32, bf16 or fp16, found fp64"));
  key = {ConvOp::kForward, Precision::kFp16, 2, 8, 8, 8, {0, 0, 1, 1}};
  CHECK_THAT(message_of(ErrorCode::kInternal, [&] { (void)t4.plan(key); }),
             ContainsSubstring("at least one element"));
}

TEST_CASE("a device description that cuDNN cannot read is an error that names its status") {
  const std::string message =
      message_of(ErrorCode::kInternal, [] { const ConvPlanner planner(0, 0, "{\"deviceVer\":900}"); });
  CHECK_THAT(message, ContainsSubstring("CUDNN_STATUS_BAD_PARAM"));
}

TEST_CASE("notes that this was not compiled with are left out") {
  const std::array<std::int32_t, 4> numerical{CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
                                              CUDNN_NUMERICAL_NOTE_TYPE_COUNT, 1000, -1};
  const std::array<std::int32_t, 2> behaviour{CUDNN_BEHAVIOR_NOTE_TYPE_COUNT,
                                              CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION};
  const impasto::cuda::EngineNotes notes = impasto::cuda::known_notes(numerical, behaviour);
  CHECK(notes.numerical.count() == 1);
  CHECK(notes.numerical[CUDNN_NUMERICAL_NOTE_TENSOR_CORE]);
  CHECK(notes.behaviour.count() == 1);
  CHECK(notes.behaviour[CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION]);
}

TEST_CASE("a cuDNN from 9.8 on is taken, and what is older or of another major version is not") {
  using impasto::cuda::why_unfit_cudnn;
  for (const std::size_t version : {90800, 91900, 92100, 99999}) CHECK(why_unfit_cudnn(version).empty());
  for (const std::size_t version : {8907, 90000, 90701, 100000})
    CHECK_FALSE(why_unfit_cudnn(version).empty());
  CHECK_THAT(why_unfit_cudnn(90701), ContainsSubstring("expected version 9.8 or a newer 9, found 9.7.1"));
}

TEST_CASE("candidates are timed in turn, by the least of their times, and the first of equal ones is taken") {
  using impasto::cuda::fastest_in_turn;
  std::vector<std::size_t> order;
  std::vector<int> calls(3);
  // A clock that is slow in the first round, and a candidate that is disturbed once.
  const float times[3][3] = {{9, 5, 5}, {9, 4, 8}, {9, 4, 4}};
  const auto measure = [&](std::size_t i) {
    order.push_back(i);
    return times[i][calls[i]++];
  };
  CHECK(fastest_in_turn(3, 3, measure) == 1);
  CHECK(order == std::vector<std::size_t>{0, 1, 2, 0, 1, 2, 0, 1, 2});
}
