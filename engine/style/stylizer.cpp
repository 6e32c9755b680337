#include "engine/style/stylizer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "engine/backend/devices.h"
#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/style/checkpoint_device.h"
#include "engine/style/convergence.h"
#include "engine/style/grain.h"
#include "engine/style/picture.h"
#include "engine/style/render_plan.h"

namespace impasto {
namespace {

/// An optimiser that backs off from points without a finite loss may meet this many of them in a row.
constexpr int kMaxNonFinite = 20;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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

Precision parse_precision(const std::string& text) {
  if (const auto precision = find_precision(text)) return *precision;
  throw make_error(ErrorCode::kUsage, "precision: expected {}, found '{}'", precision_names(), text);
}

/// What a render starts from. Those without "as given" are opaque, and grey where all of them are.
struct Sources {
  Image content, start;  // start: Init::kPicture's
  std::vector<Image> styles;
  std::span<const Image> styles_as_given;
};

bool has_transparency(const Image& image) {
  return std::any_of(image.alpha.begin(), image.alpha.end(), [](float a) { return a < 1; });
}

/// Error(kUsage) for a call of run that the options do not fit, kBadInput for a style picture that has
/// nothing to show.
void check_call(const StyleOptions& options, std::span<const Image> styles, const RunHooks& hooks) {
  const std::size_t blended = options.objective.style_blend.size();
  if (styles.empty()) throw Error(ErrorCode::kUsage, "style: expected at least one picture, found none");
  if (blended != 0 && blended != styles.size()) {
    throw make_error(ErrorCode::kUsage,
                     "style-blend: expected {} weights, one for each style picture, found {}", styles.size(),
                     blended);
  }
  if (options.init == Init::kPicture && hooks.start == nullptr) {
    throw Error(ErrorCode::kUsage, "init: expected a starting picture, found none");
  }
  for (std::size_t i = 0; i < styles.size(); ++i) {
    if (!styles[i].is_invisible()) continue;
    throw make_error(ErrorCode::kBadInput,
                     "style picture {}: expected a part that is not transparent, found none", i + 1);
  }
}

}  // namespace

struct Stylizer::Impl {
  StyleOptions options;
  std::shared_ptr<const Weights> weights;
  std::unique_ptr<Backend> backend;
  std::string device_note;
  NodeGraph graph;
  // Everything below lives on the backend and must go before it.
  std::unique_ptr<Executor> executor;
  Buffer arena;
  // The scale in work
  std::vector<ScaleLayout> layouts;
  std::unique_ptr<StyleObjective> objective;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<TensorView> last_pictures;  // two or three, written in turn before each step
  TensorView gradient;                    // the optimiser's
  std::optional<std::size_t> good;        // the one whose loss was finite last
  int scale = 0, iteration = 0;
  Convergence convergence{0};
  bool failed = false;
  bool grey = false;  // what is rendered from has no colour, so the result has none
  Grain grain;        // of the style pictures at the scale in work
  double seconds_before = 0, started = 0;
  std::map<std::string, std::string> inputs;

  [[nodiscard]] double seconds() const { return seconds_before + seconds_now() - started; }
  [[nodiscard]] int num_scales() const { return static_cast<int>(layouts.size()); }
  [[nodiscard]] PixelSize size() const { return layouts[static_cast<std::size_t>(scale)].size; }

  [[nodiscard]] Image download_picture(ConstTensorView x) const {
    std::vector<float> host(static_cast<std::size_t>(x.shape.elements()));
    backend->download(std::span(host), x);
    Image image = from_network_space(host, {x.shape.w, x.shape.h}, weights->preprocessing);
    if (grey) make_grey(image);  // x is, but for roundings
    return image;
  }

  /// The point after the last move, unless it is not finite: then the last one with a finite loss.
  [[nodiscard]] Image current_picture() const {
    if (!optimizer) throw Error(ErrorCode::kInternal, "picture: nothing has been rendered yet");
    if (!failed) {
      Image image = download_picture(optimizer->picture());
      if (!good || std::all_of(image.rgb.begin(), image.rgb.end(), [](float v) { return std::isfinite(v); }))
        return image;
    }
    return download_picture(last_pictures[good.value_or(0)]);
  }

