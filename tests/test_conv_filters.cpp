// What is held once for several networks of a device, and what is chosen before memory is planned.
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>

#include "engine/backend/cpu/cpu_backend.h"
#include "engine/core/error.h"
#include "engine/network/executor.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"
#include "tests/support/tiny_vgg.h"
#include "tests/support/tuning_text.h"

namespace fs = std::filesystem;
using namespace impasto;

namespace {

using Floats = std::vector<float>;

Floats random_floats(std::int64_t count) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  Floats values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

/// The deepest tap's features of a picture.
std::vector<double> features(Backend& backend, Executor& executor) {
  const Shape shape{24, 32, 3};
  const NetworkPlan plan =
      plan_memory(whole_program(executor.graph(), shape, Pooling::kMax, Pass::kForward, backend.traits()),
                  backend.traits());
  const Buffer arena = backend.allocate(plan.arena_bytes);
  const Buffer workspace = backend.allocate(plan.workspace_bytes + 1);
  const NetworkMemory memory{&plan, arena.data(), {workspace.data(), plan.workspace_bytes}};
  const Floats picture = random_floats(shape.elements());
  backend.upload(memory.picture(), std::span<const float>(picture));
  std::vector<double> values;
  const auto keep = [&](int /*tap*/, const TapRows& /*rows*/, TensorView f) {
    values.resize(static_cast<std::size_t>(f.shape.elements()));
    backend.download(std::span<double>(values), f);
  };
  executor.run(memory, {}, {.features = keep, .complete = {}, .gradient = {}});
  return values;
}

/// A cache folder of its own, for what is timed.
class CacheFolder {
 public:
  CacheFolder() {
    if (const char* held = std::getenv(kName)) held_ = held;
    std::string name = (fs::temp_directory_path() / "impasto-cache-XXXXXX").string();
    path_ = mkdtemp(name.data());
    setenv(kName, path_.c_str(), 1);
  }
  ~CacheFolder() {
    held_ ? setenv(kName, held_->c_str(), 1) : unsetenv(kName);
    fs::remove_all(path_);
  }
  CacheFolder(const CacheFolder&) = delete;
  CacheFolder& operator=(const CacheFolder&) = delete;

 private:
  static constexpr const char* kName = "XDG_CACHE_HOME";
  std::optional<std::string> held_;
  fs::path path_;
};

constexpr Shape kInput{40, 56, 64};
constexpr std::int64_t kOut = 48;
constexpr ConvTask kForward{ConvOp::kForward, kInput, kOut}, kBackward{ConvOp::kBackwardData, kInput, kOut};

/// What a layer gives with the workspace that is planned now.
Floats convolve(Backend& backend) {
  const Floats filter = random_floats(9 * kInput.c * kOut), bias(kOut), x = random_floats(kInput.elements());
  const Shape output{kInput.h, kInput.w, kOut};
  const auto made = backend.make_conv_filter({kInput.c, kOut, filter, bias});
  const Buffer in = backend.allocate(x.size() * sizeof(float)),
               out = backend.allocate(static_cast<std::size_t>(output.elements()) * sizeof(float)),
               workspace = backend.allocate(backend.traits().conv_workspace_bytes(kForward));
  const TensorView xv = in.view(0, kInput, DType::kFloat32), yv = out.view(0, output, DType::kFloat32);
  backend.upload(xv, std::span<const float>(x));
  backend.conv2d_forward(yv, xv, *made, {}, Relu::kNo, {workspace.data(), workspace.bytes()});
  Floats y(static_cast<std::size_t>(output.elements()));
  backend.download(std::span<float>(y), yv);
  return y;
}

}  // namespace

TEST_CASE("networks that are given the same filters share their memory, on one backend and on several") {
  const BackendOptions options = test::on_device(GENERATE(from_range(test::op_devices())));
  const auto backend = make_backend(options), other = make_backend(options);
  const Weights weights = test::tiny_vgg();
  const NodeGraph graph = build_graph(weights, std::vector<std::string>{"relu1_1", "relu3_1"});
  const std::size_t before = backend->allocated_bytes(), other_before = other->allocated_bytes();
  std::size_t planned = 0;
  for (const Node& node : graph.nodes) {
    if (node.conv < 0) continue;
    const std::int64_t in = node.conv == 0 ? backend->traits().input_channels
                                           : weights.layers[static_cast<std::size_t>(node.conv)].in_channels;
    planned += backend->traits().conv_filter_bytes(in, node.channels);
  }
  ConvFilters filters = make_conv_filters(*backend, weights, graph);
  CHECK(backend->allocated_bytes() == before + planned);
  std::optional<Executor> first(std::in_place, *backend, filters, graph);
  Executor second(*backend, filters, graph);
  Executor elsewhere(*other, std::move(filters), graph);
  CHECK(backend->allocated_bytes() == before + planned);
  CHECK(other->allocated_bytes() == other_before);

  Executor own(*backend, weights, graph);
  CHECK(backend->allocated_bytes() == before + 2 * planned);
  const std::vector<double> expected = features(*backend, own);
  CHECK(features(*backend, *first) == expected);
  first.reset();
  CHECK(features(*backend, second) == expected);
  CHECK(features(*other, elsewhere) == expected);
}

