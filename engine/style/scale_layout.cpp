#include "engine/style/scale_layout.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/core/error.h"
#include "engine/network/plan_search.h"
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
  memory.network_bytes = layout.network_bytes;
  base += layout.network_bytes;
  memory.objective = layout_views(layout.objective, alignment, base);
  memory.optimizer = layout_views(layout.optimizer, alignment, base);
  memory.pictures = layout_views(layout.pictures, alignment, base);
  return memory;
}

namespace {

/// A shorter history is better than strips that make an evaluation take more than this many times its work
/// at once, as long as it has so many pairs.
constexpr double kMostWork = 1.8;

/// A scale's layout as it grows.
class ScalePlanner {
 public:
  ScalePlanner(const StyleOptions& options, const NodeGraph& graph, const BackendTraits& traits,
               const ScaleTask& task)
      : options_(options), graph_(graph), traits_(traits), task_(task) {
    const ProgramTask evaluation = evaluation_task(options.objective, graph, picture_shape(task.size));
    work_at_once_ = convolution_flops(whole_program(graph, evaluation, traits));
  }

  /// The optimiser's tensors, with at most so many pairs, then the network in what is left.
  [[nodiscard]] ScaleLayout plan(int history, std::size_t most) {
    ScaleLayout layout = with_network(history, kUnlimited);
    layout.objective_bytes = layout_bytes(layout.objective, traits_.alignment);
    if (layout.arena_bytes() <= most) return layout;
    const std::size_t in_parts = objective_bytes(smallest_evaluation());
    const std::size_t others = layout.optimizer_bytes + in_parts;
    layout =
        with_network(history, most > others ? (most - others) / traits_.alignment * traits_.alignment : 0);
    // What any strips have room for: so the bytes of the smallest are enough for them.
    layout.objective_bytes = in_parts;
    return layout;
  }

  /// In these ways.
  [[nodiscard]] ScaleLayout as(const ScaleWays& ways) {
    ScaleLayout layout = with_network(ways.history, kUnlimited, &ways);
    layout.objective_bytes = layout_bytes(layout.objective, traits_.alignment);
    return layout;
  }

  /// Fits, and its strips are not so narrow that they cost much.
  [[nodiscard]] bool is_good(const ScaleLayout& layout, std::size_t most) const {
    return layout.arena_bytes() <= most &&
           convolution_flops(layout.evaluation.program) <= kMostWork * work_at_once_;
  }

 private:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  /// All but the objective's bytes. `ways`: null, they are chosen.
  [[nodiscard]] ScaleLayout with_network(int history, std::size_t room, const ScaleWays* ways = nullptr) {
    layout_ = {};
    layout_.size = task_.size;
    room_ = room;
    add_optimizer(history);
    const Shape picture = picture_shape(task_.size);
    layout_.evaluation = add(evaluation_task(options_.objective, graph_, picture),
                             ways == nullptr ? nullptr : &ways->evaluation);
    layout_.content_pass =
        add(content_task(options_.objective, graph_, picture), ways == nullptr ? nullptr : &ways->content);
    for (std::size_t i = 0; i < task_.style_sizes.size(); ++i) {
      layout_.style_passes.push_back(
          add(style_task(options_.objective, graph_, picture_shape(task_.style_sizes[i])),
              ways == nullptr ? nullptr : &ways->styles.at(i)));
    }
    layout_.objective = objective_tensors(options_.objective, graph_, layout_.evaluation.program, traits_);
    return std::move(layout_);
  }

  void add_optimizer(int history) {
    const Shape picture = picture_shape(task_.size);
    OptimizerOptions optimizer = options_.optimizer;
    optimizer.history = layout_.history = history;
    layout_.optimizer = optimizer_tensors(optimizer, picture, traits_.real);
    // One more where the host learns of a loss when the next iteration is queued already.
    layout_.pictures.assign(traits_.asynchronous ? 3 : 2, {"a last picture", picture, traits_.real});
    layout_.optimizer_bytes = layout_bytes(layout_.optimizer, traits_.alignment) +
                              layout_bytes(layout_.pictures, traits_.alignment);
  }

  [[nodiscard]] NetworkPlan add(const ProgramTask& task, const Segments* given) {
    if (given != nullptr && !divides(*given, graph_, task)) {
      throw Error(ErrorCode::kBadInput, "checkpoint: expected a plan of this network, found another");
    }
    const Segments segments = given != nullptr ? *given : choose_segments(graph_, task, traits_, room_);
    NetworkPlan planned = plan_memory(make_program(graph_, task, traits_, segments), traits_);
    layout_.network_bytes = std::max(layout_.network_bytes, align_up(planned.bytes(), traits_.alignment));
    return planned;
  }