  /// A picture of the scale in work as it is shown: with the styles' grain where that was asked for.
  [[nodiscard]] Image shown(Image image) const {
    if (options.grain == GrainSource::kStyle) {
      match_grain(image, grain);
      if (grey) make_grey(image);
    }
    return image;
  }

  /// Stylizer::plan, and the layouts of the scales where they are asked for.
  [[nodiscard]] RenderPlan fitting_plan(PixelSize content, std::span<const PixelSize> styles,
                                        std::vector<ScaleLayout>* of_scales) const;
  /// The network and the arena for the layouts on the device.
  void make_room();
  /// Sets `inputs`. Error(kBadInput) if the checkpoint to go on from is of another run.
  void identify(const Image& content, std::span<const Image> styles, const RunHooks& hooks);
  /// Sets `grey`.
  [[nodiscard]] Sources prepare(const Image& content, std::span<const Image> styles, const Image* start);
  /// x where the scale in work begins: at the first scale's start, or at the coarser scale's result.
  [[nodiscard]] std::vector<float> first_point(const Sources& sources,
                                               const std::optional<Image>& coarser) const;
  void enter_scale(const Sources& sources, const std::vector<float>& start, const RunHooks& hooks);
  /// Does the optimiser read the loss in each step?
  [[nodiscard]] bool searches() const { return reads_loss(options.optimizer); }
  void step(int num_bad);
  void check_finite(double loss, int at, int& num_bad) const;
  /// The scale in work as it was when the checkpoint was made.
  void restore(const Checkpoint& checkpoint);
  /// Steps until the scale in work ends; kStop if the hook ended it.
  Action iterate(const RunHooks& hooks);
};

Stylizer::Stylizer(StyleOptions options, std::shared_ptr<const Weights> weights)
    : impl_(std::make_unique<Impl>()) {
  validate(options);
  impl_->options = std::move(options);
  impl_->weights = std::move(weights);
  const StyleOptions& o = impl_->options;
  impl_->graph = build_graph(*impl_->weights, objective_taps(o.objective));
  if (impl_->graph.taps.empty()) {
    throw Error(ErrorCode::kUsage, "layers: expected at least one content or style layer, found none");
  }
  OpenedDevice device = open_device({o.device, parse_precision(o.precision), o.threads, o.autotune});
  impl_->backend = std::move(device.backend);
  impl_->device_note = std::move(device.note);
}

Stylizer::~Stylizer() = default;
Stylizer::Stylizer(Stylizer&&) noexcept = default;

RenderPlan Stylizer::plan(PixelSize content, std::span<const PixelSize> styles) const {
  return impl_->fitting_plan(content, styles, nullptr);
}

RenderPlan Stylizer::Impl::fitting_plan(PixelSize content, std::span<const PixelSize> styles,
                                        std::vector<ScaleLayout>* of_scales) const {
  RenderPlan plan = plan_render(options, *weights, graph, *backend, content, styles, of_scales,
                                [&](const Program& program) { prepare_convolutions(*backend, program); });
  plan.precision = to_string(backend->traits().precision);
  // What the device has free, less a twentieth for others and for the allocator's own needs.
  if (plan.budget_bytes == 0) plan.budget_bytes = backend->info().free_memory_bytes / 20 * 19;
  const auto fits = [&](const RenderPlan& p) {
    return static_cast<std::int64_t>(p.device_bytes) <= plan.budget_bytes;
  };
  if (fits(plan)) return plan;

  const auto plan_at = [&](const StyleOptions& other) {
    return plan_render(other, *weights, graph, *backend, content, styles, nullptr);
  };
  std::int64_t low = 0, high = plan.scales.back().size.long_side();
  while (high - low > 1) {  // largest long side that fits
    StyleOptions smaller = options;
    smaller.size = (low + high) / 2;
    bool ok = false;
    try {
      ok = fits(plan_at(smaller));
    } catch (const Error&) {
      ok = true;  // too small for the network: the search ends below it, and nothing fits
    }
    (ok ? low : high) = smaller.size;
  }
  StyleOptions largest = options;
  largest.size = low;
  std::string hint;
  try {
    if (low > 0 && fits(plan_at(largest))) hint = fmt::format("; --size {} would fit", low);
  } catch (const Error&) {
    hint = "; no size would fit";
  }
  throw make_error(ErrorCode::kResources, "memory: expected a render within {}, found that {} needs {}{}",
                   format_bytes(static_cast<double>(plan.budget_bytes)), to_string(plan.scales.back().size),
                   format_bytes(static_cast<double>(plan.device_bytes)), hint);
}

void Stylizer::Impl::identify(const Image& content, std::span<const Image> styles, const RunHooks& hooks) {
  inputs = {{"content", digest(content)}, {"weights", weights->digest}};
  for (std::size_t i = 0; i < styles.size(); ++i) inputs[fmt::format("style {}", i + 1)] = digest(styles[i]);
  if (hooks.start != nullptr) inputs["init"] = digest(*hooks.start);
  if (hooks.resume == nullptr) return;
  require_same_run(*hooks.resume, describe(options), inputs);
  const auto require_below = [](const char* name, std::int64_t found, std::int64_t limit) {
    if (found >= 0 && found < limit) return;
    throw make_error(ErrorCode::kBadInput, "checkpoint: expected {} below {}, found {}", name, limit, found);
  };
  const Checkpoint& resume = *hooks.resume;
  require_below("a scale", resume.scale, num_scales());
  const int iterations = iterations_at(options, static_cast<int>(resume.scale), num_scales());
  require_below("an iteration", resume.iteration, std::int64_t{iterations} + 1);
}

void Stylizer::Impl::make_room() {
  if (!executor) {
    executor = std::make_unique<Executor>(*backend, *weights, graph);
    weights = without_filters(*weights);  // prepared on the device now; the host's copy may go
  }
  std::size_t arena_bytes = 0;
  for (const ScaleLayout& layout : layouts) arena_bytes = std::max(arena_bytes, layout.arena_bytes());
  if (arena.bytes() < arena_bytes) {
    arena = Buffer();
    arena = backend->allocate(arena_bytes);
  }
}

Sources Stylizer::Impl::prepare(const Image& content, std::span<const Image> styles, const Image* start) {
  Sources sources{flatten(content), {}, {}, styles};
  for (const Image& style : styles) sources.styles.push_back(flatten(style));
  if (options.init == Init::kPicture) sources.start = flatten(*start);
  std::vector<Image*> all{&sources.content, &sources.start};
  for (Image& style : sources.styles) all.push_back(&style);
  grey = std::all_of(all.begin(), all.end(), [](const Image* image) { return is_grey(*image); });
  if (grey) {
    for (Image* const image : all) make_grey(*image);
  }
  return sources;
}

std::vector<float> Stylizer::Impl::first_point(const Sources& sources,
                                               const std::optional<Image>& coarser) const {
  const Preprocessing& preprocessing = weights->preprocessing;
  const Image& first = options.init == Init::kPicture ? sources.start : sources.content;
  if (coarser) {
    const bool changes = options.handover == Handover::kChange && options.init != Init::kNoise;
    return to_network_space(changes ? add_change(first, *coarser, size()) : resize(*coarser, size()),
                            preprocessing);
  }
  if (options.init == Init::kNoise) {
    return noise(size(), options.noise_deviation, options.seed, preprocessing,
                 grey ? Tint::kGrey : Tint::kColour);
  }
  return to_network_space(resize(first, size(), Overshoot::kClip), preprocessing);
}

void Stylizer::Impl::enter_scale(const Sources& sources, const std::vector<float>& start,
                                 const RunHooks& hooks) {
  const ScaleLayout& layout = layouts[static_cast<std::size_t>(scale)];
  const std::size_t alignment = backend->traits().alignment;
  auto* base = static_cast<std::byte*>(arena.data());
  std::byte* const network = base;
  base += layout.network_bytes;
  const Workspace workspace{base, layout.workspace_bytes};
  base += layout.workspace_bytes;
  const std::vector<TensorView> objective_views = layout_views(layout.objective, alignment, base);
  const std::vector<TensorView> optimizer_views = layout_views(layout.optimizer, alignment, base);
  last_pictures = layout_views(layout.pictures, alignment, base);
  good.reset();

  optimizer.reset();
  objective = std::make_unique<StyleObjective>(*backend, *executor, options.objective, objective_views,
                                               NetworkMemory{&layout.evaluation, network, workspace});
  const auto sized = [](const NetworkPlan& plan, const Image& image) {
    return resize(image, {plan.program.picture.w, plan.program.picture.h}, Overshoot::kClip);
  };
  const auto stage = [&](const NetworkPlan& plan, const Image& image) {
    const NetworkMemory memory{&plan, network, workspace};
    const std::vector<float> x = to_network_space(image, weights->preprocessing);
    backend->upload(memory.picture(), std::span(x));
    return memory;
  };
  if (grey) objective->keep_grey();
  objective->set_content(stage(layout.content_pass, sized(layout.content_pass, sources.content)));
  grain = {};
  std::vector<double> blend = options.objective.style_blend;
  if (blend.empty()) blend.assign(sources.styles.size(), 1);
  const double sum = std::accumulate(blend.begin(), blend.end(), 0.0);
  std::vector<StyleTargets> targets(sources.styles.size());
  std::vector<WeightedTargets> weighted;
  for (std::size_t i = 0; i < sources.styles.size(); ++i) {
    const Image& as_given = sources.styles_as_given[i];
    const auto [height, width, channels] = layout.style_passes[i].program.picture;
    std::vector<float> seen;
    if (has_transparency(as_given)) seen = coverage(as_given, {width, height});
    const Image style = sized(layout.style_passes[i], sources.styles[i]);
    targets[i] = objective->measure_style(stage(layout.style_passes[i], style), seen);
    weighted.push_back({&targets[i], blend[i] / sum});
    if (options.grain != GrainSource::kStyle) continue;
    const Grain own = measure_grain(style, seen);
    grain.luminance += blend[i] / sum * own.luminance;
    grain.colour += blend[i] / sum * own.colour;
  }
  objective->set_styles(weighted);
  objective->finish_targets(hooks.warn);
  gradient = optimizer_views[1];
  backend->upload(optimizer_views.front(), std::span(start));
  optimizer =
      make_optimizer(options.optimizer, *backend, optimizer_views, pixel_range(weights->preprocessing));
}

void Stylizer::Impl::step(int num_bad) {
  ++iteration;
  const std::size_t turn = static_cast<std::size_t>(iteration) % last_pictures.size();
  if (good != turn || num_bad == 0) backend->copy(last_pictures[turn], optimizer->tensors().front().second);
  optimizer->step(*objective);
  objective->queue_values();
}

void Stylizer::Impl::check_finite(double loss, int at, int& num_bad) const {
  num_bad = std::isfinite(loss) ? 0 : num_bad + 1;
  if (num_bad <= (searches() && at > 1 ? kMaxNonFinite : 0)) return;
  const char* const advice =
      at > 1 && !searches() ? "a smaller --learning-rate" : "smaller weights of the losses";
  throw make_error(ErrorCode::kBadInput,
                   "optimisation: expected a finite loss, found {} at iteration {} of scale {}; {} may help",
                   format_number(loss), at, scale + 1, advice);
}

void Stylizer::Impl::restore(const Checkpoint& checkpoint) {
  for (const auto& [name, view] : optimizer->tensors()) restore_tensor(*backend, checkpoint, name, view);
  optimizer->restore_host_state(checkpoint.host_state);
  convergence.restore(checkpoint.best_losses, checkpoint.iteration);
  iteration = static_cast<int>(checkpoint.iteration);
  if (const auto scaled = recorded_gradient_scale(checkpoint)) objective->set_gradient_scale(*scaled);
}

Action Stylizer::Impl::iterate(const RunHooks& hooks) {
  const int iterations = iterations_at(options, scale, num_scales());
  const auto runs_ahead = [&] {  // may the next iteration be queued before this one is reported?
    const long long total = iterations_before(options, scale) + iteration;
    const bool exact = hooks.exact_every > 0 && total % hooks.exact_every == 0;
    return backend->traits().asynchronous && !searches() && !exact && !convergence.watches();
  };
  bool stopped = false;
  const auto may_step = [&] { return iteration < iterations && !stopped && !convergence.reached(); };
  int num_bad = 0, reported = iteration;
  while (true) {
    if (reported == iteration) {
      if (!may_step()) break;
      step(num_bad);
    }
    if (reported + 1 == iteration && may_step() && runs_ahead()) step(num_bad);
    ++reported;
    const LossValues& values = objective->take_values();
    try {
      check_finite(values.total, reported, num_bad);
    } catch (const Error&) {
      failed = true;
      throw;
    }
    if (num_bad == 0) good = static_cast<std::size_t>(reported) % last_pictures.size();
    convergence.add(values.total);
    if (!hooks.progress) continue;
    const bool ends_scale = reported == iterations || convergence.reached();
    const Progress progress{scale,          num_scales(), reported,  iterations, size(),    values.total,
                            values.content, values.style, values.tv, seconds(),  ends_scale};
    if (hooks.progress(progress) == Action::kStop) stopped = true;
  }
  return stopped ? Action::kStop : Action::kContinue;
}

RenderResult Stylizer::run(const Image& content_in, std::span<const Image> styles_in, const RunHooks& hooks) {
  Impl& s = *impl_;
  check_call(s.options, styles_in, hooks);
  restore_tuning(*s.backend, hooks.resume);
  std::vector<PixelSize> style_sizes;
  for (const Image& style : styles_in) style_sizes.push_back(style.size());
  std::vector<ScaleLayout> layouts;
  (void)s.fitting_plan(content_in.size(), style_sizes, &layouts);

  RenderResult result;
  RunHooks quiet = hooks;
  quiet.warn = [&](const std::string& message) {
    result.warnings.push_back(message);
    if (hooks.warn) hooks.warn(message);
  };

  s.optimizer.reset();
  s.objective.reset();
  s.layouts = std::move(layouts);
  s.identify(content_in, styles_in, hooks);
  s.make_room();
  const Sources sources = s.prepare(content_in, styles_in, hooks.start);

  s.started = seconds_now();
  s.seconds_before = hooks.resume != nullptr ? hooks.resume->seconds : 0;
  s.failed = false;
  std::optional<Image> previous;  // result of the scale before
  const int first_scale = hooks.resume != nullptr ? static_cast<int>(hooks.resume->scale) : 0;
  for (s.scale = first_scale;; ++s.scale) {
    s.enter_scale(sources, s.first_point(sources, previous), quiet);
    s.iteration = 0;
    s.convergence = Convergence(s.options.tolerance);
    if (hooks.resume != nullptr && s.scale == first_scale) {
      s.restore(*hooks.resume);
    } else if (s.backend->traits().scaled_gradients) {
      s.objective->calibrate(s.optimizer->tensors().front().second, s.gradient);
    }
    result.stopped = s.iterate(hooks) == Action::kStop;
    if (const std::string advice = s.optimizer->advice(); !advice.empty()) quiet.warn(advice);
    previous = s.current_picture();
    if (s.scale + 1 == s.num_scales() || result.stopped) break;
  }

  result.image = s.shown(std::move(*previous));
  if (content_in.has_alpha()) {
    result.image.alpha = resize(content_in, result.image.size()).alpha;
  }
  result.counted_bytes = s.backend->peak_allocated_bytes();
  return result;
}

Image Stylizer::picture() const { return impl_->shown(impl_->current_picture()); }

Checkpoint Stylizer::checkpoint() const {
  const Impl& s = *impl_;
  if (!s.optimizer) throw Error(ErrorCode::kInternal, "checkpoint: nothing has been rendered yet");
  Checkpoint checkpoint;
  checkpoint.options = describe(s.options);
  checkpoint.inputs = s.inputs;
  checkpoint.scale = s.scale;
  checkpoint.iteration = s.iteration;
  checkpoint.seconds = s.seconds();
  checkpoint.host_state = s.optimizer->host_state();
  checkpoint.best_losses = s.convergence.best();
  if (const Tuning* const tuning = s.backend->tuning(); tuning != nullptr && !tuning->text().empty())
    checkpoint.device["tuning"] = tuning->text();
  if (s.backend->traits().scaled_gradients) {
    checkpoint.device["gradient_scale"] = format_number(s.objective->gradient_scale());
  }
  for (const auto& [name, view] : s.optimizer->tensors()) {
    checkpoint.tensors.push_back(save_tensor(*s.backend, name, view));
  }
  return checkpoint;
}

const StyleOptions& Stylizer::options() const { return impl_->options; }
std::string Stylizer::device_note() const { return impl_->device_note; }
std::string Stylizer::device_activity() const { return impl_->backend->activity(); }
std::string Stylizer::device_description() const {
  return impl_->backend->info().name + ": " + impl_->backend->info().description;
}

}  // namespace impasto
