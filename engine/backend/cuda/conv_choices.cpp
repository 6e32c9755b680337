#include "engine/backend/cuda/conv_choices.h"

#include <algorithm>
#include <limits>

#include "engine/backend/cuda/owners.h"
#include "engine/core/error.h"

namespace impasto::cuda {
namespace {

constexpr int kMostTimed = 10, kTimedRuns = 5;

std::string title(const Context& context) {
  const DeviceProperties& p = context.properties;
  return p.name + ", sm_" + std::to_string(10 * p.major + p.minor) + ", cuDNN " +
         std::to_string(cudnnGetVersion()) + ", " + impasto::to_string(context.precision);
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

/// The engine that is fastest among the first candidates on zeros, the first one where they are equal; empty
/// where the GPU has no memory to try it.
std::string ConvChoices::time(const ConvKey& key) {
  const bool wide = context_.storage == Storage::kFloat32;
  const std::size_t element = wide ? 4 : 2;
  const auto bytes = [&](std::int64_t elements) { return static_cast<std::size_t>(elements) * element; };
  const std::int64_t out_h = key.h + key.padding.top + key.padding.bottom - 2;
  const std::int64_t out_w = key.w + key.padding.left + key.padding.right - 2;
  const std::vector<ConvPlan> plans = planner_.candidates(key, kMostTimed);
  if (plans.empty()) return {};
  std::size_t workspace_bytes = 0;
  for (const ConvPlan& plan : plans) workspace_bytes = std::max(workspace_bytes, plan.workspace_bytes);
  const std::size_t x_bytes = bytes(key.h * key.w * key.in_channels);
  const std::size_t y_bytes = bytes(out_h * out_w * key.out_channels);
  const std::size_t filter_bytes = bytes(9 * key.in_channels * key.out_channels);
  context_.enter();
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  if (x_bytes + y_bytes + filter_bytes + workspace_bytes > free / 20 * 19) return {};
  const auto zeros = [&](std::size_t size) {
    DeviceMemory memory = make_device_memory(size);
    check(cudaMemsetAsync(memory.get(), 0, size, context_.stream()), "cudaMemset");
    return memory;
  };
  const DeviceMemory x = zeros(x_bytes);
  const DeviceMemory y = zeros(y_bytes);
  const DeviceMemory filter = zeros(filter_bytes);
  const DeviceMemory bias = zeros(bytes(key.out_channels));
  const DeviceMemory workspace = make_device_memory(std::max<std::size_t>(workspace_bytes, 1));
  const Event start = make_event(), end = make_event();
  std::size_t best = 0;
  float best_ms = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto run = [&] {
      run_conv(context_.cudnn(), plans[i], key.op, x.get(), filter.get(), y.get(), bias.get(),
               workspace.get());
    };
    run();  // once for what is loaded late
    check(cudaEventRecord(start.get(), context_.stream()), "cudaEventRecord");
    for (int k = 0; k < kTimedRuns; ++k) run();
    check(cudaEventRecord(end.get(), context_.stream()), "cudaEventRecord");
    check(cudaEventSynchronize(end.get()), "the GPU's work");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start.get(), end.get()), "cudaEventElapsedTime");
    if (ms < best_ms) best = i, best_ms = ms;
  }
  return plans.at(best).engine;
}

}  // namespace impasto::cuda
