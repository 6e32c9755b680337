#include "engine/style/planning.h"

#include <algorithm>
#include <utility>

#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/network/conv_filters.h"
#include "engine/network/plan_search.h"
#include "engine/style/objective.h"
#include "engine/style/schedule.h"

namespace impasto {
namespace {

/// What the process holds beside pictures, weights and the device's memory: program, libraries, thread
/// stacks. Measured.
constexpr std::size_t kProcessBytes = std::size_t{32} << 20;

ScalePlan plan_of(const ScaleLayout& layout, const StyleOptions& options, const NodeGraph& graph) {
  ScalePlan scale;
  scale.size = layout.size;
  scale.way = describe(graph, picture_shape(layout.size), layout.evaluation.program.segments);
  scale.history = layout.history;
  scale.activation_bytes = layout.network_bytes;
  scale.workspace_bytes = layout.workspace_bytes;
  scale.target_bytes = layout.objective_bytes;
  scale.optimizer_bytes = layout.optimizer_bytes;
  scale.flops = convolution_flops(layout.evaluation.program);
  for (const auto& term : make_terms(options.objective, graph, picture_shape(layout.size))) {
    scale.flops += term->flops();
  }
  return scale;
}

std::size_t filter_bytes(const Weights& weights, const NodeGraph& graph, const BackendTraits& traits) {
  std::size_t bytes = 0;
  for (const Node& node : graph.nodes) {
    if (node.conv < 0) continue;
    const std::int64_t in = node.conv == 0 ? traits.input_channels
                                           : weights.layers[static_cast<std::size_t>(node.conv)].in_channels;
    bytes += traits.conv_filter_bytes(in, node.channels);
  }
  return bytes;
}

/// The pictures as read, the largest style picture as it is measured, three pictures of the result's size in
/// work at one time, the weights where they stay (else they go before the arena is used), style statistics.
std::size_t host_bytes(const StyleOptions& options, const Weights& weights, const NodeGraph& graph,
                       const RenderSizes& sizes, const RenderPlan& plan, std::size_t arena, Beside beside) {
  std::size_t weight_bytes = 0;
  for (const ConvWeights& layer : weights.layers) {
    weight_bytes +=
        static_cast<std::size_t>((9 * layer.in_channels + 1) * layer.out_channels) * sizeof(float);
  }
  if (!beside.weights) weight_bytes -= std::min(weight_bytes, arena);
  std::int64_t pixels = sizes.content.pixels(), largest_style = 0;
  for (const RenderSizes::Style& style : sizes.styles) pixels += style.size.pixels();
  for (const ScalePlan& scale : plan.scales) {
    for (const PixelSize& size : scale.style_sizes) largest_style = std::max(largest_style, size.pixels());
  }
  pixels += largest_style + 3 * plan.scales.back().size.pixels();
  const std::size_t statistics =
      sizes.styles.size() * style_target_bytes(options.objective, graph, picture_shape(sizes.content));
  return kProcessBytes + weight_bytes + 12 * static_cast<std::size_t>(pixels) + statistics +
         beside.target_cache;
}

/// With `prepare` for each program, if there is one.
PlannedRender plan_with(const PrepareProgram& prepare, const StyleOptions& options, const Weights& weights,
                        const NodeGraph& graph, const Backend& backend, const RenderSizes& sizes,
                        Beside beside) {
  const BackendTraits& traits = backend.traits();
  PlannedRender planned;
  RenderPlan& plan = planned.plan;
  plan.device = backend.info().name;
  plan.precision = to_string(traits.precision);
  plan.budget_bytes = options.memory_bytes;
  if (plan.budget_bytes == 0) {
    // A twentieth is for others and for the allocator's own needs.
    plan.budget_bytes = std::max<std::int64_t>(
        0, backend.info().free_memory_bytes / 20 * 19 - static_cast<std::int64_t>(beside.in_use));
  }
  const std::int64_t min_side = graph.min_side();
  const std::vector<PixelSize> scales = scale_sizes(options, sizes.content, min_side);
  plan.filter_bytes = filter_bytes(weights, graph, traits);
  plan.fixed_bytes = traits.fixed_bytes;
  plan.chosen_for_bytes = beside.choose_for > 0 ? beside.choose_for : plan.budget_bytes;
  const auto budget = static_cast<std::size_t>(plan.chosen_for_bytes),
             outside = plan.filter_bytes + plan.fixed_bytes;
  std::size_t arena = 0;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    ScaleTask task{
        scales[i], {}, iterations_at(options, static_cast<int>(i), static_cast<int>(scales.size()))};
    for (const RenderSizes::Style& style : sizes.styles) {
      task.style_sizes.push_back(style_picture_size(options, style, scales[i], scales.back(), min_side));
    }
    planned.scales.push_back(
        plan_scale(options, graph, traits, task, budget > outside ? budget - outside : 0, prepare));
    ScalePlan scale = plan_of(planned.scales.back(), options, graph);
    scale.style_sizes = std::move(task.style_sizes);
    scale.iterations = task.iterations;
    plan.scales.push_back(std::move(scale));
    arena = std::max(arena, planned.scales.back().arena_bytes());
  }
  plan.device_bytes = plan.filter_bytes + plan.fixed_bytes + arena;
  plan.host_bytes = host_bytes(options, weights, graph, sizes, plan, arena, beside);
  return planned;
}

}  // namespace

PlannedRender plan_render(const StyleOptions& options, const Weights& weights, const NodeGraph& graph,
                          Backend& backend, const RenderSizes& sizes, Beside beside) {
  return plan_with([&](const Program& program) { prepare_convolutions(backend, program); }, options, weights,
                   graph, backend, sizes, beside);
}

std::string misfit(const RenderPlan& plan, const StyleOptions& options, const Weights& weights,
                   const NodeGraph& graph, const Backend& backend, const RenderSizes& sizes) {
  if (plan.fits()) return {};
  const auto bytes_at = [&](std::int64_t size) {
    StyleOptions other = options;
    other.size = size;
    return static_cast<std::int64_t>(
        plan_with({}, other, weights, graph, backend, sizes, {}).plan.device_bytes);
  };
  std::int64_t low = 0, high = plan.scales.back().size.long_side();
  while (high - low > 1) {  // largest long side that fits
    const std::int64_t middle = (low + high) / 2;
    bool ok = false;
    try {
      ok = bytes_at(middle) <= plan.budget_bytes;
    } catch (const Error&) {
      ok = true;  // too small for the network: the search ends below it, and nothing fits
    }
    (ok ? low : high) = middle;
  }
  std::string hint;
  try {
    if (low > 0 && bytes_at(low) <= plan.budget_bytes) hint = fmt::format("; --size {} would fit", low);
  } catch (const Error&) {
    hint = "; no size would fit";
  }
  return fmt::format("memory: expected a render within {}, found that {} needs {}{}",
                     format_bytes(static_cast<double>(plan.budget_bytes)), to_string(plan.scales.back().size),
                     format_bytes(static_cast<double>(plan.device_bytes)), hint);
}

}  // namespace impasto
