#pragma once
// Plans of whole renders: what each scale takes, whether it fits, and what would.
#include <string>
#include <vector>

#include "engine/network/weights.h"
#include "engine/style/render_plan.h"
#include "engine/style/scale_layout.h"

namespace impasto {

/// A plan, and where everything of each of its scales lies.
struct PlannedRender {
  RenderPlan plan;
  std::vector<ScaleLayout> scales;
};

/// What a session has beside a render.
struct Beside {
  bool weights = false;          ///< on the host, as read; else they go before the arena is used
  std::size_t target_cache = 0;  ///< bytes on the host for style statistics, kept for later renders
  std::size_t in_use = 0;        ///< bytes of the arenas that other renders have or will have
  /// How each scale is planned, whatever memory there is; empty: as fits.
  std::vector<ScaleWays> ways{};
};

/// Prepares the convolutions of every scale on the device (with autotune it times them), then plans. Bytes of
/// prepared filters count convolutions up to the deepest tap; without a budget in the options it is what the
/// device had free when it was opened, less a twentieth and less what is in use beside this render.
/// Error(kUsage) for a size that is too small for the network.
[[nodiscard]] PlannedRender plan_render(const StyleOptions& options, const Weights& weights,
                                        const NodeGraph& graph, Backend& backend, const RenderSizes& sizes,
                                        Beside beside);

/// One line on a plan that does not fit its budget, with the largest size of result that would; empty for one
/// that fits. Arguments as they made the plan.
[[nodiscard]] std::string misfit(const RenderPlan& plan, const StyleOptions& options, const Weights& weights,
                                 const NodeGraph& graph, const Backend& backend, const RenderSizes& sizes);

}  // namespace impasto
