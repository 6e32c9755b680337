#pragma once
// Where everything of one scale lies in the render's arena. Pure: from sizes and options, offsets and bytes.
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "engine/core/size.h"
#include "engine/network/memory_plan.h"
#include "engine/options/options.h"

namespace impasto {

/// [network: evaluation and target passes in turn, each its arena and workspace][objective tensors]
/// [optimizer tensors][the last pictures]
struct ScaleLayout {
  PixelSize size;
  NetworkPlan evaluation, content_pass;
  std::vector<NetworkPlan> style_passes;
  std::vector<TensorSpec> objective, optimizer, pictures;
  int history = 0;        ///< L-BFGS: pairs that there is room for
  bool strained = false;  ///< narrow strips that cost much time, or a very short history
  std::size_t network_bytes = 0, objective_bytes = 0, optimizer_bytes = 0;
  [[nodiscard]] std::size_t arena_bytes() const { return network_bytes + objective_bytes + optimizer_bytes; }
};

/// Called with each program before its memory is planned, as a device may choose by it how its layers are
/// done (prepare_convolutions); empty: as it has chosen so far.
using PrepareProgram = std::function<void(const Program&)>;

/// What a scale is planned for.
struct ScaleTask {
  PixelSize size;
  std::vector<PixelSize> style_sizes;
  int iterations = std::numeric_limits<int>::max();  ///< L-BFGS has no more pairs than there are
};

/// What of a scale's plan hangs on the memory that there was.
struct ScaleWays {
  PixelSize size;
  int history = 0;
  Segments evaluation, content;
  std::vector<Segments> styles;
};
[[nodiscard]] ScaleWays ways_of(const ScaleLayout& layout);

/// Pairs of a history of L-BFGS below which it is not shortened for wider strips.
inline constexpr int kEnoughHistory = 10;

/// Within `most` bytes, where that is possible: the network at once, else in strips; before these get narrow,
/// or where that is not enough, with a shorter history of L-BFGS. Where nothing fits, the smallest.
[[nodiscard]] ScaleLayout plan_scale(const StyleOptions& options, const NodeGraph& graph,
                                     const BackendTraits& traits, const ScaleTask& task,
                                     std::size_t most = std::numeric_limits<std::size_t>::max(),
                                     const PrepareProgram& prepare = {});

/// The same in these ways, whatever memory there is. Error(kBadInput) for ways that the task cannot go.
[[nodiscard]] ScaleLayout plan_scale_as(const ScaleWays& ways, const StyleOptions& options,
                                        const NodeGraph& graph, const BackendTraits& traits,
                                        const ScaleTask& task, const PrepareProgram& prepare);

/// The parts of an arena of layout.arena_bytes().
struct ScaleMemory {
  void* network = nullptr;
  std::size_t network_bytes = 0;
  std::vector<TensorView> objective, optimizer, pictures;
};
[[nodiscard]] ScaleMemory divide(const ScaleLayout& layout, std::size_t alignment, void* arena);

/// Tensors laid one after another: their bytes.
[[nodiscard]] std::size_t layout_bytes(std::span<const TensorSpec> specs, std::size_t alignment);
/// The same as views, from `base` on; moves base past them.
[[nodiscard]] std::vector<TensorView> layout_views(std::span<const TensorSpec> specs, std::size_t alignment,
                                                   std::byte*& base);

[[nodiscard]] inline Shape picture_shape(PixelSize size) { return {size.height, size.width, 3}; }

}  // namespace impasto