  /// The one whose losses need most: each in as many parts as can be.
  [[nodiscard]] Program smallest_evaluation() const {
    const ProgramTask task = evaluation_task(options_.objective, graph_, picture_shape(task_.size));
    return make_program(graph_, task, traits_, finest_segments(graph_, task), Strips::kFew);
  }
  [[nodiscard]] std::size_t objective_bytes(const Program& evaluation) const {
    return layout_bytes(objective_tensors(options_.objective, graph_, evaluation, traits_),
                        traits_.alignment);
  }

  const StyleOptions& options_;
  const NodeGraph& graph_;
  const BackendTraits& traits_;
  const ScaleTask& task_;
  double work_at_once_ = 0;  // of an evaluation
  ScaleLayout layout_;
  std::size_t room_ = 0;  // for the network
};

ScaleLayout choose_layout(const StyleOptions& options, const NodeGraph& graph, const BackendTraits& traits,
                          const ScaleTask& task, std::size_t most) {
  ScalePlanner planner(options, graph, traits, task);
  const int wanted = std::min(options.optimizer.history, task.iterations);
  ScaleLayout layout = planner.plan(wanted, most);
  const bool has_history = options.optimizer.kind == OptimizerKind::kLbfgs;
  if (planner.is_good(layout, most)) return layout;
  // The largest in a range that is good enough, if one is.
  const auto largest = [&](int low, int high, const auto& good) {
    std::optional<ScaleLayout> best;
    while (low <= high) {
      const int middle = (low + high + 1) / 2;
      ScaleLayout tried = planner.plan(middle, most);
      if (good(tried)) {
        best = std::move(tried);
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return best;
  };
  const auto good = [&](const ScaleLayout& tried) { return planner.is_good(tried, most); };
  const auto fits = [&](const ScaleLayout& tried) { return tried.arena_bytes() <= most; };
  const int enough = std::min(wanted, kEnoughHistory);
  if (has_history) {
    ScaleLayout least = planner.plan(1, most);
    least.strained = true;
    if (!fits(least)) return least;
    if (auto best = largest(enough, wanted - 1, good)) return *std::move(best);
    if (auto best = largest(1, enough, fits)) layout = *std::move(best);
  }
  layout.strained = true;
  return layout;
}

/// The device's choices may need more workspace than those that it makes by rule.
void prepare_layout(ScaleLayout& layout, const BackendTraits& traits, const PrepareProgram& prepare) {
  std::vector<NetworkPlan*> plans{&layout.evaluation, &layout.content_pass};
  for (NetworkPlan& pass : layout.style_passes) plans.push_back(&pass);
  layout.network_bytes = 0;
  for (NetworkPlan* const plan : plans) {
    prepare(plan->program);
    *plan = plan_memory(std::move(plan->program), traits);
    layout.network_bytes = std::max(layout.network_bytes, align_up(plan->bytes(), traits.alignment));
  }
}

}  // namespace

ScaleLayout plan_scale(const StyleOptions& options, const NodeGraph& graph, const BackendTraits& traits,
                       const ScaleTask& task, std::size_t most, const PrepareProgram& prepare) {
  ScaleLayout layout = choose_layout(options, graph, traits, task, most);
  if (!prepare) return layout;
  constexpr int kMostRounds = 3;
  for (int round = 0; round < kMostRounds; ++round) {
    const bool fits = layout.arena_bytes() <= most;
    prepare_layout(layout, traits, prepare);
    if (!fits || layout.arena_bytes() <= most) break;
    // What was prepared is known now; other strips may come.
    layout = choose_layout(options, graph, traits, task, most);
  }
  return layout;
}

ScaleLayout plan_scale_as(const ScaleWays& ways, const StyleOptions& options, const NodeGraph& graph,
                          const BackendTraits& traits, const ScaleTask& task, const PrepareProgram& prepare) {
  const int most = std::min(options.optimizer.history, task.iterations);
  if (ways.styles.size() != task.style_sizes.size() || ways.size != task.size || ways.history < 1 ||
      ways.history > most) {
    throw Error(ErrorCode::kBadInput,
                "checkpoint: expected a plan of these pictures and options, found another");
  }
  ScaleLayout layout = ScalePlanner(options, graph, traits, task).as(ways);
  prepare_layout(layout, traits, prepare);
  return layout;
}

ScaleWays ways_of(const ScaleLayout& layout) {
  ScaleWays ways{layout.size,
                 layout.history,
                 layout.evaluation.program.segments,
                 layout.content_pass.program.segments,
                 {}};
  for (const NetworkPlan& pass : layout.style_passes) ways.styles.push_back(pass.program.segments);
  return ways;
}

}  // namespace impasto
