// The engine against PyTorch in double precision: golden/network/golden.json holds what torch computed,
// make_golden.py beside it says how. Weights and pictures are rebuilt here from the same integers.
//
// Bounds stand beside what was measured; `test_golden -s` prints the errors.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/backend/devices.h"
#include "engine/core/random.h"
#include "engine/network/executor.h"
#include "engine/style/objective.h"
#include "engine/style/optimizer.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"

namespace {

using namespace impasto;
using nlohmann::json;

/// Largest errors allowed. Each is relative to the scale of
/// what is compared, see summary_error and relative_error.
struct Bounds {
  double activation, loss, gradient;
  double trace, picture;    ///< losses of an optimiser's steps; the picture after the last
  std::size_t lbfgs_steps;  ///< of L-BFGS, only the first so many steps are held to `trace`,
  double lbfgs_end;         ///< and the last loss to this
};

const json& golden() {
  static const json data =
      json::parse(std::ifstream(std::string(IMPASTO_TEST_DATA) + "/network/golden.json"));
  return data;
}

const Weights& weights_of(const std::string& network) {
  static std::map<std::string, Weights> made;
  if (!made.contains(network)) {
    made[network] = random_weights(network, golden()["seeds"][network].get<std::uint64_t>());
  }
  return made[network];
}

struct Picture {
  Shape shape;
  std::vector<double> values;  // 0..255 less the mean, BGR
};

/// picture() of make_golden.py.
Picture make_picture(const std::string& name) {
  const json& about = golden()["pictures"][name];
  const auto key = about["key"].get<std::int64_t>();
  Picture picture{{about["height"], about["width"], 3}, {}};
  for (std::int64_t y = 0; y < picture.shape.h; ++y) {
    for (std::int64_t x = 0; x < picture.shape.w; ++x) {
      for (std::int64_t c = 0; c < 3; ++c) {
        const std::int64_t t = ((5 + 2 * key) * y + (3 + 4 * c + key) * x + 80 * c + 40 * key) % 512;
        const std::int64_t wave = t < 256 ? t : 511 - t;
        const auto noise = static_cast<std::int64_t>(
            splitmix64((static_cast<std::uint64_t>(key) << 32) + picture.values.size()) >> 56);
        picture.values.push_back(static_cast<double>((3 * wave + noise) / 4) -
                                 Preprocessing{}.mean[static_cast<std::size_t>(c)]);
      }
    }
  }
  return picture;
}

std::vector<double> download(Backend& backend, ConstTensorView tensor) {
  std::vector<double> values(static_cast<std::size_t>(tensor.shape.elements()));
  backend.download(std::span<double>(values), tensor);
  return values;
}

/// Mean, norm, maximum and samples of a tensor, each difference divided by the golden values' root mean
/// square; returns the largest.
double summary_error(const std::vector<double>& values, const json& expected) {
  double sum = 0, squares = 0, largest = 0;
  for (const double v : values) {
    sum += v;
    squares += v * v;
    largest = std::max(largest, std::abs(v));
  }
  const auto n = static_cast<double>(values.size());
  const double norm = expected["norm"], scale = norm / std::sqrt(n);
  double error = std::abs(std::sqrt(squares) - norm) / norm;
  error = std::max(error, std::abs(sum / n - expected["mean"].get<double>()) / scale);
  error = std::max(error, std::abs(largest - expected["max"].get<double>()) / scale);
  const json& samples = expected["samples"];
  for (std::size_t k = 0; k < samples.size(); ++k) {
    error =
        std::max(error, std::abs(values[splitmix64(k) % values.size()] - samples[k].get<double>()) / scale);
  }
  return error;
}

void check_error(const std::string& what, double error, double bound) {
  INFO(what << ": error " << error << ", bound " << bound);  // Catch's own printing of doubles is fixed-point
  CHECK(error < bound);
}

double relative_error(double value, double expected) {
  return std::abs(value - expected) / std::max(std::abs(expected), 1e-300);
}

std::vector<LayerWeight> layers_of(const json& layers) {
  std::vector<LayerWeight> result;
  for (const auto& [name, weight] : layers.items()) result.push_back({name, weight});
  return result;
}

/// Of options that the golden file gives by name.
StyleOptions named_options(const std::map<std::string, std::string>& values) {
  StyleOptions options;
  for (const auto& [name, value] : values) set_option(options, name, value);
  return options;
}

ObjectiveOptions objective_options(const json& c) {
  ObjectiveOptions options =
      named_options({{"scaling", c["scaling"]}, {"tv", c["tv"]}, {"pooling", c["pooling"]}}).objective;
  options.content_weight = c["content_weight"];
  options.style_weight = c["style_weight"];
  options.tv_weight = c["tv_weight"];
  options.content_layers = layers_of(c["content_layers"]);
  options.style_layers = layers_of(c["style_layers"]);
  options.normalize_layer_weights = c["normalize"];
  return options;
}

/// A case's objective with its memory, its targets measured.
class Bench {
 public:
  Bench(Backend& backend, const json& c) : backend_(backend), options_(objective_options(c)) {
    const Weights& weights = weights_of(c["network"]);
    const Picture start = make_picture(c["start"]);
    executor_ = std::make_unique<Executor>(backend, weights, build_graph(weights, objective_taps(options_)));
    const NodeGraph& graph = executor_->graph();
    const BackendTraits& traits = backend.traits();
    plan_ = plan_memory(whole_program(graph, evaluation_task(options_, graph, start.shape), traits), traits);
    const auto tensors = allocate(objective_tensors(options_, graph, plan_.program, traits));
    objective_ = std::make_unique<StyleObjective>(backend, *executor_, options_, tensors, memory(plan_));

    measure("content", content_task, [&](const NetworkMemory& m) { objective_->set_content(m); });
    double shares = 0;
    for (const double share : c["style_blend"]) shares += share;
    std::vector<StyleTargets> targets(c["styles"].size());
    std::vector<WeightedTargets> blend;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      measure(c["styles"][i], style_task,
              [&](const NetworkMemory& m) { targets[i] = objective_->measure_style(m); });
      blend.push_back({&targets[i], c["style_blend"][i].get<double>() / shares});
    }
    objective_->set_styles(blend);
    objective_->finish_targets([](const std::string& line) { FAIL(line); });
  }