TEST_CASE("a filter outlives the backend that made it") {
  const BackendOptions options = test::on_device(GENERATE(from_range(test::op_devices())));
  const Weights weights = test::tiny_vgg();
  const NodeGraph graph = build_graph(weights, std::vector<std::string>{"relu2_1"});
  ConvFilters filters;
  std::vector<double> expected;
  {
    const auto maker = make_backend(options);
    filters = make_conv_filters(*maker, weights, graph);
    Executor executor(*maker, filters, graph);
    expected = features(*maker, executor);
  }
  const auto backend = make_backend(options);
  Executor executor(*backend, std::move(filters), graph);
  CHECK(features(*backend, executor) == expected);
}

TEST_CASE("a filter of another device or precision is refused") {
  const auto fast = make_cpu_backend({.threads = 1}),
             exact = make_cpu_backend({.precision = Precision::kExact});
  const Floats filter(9 * 16 * 16), bias(16);
  const auto made = exact->make_conv_filter({16, 16, filter, bias});
  const Shape shape{4, 4, 16};
  const Buffer memory = fast->allocate(2 * 4 * static_cast<std::size_t>(shape.elements()));
  const TensorView x = memory.view(0, shape, DType::kFloat32),
                   y = memory.view(x.bytes(), shape, DType::kFloat32);
  try {
    fast->conv2d_forward(y, x, *made, {}, Relu::kNo, {});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kInternal);
    CHECK_THAT(error.what(), ContainsSubstring("conv2d_forward: filter: expected one for cpu") &&
                                 ContainsSubstring("found one for cpu") && ContainsSubstring("exact"));
  }
}

TEST_CASE("planning times nothing, and a layer that was not prepared is done as it was planned") {
  const CacheFolder folder;
  const auto backend = make_cpu_backend({.threads = 2, .autotune = true});
  const auto plain = make_cpu_backend({.threads = 2});
  CHECK(backend->traits().conv_workspace_bytes(kForward) == plain->traits().conv_workspace_bytes(kForward));
  CHECK(convolve(*backend) == convolve(*plain));
  CHECK(backend->activity() == "timed 0 convolutions");
  CHECK(backend->tuning()->end().empty());
}

TEST_CASE("what is prepared is timed once, planned for, told, and taken up by another backend") {
  const CacheFolder folder;
  const auto backend = make_cpu_backend({.threads = 2, .autotune = true});
  Tuning& tuning = *backend->tuning();
  tuning.begin({}, {});
  backend->prepare_conv(kForward);
  CHECK(backend->activity() == "timed 1 convolutions");  // in the form that was asked for alone
  backend->prepare_conv(kBackward);
  CHECK(backend->activity() == "timed 2 convolutions");
  const Floats y = convolve(*backend);
  backend->prepare_conv(kForward);
  CHECK(backend->activity() == "timed 2 convolutions");
  const std::string chosen = tuning.end();
  CHECK_THAT(chosen, ContainsSubstring("forward 56x40 64 to 48 = F") &&
                         ContainsSubstring("backward 56x40 48 to 64 = F"));
  tuning.begin({}, {});
  CHECK(tuning.end().empty());  // for another that asks for nothing

  const auto plain = make_cpu_backend({.threads = 2});
  plain->tuning()->begin(chosen, "a list");
  CHECK(plain->traits().conv_workspace_bytes(kForward) == backend->traits().conv_workspace_bytes(kForward));
  plain->prepare_conv(kForward);
  plain->prepare_conv(kBackward);
  CHECK(plain->tuning()->end() == chosen);
  CHECK(convolve(*plain) == y);
  CHECK(plain->traits().conv_workspace_bytes(kForward) == backend->traits().conv_workspace_bytes(kForward));
}

TEST_CASE("choices that contradict those that stand are refused, and what is taken back leaves no trace") {
  const auto backend = make_cpu_backend({.threads = 2});
  Tuning& tuning = *backend->tuning();
  const auto by_rule = [&] {
    tuning.begin({}, {});
    backend->prepare_conv(kForward);
    return tuning.end();
  };
  const std::string rule = by_rule();
  const std::string other = test::with_other_tiles(rule);
  tuning.begin(other, "a list");
  CHECK_THROWS_WITH(
      backend->prepare_conv(kForward),
      ContainsSubstring("a list: expected ") && ContainsSubstring("as renders before it have it, found F"));
  tuning.take_back();
  CHECK(by_rule() == rule);
  tuning.begin("forward 1x1 16 to 16 = F2 own 1 1\n", "of another layer");
  backend->prepare_conv(kForward);
  CHECK(tuning.end() == rule);

  tuning.forget();
  tuning.begin(other, "a list");
  backend->prepare_conv(kForward);
  tuning.take_back();
  CHECK(by_rule() == rule);

  tuning.forget();
  tuning.begin("forward 56x40 64 to 48 = F5 own 1 1\n", "a list");
  CHECK_THROWS_WITH(backend->prepare_conv(kForward),
                    ContainsSubstring("a list: convolution forward 56x40 64 to 48: expected how it was cut"));
}
