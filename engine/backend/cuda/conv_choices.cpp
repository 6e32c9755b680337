#include "engine/backend/cuda/conv_choices.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/backend/cuda/filters.h"
#include "engine/backend/cuda/owners.h"
#include "engine/core/error.h"

namespace impasto::cuda {
namespace {

constexpr int kMostTimed = 10;

std::string title(const Context& context) {
  const DeviceProperties& p = context.properties;
  return p.name + ", sm_" + std::to_string(10 * p.major + p.minor) + ", cuDNN " +
         std::to_string(cudnnGetVersion()) + ", " + impasto::to_string(context.precision);
}

/// Values in -size..size that look random and are the same each time.
DeviceMemory make_noise(Context& context, std::size_t bytes, double size) {
  constexpr std::size_t kDistinct = 65521;  // a prime: what lies a row apart differs
  const DType dtype = activation_of(context.precision);
  const std::size_t element = size_of(dtype);
  std::vector<float> values(kDistinct);
  std::uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(size * (static_cast<double>(state >> 8) / 0x1p23 - 1));
  }
  std::vector<std::byte> host(kDistinct * element);
  convert_on_host(host.data(), dtype, values.data(), DType::kFloat32, kDistinct);
  DeviceMemory memory = make_device_memory(std::max<std::size_t>(bytes, 1));
  auto* const data = static_cast<std::byte*>(memory.get());
  std::size_t done = std::min(bytes, host.size());
  check(cudaMemcpyAsync(data, host.data(), done, cudaMemcpyHostToDevice, context.stream()), "cudaMemcpy");
  for (; done < bytes; done = std::min(2 * done, bytes)) {
    check(cudaMemcpyAsync(data + done, data, std::min(done, bytes - done), cudaMemcpyDeviceToDevice,
                          context.stream()),
          "cudaMemcpy");
  }
  context.synchronise();
  return memory;
}

}  // namespace

ConvChoices::ConvChoices(Context& context, ConvPlanner& planner, bool autotune)
    : TunedChoices(title(context), autotune, true), context_(context), planner_(planner) {}

void ConvChoices::prepare(const ConvKey& key) {
  if (made(key)) return;
  const ConvPlan* chosen = known(key);
  if (chosen == nullptr && cache_.measuring()) {
    if (const std::string fastest = time(key); !fastest.empty()) {
      keep_measured(key, fastest);
      chosen = planner_.find(key, fastest);
    }
  }
  chosen_[key] = chosen != nullptr ? chosen : &planner_.plan(key);
}

const ConvPlan& ConvChoices::plan(const ConvKey& key) const {
  if (const auto chosen = chosen_.find(key); chosen != chosen_.end()) return *chosen->second;
  const ConvPlan* const plan = known(key);
  return plan != nullptr ? *plan : planner_.plan(key);
}

const ConvPlan* ConvChoices::known(const ConvKey& key) const {
  if (!cache_.has_any()) return nullptr;
  const std::string name = to_string(key);
  if (const auto given = cache_.given(name)) {
    if (const ConvPlan* const plan = planner_.find(key, *given)) return plan;
    throw Error(ErrorCode::kBadInput, cache_.source() + ": " + name + ": expected the engine " + *given +
                                          " that it was made with, found none such in this cuDNN");
  }
  const auto measured = cache_.measuring() ? cache_.measured(name) : std::nullopt;
  return measured ? planner_.find(key, *measured) : nullptr;
}

std::size_t fastest_in_turn(std::size_t count, int rounds, const std::function<float(std::size_t)>& measure) {
  std::vector<float> least(count, std::numeric_limits<float>::infinity());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < count; ++i) least[i] = std::min(least[i], measure(i));
  }
  return static_cast<std::size_t>(std::ranges::min_element(least) - least.begin());
}

/// The engine that is fastest among the first candidates; empty where the GPU has no memory to try it.
std::string ConvChoices::time(const ConvKey& key) {
  constexpr int kRounds = 4;
  const std::vector<ConvPlan> plans = planner_.candidates(key, kMostTimed);
  if (plans.empty()) return {};
  std::size_t workspace_bytes = 1;
  for (const ConvPlan& plan : plans) workspace_bytes = std::max(workspace_bytes, plan.workspace_bytes);
  const auto bytes = [element = size_of(activation_of(context_.precision))](std::int64_t elements) {
    return static_cast<std::size_t>(elements) * element;
  };
  const std::int64_t out_h = key.h + key.padding.top + key.padding.bottom - 2;
  const std::int64_t out_w = key.w + key.padding.left + key.padding.right - 2;
  const std::size_t x_bytes = bytes(key.h * key.w * key.in_channels);
  const std::size_t y_bytes = bytes(out_h * out_w * key.out_channels);
  const std::size_t filter_bytes = bytes(9 * key.in_channels * key.out_channels);
  context_.enter();
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  if (x_bytes + y_bytes + filter_bytes + workspace_bytes > free / 20 * 19) return {};
  // Zeros would cost a GPU less power than pictures do, and with it less of its clock. Sums are of about 1.
  const DeviceMemory x = make_noise(context_, x_bytes, 1), y = make_noise(context_, y_bytes, 1);
  const double filter_size =
      1 / std::sqrt(9.0 * static_cast<double>(std::max(key.in_channels, key.out_channels)));
  const DeviceMemory filter = make_noise(context_, filter_bytes, filter_size);
  const DeviceMemory bias = make_noise(context_, bytes(key.out_channels), 1);
  const DeviceMemory workspace = make_device_memory(workspace_bytes);
  const Event start = make_event(), end = make_event();
  const auto run = [&](std::size_t i) {
    run_conv(context_.cudnn(), plans[i], key.op, x.get(), filter.get(), y.get(), bias.get(), workspace.get());
  };
  for (std::size_t i = 0; i < plans.size(); ++i) run(i);  // once for what is loaded late
  const std::size_t best = fastest_in_turn(plans.size(), kRounds, [&](std::size_t i) {
    run(i);  // keeps the GPU busy while what is timed is queued
    check(cudaEventRecord(start.get(), context_.stream()), "cudaEventRecord");
    run(i);
    check(cudaEventRecord(end.get(), context_.stream()), "cudaEventRecord");
    context_.waited(cudaEventSynchronize(end.get()));
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start.get(), end.get()), "cudaEventElapsedTime");
    return ms;
  });
  return plans.at(best).engine;
}

}  // namespace impasto::cuda