  StyleObjective& objective() { return *objective_; }

  std::vector<TensorView> allocate(const std::vector<TensorSpec>& specs) {
    std::vector<TensorView> tensors;
    for (const TensorSpec& spec : specs) {
      const auto bytes = static_cast<std::size_t>(spec.shape.elements()) * size_of(spec.dtype);
      buffers_.push_back(backend_.allocate(bytes));
      tensors.push_back(buffers_.back().view(0, spec.shape, spec.dtype));
    }
    return tensors;
  }

 private:
  NetworkMemory memory(const NetworkPlan& plan) {
    buffers_.push_back(backend_.allocate(plan.arena_bytes));
    void* arena = buffers_.back().data();
    buffers_.push_back(backend_.allocate(std::max<std::size_t>(plan.workspace_bytes, 1)));
    return {&plan, arena, {buffers_.back().data(), plan.workspace_bytes}};
  }
  template <class MakeTask, class Measure>
  void measure(const std::string& name, const MakeTask& task, const Measure& set) {
    const Picture picture = make_picture(name);
    const BackendTraits& traits = backend_.traits();
    const NetworkPlan plan = plan_memory(
        whole_program(executor_->graph(), task(options_, executor_->graph(), picture.shape), traits), traits);
    const NetworkMemory forward = memory(plan);
    backend_.upload(forward.picture(), std::span<const double>(picture.values));
    set(forward);
  }

  Backend& backend_;
  ObjectiveOptions options_;
  NetworkPlan plan_;
  std::vector<Buffer> buffers_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<StyleObjective> objective_;
};

std::string name_of(const json& c) {
  json name = c;
  for (const char* result : {"expect", "losses", "picture", "samples"}) name.erase(result);
  return name.dump();
}

/// The CPU, or what IMPASTO_TEST_DEVICE names.
std::string fast_device() {
  const std::string other = test::other_device().device;
  return other.empty() ? "cpu" : other;
}

/// Every n-th of the golden file's cases.
std::vector<json> every(const char* kind, std::size_t n) {
  std::vector<json> cases;
  for (std::size_t i = 0; i < golden()[kind].size(); i += n) cases.push_back(golden()[kind][i]);
  return cases;
}

