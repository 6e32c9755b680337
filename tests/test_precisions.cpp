// What each precision costs, and on the CPU each tile of Winograd's algorithm: feature maps and the gradient
// against double precision, whole renders against direct convolutions in float. `bin/test_precisions -s`
// prints every number of the tables in docs/gpu.md and docs/verification.md; weights are those that
// IMPASTO_TEST_WEIGHTS names, else random ones.
#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>

#include "engine/backend/cpu/cpu_backend.h"
#include "engine/backend/devices.h"
#include "engine/style/objective.h"
#include "engine/style/picture.h"
#include "engine/style/stylizer.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"

using namespace impasto;
using Numbers = std::vector<double>;

namespace {

/// Noise at three sizes, the coarser the stronger: rough, as photographs are.
Image picture(std::int64_t width, std::int64_t height, std::uint32_t seed) {
  std::mt19937 random(seed);
  Image sum{width, height, std::vector<float>(static_cast<std::size_t>(3 * width * height), 0.5F), {}};
  for (const std::int64_t cell : {8, 4, 1}) {
    Image noise{width / cell, height / cell, {}, {}};
    noise.rgb.resize(static_cast<std::size_t>(3 * noise.pixels()));
    for (float& v : noise.rgb) v = static_cast<float>(random() % 256) / 255 - 0.5F;
    noise = resize(noise, {width, height});
    for (std::size_t i = 0; i < sum.rgb.size(); ++i) {
      sum.rgb[i] += 0.1F * static_cast<float>(cell == 1 ? 1 : cell / 2) * noise.rgb[i];
    }
  }
  for (float& v : sum.rgb) v = std::min(std::max(v, 0.0F), 1.0F);
  return sum;
}

std::shared_ptr<const Weights> weights() {
  static const auto read = [] {
    const char* const name = std::getenv("IMPASTO_TEST_WEIGHTS");
    return std::make_shared<const Weights>(find_weights(name != nullptr ? name : "random-vgg16:1"));
  }();
  return read;
}

struct Device : BackendOptions {
  int conv_tile = 0;  ///< of the CPU's Winograd convolutions; 0: what is fastest
  [[nodiscard]] std::unique_ptr<Backend> open() const {
    return conv_tile == 0 ? make_backend(*this)
                          : make_cpu_backend({.precision = precision, .conv_tile = conv_tile});
  }
};

/// The device that IMPASTO_TEST_DEVICE names, else the CPU's ways.
std::vector<Device> devices() {
  if (const BackendOptions other = test::other_device(); !other.device.empty()) return {{other}};
  std::vector<Device> found{{{.device = "cpu", .precision = Precision::kExact}}};
  for (const int tile : {2, 4, 6, 0})
    found.push_back({{.device = "cpu", .precision = Precision::kFp32}, tile});
  return found;
}

std::string name_of(const Device& device) {
  return device.device + " " + to_string(device.precision) +
         (device.conv_tile != 0 ? " F" + std::to_string(device.conv_tile) : "");
}

/// Largest errors allowed: of each layer's features, of the gradient's direction and size, and of the
/// fiftieth loss. Two to five times the most that was measured with vgg16, hed-vgg16 and random ones
/// (docs/gpu.md; the gradient's direction with vgg16: tf32 3.6e-5, fp16 5.0e-5, bf16 4.0e-4); fp32 has more
/// room, for other orders of summation.
struct Bounds {
  double features, cosine, size, adam, descent;
};
Bounds bounds(const Device& device) {
  // The contract of the CPU's fp32 is 1e-4 of the gradient.
  if (device.device == "cpu" && device.precision == Precision::kFp32) return {1e-5, 1e-6, 1e-4, 5e-3, 1e-4};
  switch (device.precision) {
    case Precision::kTf32:
    case Precision::kFp16: return {2e-3, 2e-4, 1e-3, 5e-3, 1e-3};  // vgg16: 5.5e-5 (fp16); Adam 2.6e-3 (tf32)
    case Precision::kBf16: return {1.5e-2, 1e-3, 1e-2, 5e-3, 1e-2};
    default: return {2e-6, 1e-9, 1e-6, 1e-3, 1e-6};
  }
}

void check_error(const Device& device, const std::string& what, double error, double bound) {
  INFO(name_of(device) << ", " << weights()->name << ", " << what << ": " << error << ", bound " << bound);
  CHECK(error < bound);
}

struct Evaluation {
  int num_saturated = 0;
  std::vector<std::pair<std::string, Numbers>> features;
  Numbers gradient;
};

/// The default preset. In the maps of generated weights a max pool's values lie so close that its winner is a
/// matter of rounding: average pools there.
StyleOptions default_options() {
  StyleOptions options = make_preset("impasto");
  if (weights()->name.starts_with("random")) options.objective.pooling = Pooling::kAverage;
  return options;
}

/// The default preset's objective at a start that is neither the content nor the style.
Evaluation evaluate(const Device& device,
                    const std::function<void(Backend&, const std::function<void()>& evaluate)>& before = {}) {
  constexpr std::int64_t kWidth = 48, kHeight = 32;
  const ObjectiveOptions options = default_options().objective;
  const auto backend = device.open();
  Executor executor(*backend, *weights(), build_graph(*weights(), objective_taps(options)));
  const Shape shape{kHeight, kWidth, 3};
  const BackendTraits& traits = backend->traits();
  const NetworkPlan forward =
      plan_memory(whole_program(executor.graph(), shape, options.pooling, Pass::kForward, traits), traits);
  const NetworkPlan evaluation = plan_memory(
      whole_program(executor.graph(), evaluation_task(options, executor.graph(), shape), traits), traits);
  std::vector<Buffer> buffers;
  const auto memory = [&](const NetworkPlan& plan) {
    buffers.push_back(backend->allocate(plan.arena_bytes));
    buffers.push_back(backend->allocate(std::max<std::size_t>(plan.workspace_bytes, 1)));
    return NetworkMemory{
        &plan, buffers[buffers.size() - 2].data(), {buffers.back().data(), plan.workspace_bytes}};
  };
  const auto tensor = [&](Shape of, DType dtype) {
    buffers.push_back(backend->allocate(static_cast<std::size_t>(of.elements()) * size_of(dtype)));
    return buffers.back().view(0, of, dtype);
  };
  const auto download = [&](ConstTensorView view) {
    Numbers values(static_cast<std::size_t>(view.shape.elements()));
    backend->download(std::span<double>(values), view);
    return values;
  };
  std::vector<TensorView> tensors;
  for (const TensorSpec& spec :
       objective_tensors(options, executor.graph(), evaluation.program, backend->traits())) {
    tensors.push_back(tensor(spec.shape, spec.dtype));
  }
  StyleObjective objective(*backend, executor, options, tensors, memory(evaluation));
  const NetworkMemory targets = memory(forward);
  const auto staged = [&](std::uint32_t seed) {
    const std::vector<float> x =
        to_network_space(picture(kWidth, kHeight, seed).rgb, weights()->preprocessing);
    backend->upload(targets.picture(), std::span<const float>(x));
    return targets;
  };
  objective.set_content(staged(1));
  const StyleTargets style = objective.measure_style(staged(2));
  objective.set_styles(std::vector<WeightedTargets>{{&style, 1}});
  objective.finish_targets({});

  Evaluation result;
  TapHooks hooks;
  hooks.features = [&](int tap, const TapRows&, ConstTensorView features) {
    result.features.emplace_back(executor.graph().taps[static_cast<std::size_t>(tap)], download(features));
  };
  executor.run(staged(3), {}, hooks);
  const DType real = backend->traits().real;
  const TensorView x = tensor(shape, real), gradient = tensor(shape, real);
  backend->upload(
      x, std::span<const float>(to_network_space(picture(kWidth, kHeight, 3).rgb, weights()->preprocessing)));
  if (backend->traits().scaled_gradients) objective.calibrate(x, gradient);
  const auto step = [&] {
    objective.evaluate(x, gradient);
    objective.queue_values();
    (void)objective.take_values();
  };
  if (before) before(*backend, step);
  step();
  result.num_saturated = objective.num_saturated();
  result.gradient = download(gradient);
  return result;
}

double dot(const Numbers& a, const Numbers& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Numbers losses(const StyleOptions& options) {
  Numbers result;
  RunHooks hooks;
  hooks.exact_every = 0;
  hooks.progress = [&](const Progress& p) {
    result.push_back(p.loss);
    return Action::kContinue;
  };
  const std::vector<Image> styles{picture(32, 32, 2)};
  (void)Stylizer(options, weights()).run(picture(32, 32, 1), styles, hooks);
  return result;
}

}  // namespace

TEST_CASE("feature maps and the gradient are as close to double precision as the precision promises") {
  const Evaluation exact = evaluate({{.device = "reference"}});
  for (const Device& device : devices()) {
    const Evaluation found = evaluate(device);
    const Bounds bound = bounds(device);
    REQUIRE(found.features.size() == exact.features.size());
    for (std::size_t i = 0; i < exact.features.size(); ++i) {
      const auto& [layer, expected] = exact.features[i];
      Numbers difference = found.features[i].second;
      for (std::size_t k = 0; k < expected.size(); ++k) difference[k] -= expected[k];
      check_error(device, layer, std::sqrt(dot(difference, difference) / dot(expected, expected)),
                  bound.features);
    }
    const Numbers &a = exact.gradient, &b = found.gradient;
    check_error(device, "gradient, 1 - cosine", 1 - dot(a, b) / std::sqrt(dot(a, a) * dot(b, b)),
                bound.cosine);
    check_error(device, "gradient, size", std::abs(std::sqrt(dot(b, b) / dot(a, a)) - 1), bound.size);
  }
}

TEST_CASE("fifty iterations end where direct convolutions on the CPU do") {
  const Device device = devices().back();
  for (const OptimizerKind kind : {OptimizerKind::kAdam, OptimizerKind::kGradientDescent}) {
    StyleOptions options = default_options();
    options.size = 32;
    options.min_size = 0;
    options.num_scales = 1;
    options.iterations = 50;
    options.threads = 2;
    options.device = "cpu";
    options.precision = "exact";
    options.optimizer.kind = kind;
    options.optimizer.learning_rate = kind == OptimizerKind::kAdam ? 1 : 3e3;
    const Numbers cpu = losses(options);
    options.device = device.device;
    options.precision = to_string(device.precision);
    const Numbers found = losses(options);
    REQUIRE(found.size() == 50);
    INFO("J from " << cpu.front() << " to " << cpu.back());
    CHECK(cpu.back() < 0.9 * cpu.front());  // it moves
    check_error(device, to_string(kind) + ", the last of 50 losses", std::abs(found.back() / cpu.back() - 1),
                kind == OptimizerKind::kAdam ? bounds(device).adam : bounds(device).descent);
  }
}

TEST_CASE("gradients that have left their scale find another one after an evaluation") {
  for (const Device& device : devices()) {
    if (!device.open()->traits().scaled_gradients) continue;
    const Evaluation calibrated = evaluate(device);
    CHECK(calibrated.num_saturated == 0);
    for (const double off : {0x1p-8, 0x1p8}) {
      double chosen = 0;
      const Evaluation found = evaluate(device, [&](Backend& backend, const std::function<void()>& step) {
        const double right = backend.gradient_scale();
        backend.set_gradient_scale(right * off);
        step();
        chosen = backend.gradient_scale() / right;
      });
      INFO(off << ": then " << chosen);
      CHECK(chosen >= 0.0625);  // a wide step from what is too large to tell
      CHECK(chosen <= 2);
      CHECK(found.num_saturated == (off > 1 ? 1 : 0));
      Numbers difference = found.gradient;
      for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= calibrated.gradient[i];
      CHECK(std::sqrt(dot(difference, difference) / dot(calibrated.gradient, calibrated.gradient)) < 1e-3);
    }
  }
}
