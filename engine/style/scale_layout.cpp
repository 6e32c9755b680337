#include "engine/style/scale_layout.h"

#include <algorithm>
#include <utility>

#include "engine/style/objective.h"
#include "engine/style/optimizer.h"

namespace impasto {

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

ScaleMemory divide(const ScaleLayout& layout, std::size_t alignment, void* arena) {
  ScaleMemory memory;
  auto* base = static_cast<std::byte*>(arena);
  memory.network = base;
  base += layout.network_bytes;
  memory.workspace = {base, layout.workspace_bytes};
  base += layout.workspace_bytes;
  memory.objective = layout_views(layout.objective, alignment, base);
  memory.optimizer = layout_views(layout.optimizer, alignment, base);
  memory.pictures = layout_views(layout.pictures, alignment, base);
  return memory;
}

ScaleLayout plan_scale(const StyleOptions& options, const NodeGraph& graph, const BackendTraits& traits,
                       PixelSize size, std::span<const PixelSize> style_sizes,
                       const PrepareProgram& prepare) {
  ScaleLayout layout;
  layout.size = size;
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

}  // namespace impasto
