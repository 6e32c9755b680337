#include "engine/style/planning.h"

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>
#include <utility>

#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/network/conv_filters.h"
#include "engine/network/plan_search.h"
#include "engine/style/objective.h"
#include "engine/style/schedule.h"
#include "engine/style/source_file.h"

namespace impasto {
namespace {

/// What the process holds beside pictures, weights and the device's memory: program, libraries, thread
/// stacks. Measured.
constexpr std::size_t kProcessBytes = std::size_t{28} << 20;

/// Adds the convolutions of a pass, and what else of it moves memory.
void count_work(const Program& program, Work& work) {
  using Kind = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool>;
  std::map<Kind, std::pair<ConvolutionWork, std::map<std::int64_t, int>>>
      kinds;  // and how often so many rows
  for (const Step& step : program.steps) {
    if (!Program::is_convolution(step)) {
      for (const Step::Operand& operand : step.operands()) {
        if (!operand) continue;
        const DType type = program.tensors[static_cast<std::size_t>(operand.tensor)].dtype;
        work.moved_bytes +=
            static_cast<double>(program.shape(operand).elements()) * static_cast<double>(size_of(type));
      }
      continue;
    }
    const ConvTask task = program.conv_task(step);
    const Shape &x = task.input, y = program.layer_output(step);
    auto& [most, rows] = kinds[{x.w, x.c, y.c, is_forward(task.op)}];
    const double outputs = most.outputs + static_cast<double>(y.elements());
    if (++rows[x.h] >= rows[most.task.input.h]) most.task = task;
    most.outputs = outputs;
  }
  for (const auto& [kind, found] : kinds) work.convolutions.push_back(found.first);
}

/// Of all losses, forward and backward.
double gram_flops(const StyleOptions& options, const NodeGraph& graph, const Shape& picture) {
  double flops = 0;
  for (const auto& term : make_terms(options.objective, graph, picture)) flops += term->flops();
  return flops;
}

ScalePlan plan_of(const ScaleLayout& layout, const StyleOptions& options, const NodeGraph& graph) {
  ScalePlan scale;
  scale.size = layout.size;
  scale.way = describe(graph, picture_shape(layout.size), layout.evaluation.program.segments);
  if (options.optimizer.kind == OptimizerKind::kLbfgs) scale.history = layout.history;
  scale.strained = layout.strained;
  scale.workspace_bytes = layout.evaluation.workspace_bytes;
  scale.activation_bytes = layout.network_bytes - scale.workspace_bytes;
  scale.target_bytes = layout.objective_bytes;
  scale.optimizer_bytes = layout.optimizer_bytes;
  scale.flops = convolution_flops(layout.evaluation.program);
  scale.iteration.gram_flops = gram_flops(options, graph, picture_shape(layout.size));
  scale.flops += scale.iteration.gram_flops;
  count_work(layout.evaluation.program, scale.iteration);
  scale.iteration.moved_bytes += 2 * static_cast<double>(layout.optimizer_bytes);  // about each vector twice
  count_work(layout.content_pass.program, scale.targets);
  for (const NetworkPlan& pass : layout.style_passes) {
    count_work(pass.program, scale.targets);
    scale.targets.gram_flops += gram_flops(options, graph, pass.program.picture) / 2;  // forward alone
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

/// The pictures as they are kept, two pictures of the result's size in work at one time or it and the largest
/// style picture as it is measured, the weights where they stay (else they go before the arena is used) and
/// style statistics.
std::size_t host_bytes(const StyleOptions& options, const Weights& weights, const NodeGraph& graph,
                       const RenderSizes& sizes, const RenderPlan& plan, std::size_t arena, Beside beside) {
  std::size_t weight_bytes = 0;
  for (const ConvWeights& layer : weights.layers) {
    weight_bytes +=
        static_cast<std::size_t>((9 * layer.in_channels + 1) * layer.out_channels) * sizeof(float);
  }
  if (!beside.weights) weight_bytes -= std::min(weight_bytes, arena);
  std::vector<PixelSize> scales;
  for (const ScalePlan& scale : plan.scales) scales.push_back(scale.size);
  const std::int64_t result = scales.back().pixels();
  std::int64_t pixels = kept_pixels(sizes.content, scales), beside_result = result;
  for (std::size_t i = 0; i < sizes.styles.size(); ++i) {
    std::vector<PixelSize> read;
    for (const ScalePlan& scale : plan.scales) {
      read.push_back(scale.style_sizes[i]);
      beside_result = std::max(beside_result, read.back().pixels());
    }
    pixels += kept_pixels(sizes.styles[i].size, read);
  }
  pixels += result + beside_result;
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
  plan.budget_bytes = plan.chosen_for_bytes = options.memory_bytes;
  if (options.memory_bytes == 0) {
    // A twentieth is for others and for the allocator's own needs. What other renders have makes nothing
    // narrower: the result would hang on them.
    plan.chosen_for_bytes = std::max<std::int64_t>(0, backend.info().free_memory_bytes / 20 * 19);
    plan.budget_bytes =
        std::max<std::int64_t>(0, plan.chosen_for_bytes - static_cast<std::int64_t>(beside.in_use));
  }
  const std::int64_t min_side = graph.min_side();
  const std::vector<PixelSize> scales = scale_sizes(options, sizes.content, min_side);
  if (!beside.ways.empty() && beside.ways.size() != scales.size()) {
    throw make_error(ErrorCode::kBadInput, "checkpoint: expected a plan of {} scales, found one of {}",
                     scales.size(), beside.ways.size());
  }
  plan.filter_bytes = filter_bytes(weights, graph, traits);
  plan.fixed_bytes = traits.fixed_bytes;
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
        beside.ways.empty()
            ? plan_scale(options, graph, traits, task, budget > outside ? budget - outside : 0, prepare)
            : plan_scale_as(beside.ways[i], options, graph, traits, task, prepare));
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

/// The largest long side below `above` for which `good` holds; 0: there is none. A size that is too small for
/// the network ends the search below it.
std::int64_t largest_side(std::int64_t above, const std::function<bool(std::int64_t)>& good) {
  std::int64_t low = 0, last = std::min<std::int64_t>(above, 256);
  while (above - low > 1) {
    // Up in doubles, as what is far too large takes long to plan; then between.
    const std::int64_t middle = last < above ? last : low + (above - low) / 2;
    bool ok = true;
    try {
      ok = good(middle);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUsage) throw;
    }
    (ok ? low : above) = middle;
    last = std::min(above, 2 * last);
  }
  try {
    return low > 0 && good(low) ? low : 0;
  } catch (const Error&) {
    return 0;
  }
}

/// With at most so many pairs of a history, so that the search has less to try.
StyleOptions at_size(StyleOptions options, std::int64_t size, int history) {
  options.size = size;
  options.optimizer.history = std::min(options.optimizer.history, history);
  return options;
}

}  // namespace

PlannedRender plan_render(const StyleOptions& options, const Weights& weights, const NodeGraph& graph,
                          Backend& backend, const RenderSizes& sizes, Beside beside) {
  StyleOptions sized = options;
  if (options.size == StyleOptions::kLargest && !beside.ways.empty()) {
    sized.size = beside.ways.back().size.long_side();
  } else if (options.size == StyleOptions::kLargest) {
    const std::int64_t most = options.most_side > 0 ? std::min(options.most_side, kMostSide) : kMostSide;
    sized.size = largest_side(most + 1, [&](std::int64_t side) {
      const RenderPlan plan =
          plan_with({}, at_size(options, side, kEnoughHistory), weights, graph, backend, sizes, beside).plan;
      const bool strained =
          std::any_of(plan.scales.begin(), plan.scales.end(), [](const ScalePlan& s) { return s.strained; });
      return static_cast<std::int64_t>(plan.device_bytes) <= plan.chosen_for_bytes && !strained;
    });
    if (sized.size == 0)
      throw Error(ErrorCode::kResources, "size: expected one that fits the memory, found none");
  }
  return plan_with([&](const Program& program) { prepare_convolutions(backend, program); }, sized, weights,
                   graph, backend, sizes, beside);
}

std::string misfit(const RenderPlan& plan, const StyleOptions& options, const Weights& weights,
                   const NodeGraph& graph, const Backend& backend, const RenderSizes& sizes) {
  if (plan.fits()) return {};
  StyleOptions within = options;
  within.memory_bytes = std::max<std::int64_t>(1, plan.budget_bytes);
  const std::int64_t low = largest_side(plan.scales.back().size.long_side(), [&](std::int64_t side) {
    return plan_with({}, at_size(within, side, 1), weights, graph, backend, sizes, {}).plan.fits();
  });
  const std::string hint = low > 0 ? fmt::format("; --size {} would fit", low) : "; no size would fit";
  const char* const smallest = plan.chosen_for_bytes > plan.budget_bytes ? "" : "at least ";
  return fmt::format("memory: expected a render within {}, found that {} needs {}{}{}",
                     format_bytes(static_cast<double>(plan.budget_bytes)), to_string(plan.scales.back().size),
                     smallest, format_bytes(static_cast<double>(plan.device_bytes)), hint);
}

}  // namespace impasto
