#include "engine/style/render_plan.h"

#include <algorithm>
#include <utility>

namespace impasto {
namespace {

/// What the process holds beside pictures, weights and the
/// device's memory: program, libraries, thread stacks. Measured.
constexpr std::size_t kProcessBytes = std::size_t{32} << 20;

Shape picture_shape(PixelSize size) { return {size.height, size.width, 3}; }

}  // namespace

std::size_t layout_bytes(std::span<const TensorSpec> specs, std::size_t alignment) {
  std::size_t bytes = 0;
  for (const TensorSpec& spec : specs) {
    bytes += align_up(static_cast<std::size_t>(spec.shape.elements()) * size_of(spec.dtype), alignment);
  }
  return bytes;
}

std::vector<TensorView> layout_views(std::span<const TensorSpec> specs, std::size_t alignment,
                                     std::byte*& base) {
  std::vector<TensorView> views;
  for (const TensorSpec& spec : specs) {
    views.push_back({base, spec.shape, spec.dtype});
    base += align_up(views.back().bytes(), alignment);
  }
  return views;
}

ScaleLayout plan_scale(const StyleOptions& options, const NodeGraph& graph, const BackendTraits& traits,
                       PixelSize size, std::span<const PixelSize> style_sizes,
                       const PrepareProgram& prepare) {
  ScaleLayout layout;
  layout.size = size;
  layout.style_sizes.assign(style_sizes.begin(), style_sizes.end());
  const Shape picture = picture_shape(size);
  const auto plan = [&](const auto& make_program, Shape shape) {
    Program program = make_program(options.objective, graph, shape, traits);
    if (prepare) prepare(program);
    NetworkPlan planned = plan_memory(std::move(program), traits);
    layout.network_bytes = std::max(layout.network_bytes, planned.arena_bytes);
    layout.workspace_bytes = std::max(layout.workspace_bytes, planned.workspace_bytes);
    return planned;
  };
  layout.evaluation = plan(evaluation_program, picture);
  layout.content_pass = plan(content_program, picture);
  for (const PixelSize& style : style_sizes) {
    layout.style_passes.push_back(plan(style_program, picture_shape(style)));
  }
  layout.workspace_bytes = align_up(layout.workspace_bytes, traits.alignment);
  layout.objective = objective_tensors(options.objective, graph, picture, traits);
  layout.objective_bytes = layout_bytes(layout.objective, traits.alignment);
  layout.optimizer = optimizer_tensors(options.optimizer, picture, traits.real);
  // One more where the host learns of a loss when the next iteration is queued already.
  layout.pictures.assign(traits.asynchronous ? 3 : 2, {"a last picture", picture, traits.real});
  layout.optimizer_bytes =
      layout_bytes(layout.optimizer, traits.alignment) + layout_bytes(layout.pictures, traits.alignment);
  return layout;
}

RenderPlan plan_render(const StyleOptions& options, const Weights& weights, const NodeGraph& graph,
                       const Backend& backend, PixelSize content, std::span<const PixelSize> styles,
                       std::vector<ScaleLayout>* layouts, const PrepareProgram& prepare) {
  const BackendTraits& traits = backend.traits();
  RenderPlan plan;
  plan.device = backend.info().name;
  plan.budget_bytes = options.memory_bytes;
  const std::int64_t min_side = graph.min_side();
  const std::vector<PixelSize> sizes = scale_sizes(options, content, min_side);
  std::size_t arena = 0;
  std::size_t largest_style = 0;
  for (const PixelSize& size : sizes) {
    std::vector<PixelSize> style_sizes;
    for (const PixelSize& style : styles) {
      style_sizes.push_back(style_picture_size(options, style, size, sizes.back(), min_side));
      largest_style = std::max(largest_style, static_cast<std::size_t>(style_sizes.back().pixels()));
    }
    const ScaleLayout layout = plan_scale(options, graph, traits, size, style_sizes, prepare);
    ScalePlan scale;
    scale.size = size;
    scale.style_sizes = style_sizes;
    scale.activation_bytes = layout.network_bytes;
    scale.workspace_bytes = layout.workspace_bytes;
    scale.target_bytes = layout.objective_bytes;
    scale.optimizer_bytes = layout.optimizer_bytes;
    scale.flops = convolution_flops(layout.evaluation.program);
    for (const LayerWeight& layer : options.objective.style_layers) {
      const Shape s = graph.tap_shape(picture_shape(size), graph.tap(layer.layer));
      scale.flops += 4.0 * static_cast<double>(s.elements()) * static_cast<double>(s.c);
    }
    scale.iterations =
        iterations_at(options, static_cast<int>(plan.scales.size()), static_cast<int>(sizes.size()));
    plan.scales.push_back(scale);
    arena = std::max(arena, layout.arena_bytes());
    if (layouts != nullptr) layouts->push_back(layout);
  }
  std::size_t weight_bytes = 0;
  for (const Node& node : graph.nodes) {
    if (node.conv < 0) continue;
    const std::int64_t in = node.conv == 0 ? traits.input_channels
                                           : weights.layers[static_cast<std::size_t>(node.conv)].in_channels;
    plan.filter_bytes += traits.conv_filter_bytes(in, node.channels);
  }
  for (const ConvWeights& layer : weights.layers) {
    weight_bytes +=
        static_cast<std::size_t>((9 * layer.in_channels + 1) * layer.out_channels) * sizeof(float);
  }
  plan.fixed_bytes = traits.fixed_bytes;
  plan.device_bytes = plan.filter_bytes + plan.fixed_bytes + arena;

  std::size_t decoded = static_cast<std::size_t>(content.pixels());
  for (const PixelSize& style : styles) decoded += static_cast<std::size_t>(style.pixels());
  const auto result = static_cast<std::size_t>(sizes.back().pixels());
  // The weights as read go before the arena is used; three
  // pictures of the result's size are in work at one time.
  plan.host_bytes = kProcessBytes + (weight_bytes > arena ? weight_bytes - arena : 0) +
                    12 * (decoded + largest_style + 3 * result);
  return plan;
}

}  // namespace impasto