void check_activations(const std::string& device, const Bounds& bounds) {
  const auto backend = make_backend(test::on_device(device));
  const Picture content = make_picture("content");
  check_error("picture", summary_error(content.values, golden()["pictures"]["content"]), 1e-13);
  for (const std::string network : {"vgg16", "vgg19"}) {
    for (const std::string pooling : {"max", "average"}) {
      std::map<std::string, const json*> expected;
      std::vector<std::string> taps;
      for (const json& a : golden()["activations"]) {
        if (a["network"] != network || a["pooling"] != pooling) continue;
        taps.push_back(a["layer"]);
        expected[taps.back()] = &a;
      }
      const Weights& weights = weights_of(network);
      Executor executor(*backend, weights, build_graph(weights, taps));
      const NetworkPlan plan =
          plan_memory(whole_program(executor.graph(), content.shape,
                                    named_options({{"pooling", pooling}}).objective.pooling, Pass::kForward,
                                    backend->traits()),
                      backend->traits());
      const Buffer arena = backend->allocate(plan.arena_bytes);
      const Buffer workspace = backend->allocate(std::max<std::size_t>(plan.workspace_bytes, 1));
      const NetworkMemory memory{&plan, arena.data(), {workspace.data(), plan.workspace_bytes}};
      backend->upload(memory.picture(), std::span<const double>(content.values));
      std::size_t seen = 0;
      double worst = 0;
      std::string worst_layer;
      TapHooks hooks;
      hooks.features = [&](int tap, const TapRows&, ConstTensorView features) {
        const std::string layer = executor.graph().taps[static_cast<std::size_t>(tap)];
        const json& shape = (*expected[layer])["shape"];
        REQUIRE(features.shape == Shape{shape[0], shape[1], shape[2]});
        const double error = summary_error(download(*backend, features), *expected[layer]);
        if (error > worst) {
          worst = error;
          worst_layer = layer;
        }
        ++seen;
      };
      executor.run(memory, {}, hooks);
      INFO(device << " " << network << " " << pooling << " pooling, worst layer " << worst_layer);
      CHECK(seen == taps.size());
      check_error("activations", worst, bounds.activation);
    }
  }
}

void check_objectives(const std::string& device, const Bounds& bounds) {
  const auto backend = make_backend(test::on_device(device));
  for (const json& c : every("objectives", test::other_device().precision > Precision::kFp32 ? 4 : 1)) {
    INFO(device << " " << name_of(c));
    Bench bench(*backend, c);
    const Picture start = make_picture(c["start"]);
    const DType real = backend->traits().real;
    const auto tensors = bench.allocate({{"x", start.shape, real}, {"gradient", start.shape, real}});
    backend->upload(tensors[0], std::span<const double>(start.values));
    if (backend->traits().scaled_gradients) bench.objective().calibrate(tensors[0], tensors[1]);
    bench.objective().evaluate(tensors[0], tensors[1]);
    const LossValues& values = bench.objective().values();

    const json& expect = c["expect"];
    double worst = relative_error(values.total, expect["loss"]);
    for (const char* const name : {"content", "style"}) {
      const LossValue& loss = *find_loss(values.losses, name);
      for (const auto& [layer, value] : loss.terms) {
        worst = std::max(worst, relative_error(value, expect[name][layer]));
      }
      CHECK(loss.terms.size() == expect[name].size());
    }
    if (c["tv_weight"] != 0.0) {
      worst = std::max(worst, relative_error(find_loss(values.losses, "tv")->sum(), expect["tv"]));
    }
    check_error("losses", worst, bounds.loss);
    check_error("gradient", summary_error(download(*backend, tensors[1]), expect["gradient"]),
                bounds.gradient);
  }
}

void check_traces(const std::string& device, const Bounds& bounds) {
  const auto backend = make_backend(test::on_device(device));
  // On a GPU one of each optimiser, each with another scaling.
  for (const json& c : every("traces", device == test::other_device().device ? 7 : 1)) {
    INFO(device << " " << name_of(c));
    Bench bench(*backend, c);
    const Picture start = make_picture(c["start"]);
    OptimizerOptions options = named_options({{"optimizer", c["optimizer"]}}).optimizer;
    options.line_search = LineSearch::kNone;
    options.learning_rate = c["learning_rate"];
    options.history = c.value("history", options.history);
    options.momentum = c.value("momentum", options.momentum);
    const auto tensors = bench.allocate(optimizer_tensors(options, start.shape, backend->traits().real));
    backend->upload(tensors[0], std::span<const double>(start.values));
    const auto optimizer = make_optimizer(options, *backend, tensors, {});
    const bool lbfgs = options.kind == OptimizerKind::kLbfgs;
    const std::size_t num_steps = c["losses"].size();
    const std::size_t compared = lbfgs ? bounds.lbfgs_steps : num_steps;
    double worst = 0, last = 0;
    for (std::size_t i = 0; i < num_steps; ++i) {
      optimizer->step(bench.objective());
      bench.objective().queue_values();  // of a replayed step, too
      last = relative_error(bench.objective().take_values().total, c["losses"][i]);
      if (i < compared) worst = std::max(worst, last);
    }
    check_error("trace", worst, bounds.trace);
    check_error("last loss", last, lbfgs ? bounds.lbfgs_end : bounds.trace);
    if (compared < num_steps) continue;
    check_error("picture after the last step",
                summary_error(download(*backend, optimizer->picture()), c["picture"]), bounds.picture);
  }
}

