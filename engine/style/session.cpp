#include "engine/style/session.h"

#include <algorithm>
#include <utility>

#include "engine/core/message.h"
#include "engine/network/weights_sound.h"
#include "engine/style/checkpoint_device.h"
#include "engine/style/machine.h"
#include "engine/style/objective.h"
#include "engine/style/present.h"
#include "engine/style/schedule.h"
#include "engine/style/session_impl.h"

namespace impasto {
namespace {

/// Names, sizes and preprocessing only.
std::shared_ptr<const Weights> without_filters(const Weights& weights) {
  auto result = std::make_shared<Weights>();
  result->network = weights.network;
  for (const ConvWeights& layer : weights.layers) {
    result->layers.push_back({layer.name, layer.in_channels, layer.out_channels, {}, {}});
  }
  result->preprocessing = weights.preprocessing;
  result->name = weights.name;
  result->digest = weights.digest;
  return result;
}

/// Up to the objective's taps. Error(kUsage) for an unknown layer, and where there is none.
NodeGraph graph_of(const Weights& weights, const ObjectiveOptions& objective) {
  NodeGraph graph = build_graph(weights, objective_taps(objective));
  if (!graph.taps.empty()) return graph;
  std::string losses;
  for (const Loss* const loss : all_losses()) {
    if (loss->layers != nullptr) losses += fmt::format("{}{}", losses.empty() ? "" : " or ", loss->name);
  }
  throw make_error(ErrorCode::kUsage, "layers: expected at least one {} layer, found none", losses);
}

}  // namespace

NodeGraph Session::Impl::graph(const ObjectiveOptions& objective) const {
  return graph_of(*weights, objective);
}

PlannedRender Session::Impl::plan(const StyleOptions& render, const NodeGraph& graph,
                                  const RenderSizes& sizes, std::size_t released,
                                  std::vector<ScaleWays> ways) {
  const std::size_t in_use = siblings->in_use;
  return plan_render(
      render, *weights, graph, *backend, sizes,
      {options.keep_weights, targets->capacity(), in_use - std::min(in_use, released), std::move(ways)});
}

Session::Impl::Choosing::Choosing(Impl& session, const Checkpoint* resume)
    : session_(session), tuning_(session.backend->tuning()) {
  const std::string recorded = recorded_tuning(*session.backend, resume);
  foreign_ = !recorded.empty();
  if (tuning_ == nullptr) return;
  if (session.num_renders == 0) {
    tuning_->forget();
    session.targets = session.siblings->targets;
  }
  tuning_->begin(recorded, "checkpoint");
}

Session::Impl::Choosing::~Choosing() {
  if (tuning_ != nullptr) tuning_->take_back();
}

std::string Session::Impl::Choosing::keep() {
  if (tuning_ == nullptr) return {};
  // What is measured by other choices, perhaps, is for nobody else.
  if (foreign_) session_.targets = std::make_shared<TargetCache>(session_.targets->capacity());
  return std::exchange(tuning_, nullptr)->end();
}

const ConvFilters& Session::Impl::filters_for(const NodeGraph& graph) {
  {
    const std::lock_guard lock(siblings->preparing);
    prepare_conv_filters(*backend, *weights, graph, siblings->filters);
    filters = siblings->filters;
  }
  if (!options.keep_weights) weights = without_filters(*weights);
  return filters;
}

std::shared_ptr<const StyleTargets> Session::Impl::targets_for(const std::string& key,
                                                               const std::function<StyleTargets()>& make) {
  return targets->find_or_make(key, [&] {
    ++siblings->measured_styles;
    return make();
  });
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Session::Session(const StyleOptions& machine, std::shared_ptr<const Weights> weights, SessionOptions options)
    : impl_(std::make_unique<Impl>()) {
  if (!weights) throw Error(ErrorCode::kUsage, "session: expected weights, found none");
  require_sound(*weights);
  impl_->machine = backend_options(machine);
  OpenedDevice device = open_device(impl_->machine);
  impl_->options = options;
  impl_->weights = std::move(weights);
  impl_->backend = std::move(device.backend);
  impl_->device_note = std::move(device.note);
  impl_->machine.device = impl_->backend->info().name;  // for siblings, where it was auto
  impl_->siblings = std::make_shared<Siblings>(options.target_cache_bytes);
  impl_->targets = impl_->siblings->targets;
}

Session Session::sibling() const {
  const Impl& s = present(impl_, "session");
  auto other = std::make_unique<Impl>();
  OpenedDevice device = open_device(s.machine);
  other->options = s.options;
  other->machine = s.machine;
  other->weights = s.weights;
  other->backend = std::move(device.backend);
  other->device_note = std::move(device.note);
  other->siblings = s.siblings;
  other->targets = s.siblings->targets;
  return Session(std::move(other));
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;

void Session::check(const StyleOptions& options) const {
  validate(options);
  (void)present(impl_, "session").graph(options.objective);
}

RenderPlan Session::plan(const StyleOptions& options, const RenderSizes& sizes, std::size_t released) {
  Impl& s = present(impl_, "session");
  validate(options);
  const NodeGraph graph = s.graph(options.objective);
  require_sound(sizes, options);
  const Impl::Choosing choosing(s, nullptr);
  return s.plan(options, graph, sizes, released).plan;
}

std::vector<std::vector<PixelSize>> picture_sizes(const StyleOptions& options, const Weights& weights,
                                                  const RenderSizes& sizes) {
  validate(options);
  require_sound(sizes, options);
  std::vector<std::vector<PixelSize>> result;
  if (options.size == StyleOptions::kLargest) {  // which is not known before there is a device
    result.push_back({sizes.content});
    for (const RenderSizes::Style& style : sizes.styles) result.push_back({style.size});
    return result;
  }
  const std::int64_t min_side = graph_of(weights, options.objective).min_side();
  result.push_back(scale_sizes(options, sizes.content, min_side));
  const std::vector<PixelSize> scales = result.front();
  for (const RenderSizes::Style& style : sizes.styles) {
    std::vector<PixelSize>& here = result.emplace_back();
    for (const PixelSize scale : scales) {
      here.push_back(style_picture_size(options, style, scale, scales.back(), min_side));
    }
  }
  return result;
}

std::string Session::misfit(const RenderPlan& plan, const StyleOptions& options,
                            const RenderSizes& sizes) const {
  const Impl& s = present(impl_, "session");
  validate(options);
  require_sound(sizes, options);
  if (plan.scales.empty()) throw Error(ErrorCode::kUsage, "plan: expected one of plan(), found an empty one");
  return impasto::misfit(plan, options, *s.weights, s.graph(options.objective), *s.backend, sizes);
}

Backend& Session::backend() { return *present(impl_, "session").backend; }
std::size_t Session::peak_device_bytes() const {
  return present(impl_, "session").backend->peak_allocated_bytes();
}
std::size_t Session::measured_styles() const { return present(impl_, "session").siblings->measured_styles; }
std::string Session::device_note() const { return present(impl_, "session").device_note; }
std::string Session::device_activity() const { return present(impl_, "session").backend->activity(); }
std::string Session::device_description() const {
  const DeviceInfo& info = present(impl_, "session").backend->info();
  return info.name + ": " + info.description;
}

}  // namespace impasto