// Measured in double: 9e-14, 4e-14, 2e-14; traces 1.2e-11 and pictures 8e-12 (L-BFGS; the others 3e-14).
constexpr Bounds kReference{1e-11, 1e-11, 1e-11, 1e-9, 1e-9, 12, 1e-9};
// Measured in float with direct convolutions: 3.5e-6, 3.1e-7, 3.3e-6; traces 4.3e-5; pictures 1e-2 (Adam,
// whose step does not shrink with the gradient; gradient descent 9e-4). The first step of L-BFGS is so short
// (1/|g|_1) that the first curvature pair is mostly rounding in float: PyTorch in float32 departs from itself
// in float64 by up to 0.7 after 6 steps and 0.06 after 12. So only the steps before that pair are compared,
// and the end: 0.044.
constexpr Bounds kCpu{2e-5, 5e-6, 2e-5, 5e-4, 5e-2, 2, 0.15};
// By Winograd's algorithm: 9.8e-6, 2.0e-6, 4.1e-3 (one element,
// where another maximum of a pool won; the others 2e-5).
constexpr Bounds kWinograd{1e-4, 1e-5, 2e-2, 5e-4, 5e-2, 2, 0.15};
// On an H100's engines, fp32 stays within the CPU's bounds: 3.1e-6, 5.6e-7, 5.9e-6; traces 1.7e-7 and 0.02.
// tf32: 4.4e-3, 6.4e-4, 0.40; fp16: 6.2e-3, 6.0e-4, 0.36; bf16: 0.046, 9.2e-3, 1.0. The gradients' errors are
// single elements where rounding turned a ReLU or another maximum of a pool on.
constexpr Bounds kTf32AndFp16{2e-2, 3e-3, 1, 0, 0, 0, 0}, kBf16{0.15, 3e-2, 2, 0, 0, 0, 0};

const Bounds& fast_bounds() {
  if (test::other_device().device.empty()) return kWinograd;
  switch (test::other_device().precision) {
    case Precision::kTf32:
    case Precision::kFp16: return kTf32AndFp16;
    case Precision::kBf16: return kBf16;
    default: return kCpu;
  }
}

}  // namespace

TEST_CASE("random weights are the ones that the golden numbers were made with") {
  for (const json& expected : golden()["weights"]) {
    INFO(name_of(expected));
    const Weights& weights = weights_of(expected["network"]);
    const auto layer = std::find_if(weights.layers.begin(), weights.layers.end(),
                                    [&](const ConvWeights& w) { return w.name == expected["layer"]; });
    REQUIRE(layer != weights.layers.end());
    const auto sum_and_norm = [](const std::vector<float>& values) {
      double sum = 0, squares = 0;
      for (const double v : values) {
        sum += v;
        squares += v * v;
      }
      return std::pair(sum, std::sqrt(squares));
    };
    const auto [filter_sum, filter_norm] = sum_and_norm(layer->filter);
    const auto [bias_sum, bias_norm] = sum_and_norm(layer->bias);
    CHECK(filter_norm == Approx(expected["filter_norm"].get<double>()).epsilon(1e-10));
    CHECK(filter_sum == Approx(expected["filter_sum"].get<double>()).margin(1e-6 * filter_norm));
    CHECK(bias_norm == Approx(expected["bias_norm"].get<double>()).epsilon(1e-10));
    CHECK(bias_sum == Approx(expected["bias_sum"].get<double>()).margin(1e-6 * bias_norm));
  }
}

TEST_CASE("every layer of VGG-16 and VGG-19 agrees with PyTorch on the reference backend") {
  check_activations("reference", kReference);
}
TEST_CASE("every layer of VGG-16 and VGG-19 agrees with PyTorch on the fast backend") {
  check_activations(fast_device(), fast_bounds());
}
TEST_CASE("every loss term and the gradient agree with PyTorch's autograd on the reference backend") {
  check_objectives("reference", kReference);
}
TEST_CASE("every loss term and the gradient agree with PyTorch's autograd on the fast backend") {
  check_objectives(fast_device(), fast_bounds());
}
TEST_CASE("every optimiser's trace agrees with torch.optim's on the reference backend") {
  check_traces("reference", kReference);
}
TEST_CASE("every optimiser's trace agrees with torch.optim's on the fast backend") {
  check_traces(fast_device(), fast_bounds());
}
