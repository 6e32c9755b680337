#include "engine/style/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>

#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/core/trace.h"
#include "engine/image/sound.h"
#include "engine/network/plan_search.h"
#include "engine/style/checkpoint_device.h"
#include "engine/style/picture.h"
#include "engine/style/plan_record.h"
#include "engine/style/present.h"
#include "engine/style/scale_in_work.h"
#include "engine/style/schedule.h"
#include "engine/style/session_impl.h"
#include "engine/style/sources.h"

namespace impasto {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool has_transparency(const Image& image) {
  return std::any_of(image.alpha.begin(), image.alpha.end(), [](float a) { return a < 1; });
}

void require_sound(PictureRef picture, const std::string& what) {
  if (picture.whole() != nullptr) impasto::require_sound(*picture.whole(), what);
}

std::string digest(PictureRef picture) {
  return picture.whole() != nullptr ? impasto::digest(*picture.whole()) : picture.reduced()->digest();
}

/// Error(kUsage) for inputs that the options do not fit, kBadInput for a style picture that has nothing to
/// show.
void check_input(const StyleOptions& options, const RenderInput& input) {
  if (input.content.is_none()) throw Error(ErrorCode::kUsage, "content: expected a picture, found none");
  if (input.styles.empty()) {
    throw Error(ErrorCode::kUsage, "style: expected at least one picture, found none");
  }
  require_sound(input.content, "content");
  if (options.init == Init::kPicture && input.start.is_none()) {
    throw Error(ErrorCode::kUsage, "init: expected a starting picture, found none");
  }
  if (!input.start.is_none()) require_sound(input.start, "init");
  const std::vector<double>& blend = options.objective.style_blend;
  double sum = 0;
  for (std::size_t i = 0; i < input.styles.size(); ++i) {
    const StyleInput& style = input.styles[i];
    const auto require = [&](bool holds, ErrorCode code, const char* expected, const std::string& found) {
      if (holds) return;
      throw make_error(code, "style picture {}: expected {}, found {}", i + 1, expected, found);
    };
    require(!style.picture.is_none(), ErrorCode::kUsage, "a picture", "none");
    require(std::isfinite(style.weight) && style.weight >= 0, ErrorCode::kUsage, "a weight from 0 on",
            format_number(style.weight));
    require(std::isfinite(style.scale) && style.scale > 0, ErrorCode::kUsage, "a scale above 0",
            format_number(style.scale));
    require_sound(style.picture, fmt::format("style picture {}", i + 1));
    require(style.mask == nullptr, ErrorCode::kUsage, "no mask, as no loss reads one", "a mask");
    const Image* const whole = style.picture.whole();
    require(whole == nullptr || !whole->is_invisible(), ErrorCode::kBadInput,
            "a part that is not transparent", "none");
    sum += style.weight;
  }
  const auto same = [](const StyleInput& style, double weight) { return style.weight == weight; };
  if (!blend.empty() &&
      !std::equal(input.styles.begin(), input.styles.end(), blend.begin(), blend.end(), same)) {
    throw Error(ErrorCode::kUsage, "style-blend: expected the weights of the style inputs, found others");
  }
  if (!std::isfinite(sum))
    throw Error(ErrorCode::kUsage, "styles: expected weights of a finite sum, found others");
  if (!(sum > 0)) throw Error(ErrorCode::kUsage, "styles: expected a weight above 0, found none");
}

RenderSizes sizes_of(const RenderInput& input) {
  RenderSizes sizes{input.content.size(), {}};
  for (const StyleInput& style : input.styles) sizes.styles.push_back({style.picture.size(), style.scale});
  return sizes;
}

/// What a checkpoint says of the pictures and weights that it was made with.
std::map<std::string, std::string> identify(const StyleOptions& options, const RenderInput& input,
                                            const Weights& weights) {
  const bool in_options = !options.objective.style_blend.empty();
  std::map<std::string, std::string> inputs{{"content", digest(input.content)}, {"weights", weights.digest}};
  for (std::size_t i = 0; i < input.styles.size(); ++i) {
    const StyleInput& style = input.styles[i];
    const std::string name = fmt::format("style {}", i + 1);
    inputs[name] = digest(style.picture);
    if (style.weight != 1 && !in_options) inputs[name + " weight"] = format_number(style.weight);
    if (style.scale != 1) inputs[name + " scale"] = format_number(style.scale);
  }
  if (!input.start.is_none()) inputs["init"] = digest(input.start);
  return inputs;
}

enum class State : std::uint8_t { kFresh, kInWork, kEnded, kBroken };

}  // namespace

std::vector<StyleInput> blended_inputs(const ObjectiveOptions& options,
                                       std::span<const PictureRef> pictures) {
  const std::vector<double>& blend = options.style_blend;
  if (!blend.empty() && blend.size() != pictures.size()) {
    throw make_error(ErrorCode::kUsage,
                     "style-blend: expected {} weights, one for each style picture, found {}",
                     pictures.size(), blend.size());
  }
  std::vector<StyleInput> inputs;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    inputs.push_back({.picture = pictures[i], .weight = blend.empty() ? 1 : blend[i]});
  }
  return inputs;
}

std::vector<StyleInput> style_inputs(const ObjectiveOptions& options, std::span<const Image> pictures) {
  std::vector<PictureRef> refs;
  for (const Image& picture : pictures) refs.emplace_back(&picture);
  return blended_inputs(options, refs);
}

struct Render::Impl {
  Impl(Session::Impl& of, StyleOptions how, RenderInput what, RenderHooks tells)
      : session(of), options(std::move(how)), input(std::move(what)), hooks(std::move(tells)) {}

  /// A render's part of what its session counts.
  class Share {
   public:
    Share(Session::Impl& session, std::size_t bytes) : session_(session), bytes_(bytes) {
      ++session_.num_renders;
      session_.siblings->in_use += bytes_;
    }
    ~Share() {
      --session_.num_renders;
      session_.siblings->in_use -= bytes_;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

   private:
    Session::Impl& session_;
    std::size_t bytes_;
  };

  Session::Impl& session;
  StyleOptions options;
  RenderInput input;
  RenderHooks hooks;
  NodeGraph graph;
  PlannedRender planned;
  std::map<std::string, std::string> inputs;  // for checkpoints
  std::string choices;                        // the device's, for checkpoints
  Preprocessing preprocessing;
  std::optional<Share> share;
  // From the first step on
  std::optional<Sources> sources;  // until the last scale has begun
  bool grey = false;
  std::optional<Executor> executor;
  Buffer arena;
  std::optional<ScaleInWork> scale;  // borrows from all of the above
  std::vector<float> alpha;          // the content's at its size; empty: opaque
  Grain grain;                       // of the style pictures at its size
  std::optional<Image> coarser;      // the result of the scale before, until the next has begun
  SourcePicture first;               // the picture that scales begin with, at its size, while it is needed
  Progress progress;
  State state = State::kFresh;
  bool stopped = false;
  bool made_elsewhere = false;  // the checkpoint, on a device that gives other bits
  double seconds = 0;           // in steps

  [[nodiscard]] int num_scales() const { return static_cast<int>(planned.scales.size()); }

  /// Error(kBadInput) for a checkpoint that was made elsewhere, unless that is allowed.
  void check_maker();
  /// As a checkpoint's render was, if there is one. Error(kResources) if that does not fit.
  void plan(const RenderSizes& sizes);
  /// Error(kBadInput) for a checkpoint of a scale, an iteration or a time that there is not.
  void check_place() const;
  void begin();
  /// Begins the scale: its targets, and x from `coarser`.
  void enter(int number);
  [[nodiscard]] bool advance();
  /// The network's memory with the picture in it.
  [[nodiscard]] NetworkMemory stage(const NetworkPlan& plan, const Image& image);
  /// The grain of their blend, too.
  [[nodiscard]] Grain set_styles(const ScaleLayout& layout);
  [[nodiscard]] std::shared_ptr<const StyleTargets> style_targets(const ScaleLayout& layout, std::size_t i);
  /// x where the scale begins. `content` is the content at its size.
  [[nodiscard]] std::vector<float> first_point(PixelSize size, SourcePicture content);
  /// Where the render is, without losses.
  [[nodiscard]] Progress here() const;
  void report();
  [[nodiscard]] const ScaleInWork& in_work(const char* asked) const;
  /// As the optimiser has it.
  [[nodiscard]] Image plain_picture() const;
};

Render::Render(Session& session, StyleOptions options, RenderInput input, RenderHooks hooks)
    : impl_(std::make_unique<Impl>(present(session.impl_, "session"), std::move(options), std::move(input),
                                   std::move(hooks))) {
  Impl& s = *impl_;
  validate(s.options);
  check_input(s.options, s.input);
  s.graph = s.session.graph(s.options.objective);
  s.preprocessing = s.session.weights->preprocessing;
  s.inputs = identify(s.options, s.input, *s.session.weights);
  if (s.input.resume) require_same_run(*s.input.resume, describe(s.options), s.inputs);
  s.check_maker();
  const RenderSizes sizes = sizes_of(s.input);
  require_sound(sizes, s.options);
  Session::Impl::Choosing choosing(s.session, s.made_elsewhere ? nullptr : s.input.resume.get());
  s.plan(sizes);
  s.check_place();
  s.choices = choosing.keep();
  s.share.emplace(s.session, s.planned.plan.arena_bytes());
}

Render::~Render() = default;
Render::Render(Render&&) noexcept = default;

void Render::Impl::check_maker() {
  if (!input.resume) return;
  const auto other = other_maker(*session.backend, *input.resume);
  if (!other) return;
  const std::string here = maker(*session.backend);
  if (!input.resume_inexact) {
    throw make_error(ErrorCode::kBadInput,
                     "checkpoint: expected one made by {}, found one by {}; go on there, or here with "
                     "--resume-inexact, to a result that is neither's",
                     here, *other);
  }
  made_elsewhere = true;
  if (!hooks.warn) return;
  hooks.warn(fmt::format("checkpoint: made by {}, goes on by {}; the result is neither's", *other, here));
}

void Render::Impl::plan(const RenderSizes& sizes) {
  std::vector<ScaleWays> recorded;
  if (input.resume && !made_elsewhere) recorded = recorded_plan(*input.resume);
  planned = session.plan(options, graph, sizes, 0, recorded);
  if (!planned.plan.fits() && !recorded.empty()) {
    if (!input.resume_inexact) {
      throw make_error(
          ErrorCode::kResources,
          "memory: expected {}, as where the checkpoint was made, found {}; go on with as much, or "
          "with --resume-inexact, to a result that may differ in its last bits",
          format_bytes(static_cast<double>(planned.plan.device_bytes)),
          format_bytes(static_cast<double>(planned.plan.budget_bytes)));
    }
    planned = session.plan(options, graph, sizes);
  }
  const RenderPlan& plan = planned.plan;
  if (!plan.fits()) {
    throw Error(ErrorCode::kResources,
                misfit(plan, options, *session.weights, graph, *session.backend, sizes));
  }
  const ScalePlan& last = plan.scales.back();
  const int wanted = std::min(options.optimizer.history, last.iterations);
  if (options.optimizer.kind != OptimizerKind::kLbfgs || last.history >= wanted || !hooks.warn) return;
  hooks.warn(fmt::format("memory: expected room for a history of {} pairs, found room for {} within {}",
                         wanted, last.history, format_bytes(static_cast<double>(plan.budget_bytes))));
}

void Render::Impl::check_place() const {
  if (!input.resume) return;
  const Checkpoint& resume = *input.resume;
  const auto require_below = [](const char* name, std::int64_t found, std::int64_t limit) {
    if (found >= 0 && found < limit) return;
    throw make_error(ErrorCode::kBadInput, "checkpoint: expected {} below {}, found {}", name, limit, found);
  };
  require_below("a scale", resume.scale, num_scales());
  const int iterations = iterations_at(options, static_cast<int>(resume.scale), num_scales());
  require_below("an iteration", resume.iteration, std::int64_t{iterations} + 1);
  if (!(std::isfinite(resume.seconds) && resume.seconds >= 0)) {
    throw make_error(ErrorCode::kBadInput, "checkpoint: expected seconds of 0 or more, found {}",
                     format_number(resume.seconds));
  }
}

void Render::Impl::begin() {
  executor.emplace(*session.backend, session.filters_for(graph), graph);
  arena = session.backend->allocate(planned.plan.arena_bytes());
  sources.emplace(input, options.init == Init::kPicture);
  grey = sources->grey();
  const std::shared_ptr<const Checkpoint> resume = std::move(input.resume);
  seconds = resume ? resume->seconds : 0;
  enter(resume ? static_cast<int>(resume->scale) : 0);
  if (resume) {
    scale->restore(*resume, made_elsewhere         ? ScaleInWork::Resume::kElsewhere
                            : input.resume_inexact ? ScaleInWork::Resume::kInexact
                                                   : ScaleInWork::Resume::kExact);
    progress = here();
  } else {
    scale->calibrate();
  }
}

void Render::Impl::enter(int number) {
  const ScaleLayout& layout = planned.scales[static_cast<std::size_t>(number)];
  const TraceRange trace(fmt::format("scale {}: targets", number + 1));
  scale.reset();
  scale.emplace(*session.backend, *executor, options, layout.evaluation,
                divide(layout, session.backend->traits().alignment, arena.data()),
                ScaleInWork::Place{number, num_scales(), iterations_at(options, number, num_scales()),
                                   iterations_before(options, number), layout.history});
  if (grey) scale->objective().keep_grey();
  SourcePicture content = sources->content().at(layout.size);
  scale->objective().set_content(stage(layout.content_pass, content.image()));
  const std::vector<float> x = first_point(layout.size, std::move(content));
  const Grain styles = set_styles(layout);
  scale->objective().finish_targets(hooks.warn);
  scale->start(x, pixel_range(preprocessing));
  grain = styles;
  if (input.content.has_alpha()) alpha = resize_alpha(*input.content.whole(), layout.size);
  coarser.reset();
  if (number + 1 < num_scales()) return;
  first = {};
  sources.reset();
}

NetworkMemory Render::Impl::stage(const NetworkPlan& plan, const Image& image) {
  const NetworkMemory memory = scale->pass(plan);
  if (plan.program.steps.empty()) return memory;  // no loss reads it
  const std::vector<float> x = to_network_space(image.rgb, preprocessing);
  session.backend->upload(memory.picture(), std::span(x));
  return memory;
}

std::vector<float> Render::Impl::first_point(PixelSize size, SourcePicture content) {
  const bool changes = options.handover == Handover::kChange && options.init != Init::kNoise;
  if (coarser && !changes) return to_network_space(resize(*coarser, size).rgb, preprocessing);
  if (options.init == Init::kNoise) {
    return noise(size, options.noise_deviation, options.seed, preprocessing,
                 grey ? Tint::kGrey : Tint::kColour);
  }
  SourcePicture here = options.init == Init::kPicture ? sources->start().at(size) : std::move(content);
  std::vector<float> rgb = coarser ? add_change(here.image(), first.image(), *coarser).rgb : here.image().rgb;
  if (changes) first = std::move(here);
  return to_network_space(std::move(rgb), preprocessing);
}

Grain Render::Impl::set_styles(const ScaleLayout& layout) {
  double sum = 0;
  for (const StyleInput& style : input.styles) sum += style.weight;
  Grain blended;
  std::vector<std::shared_ptr<const StyleTargets>> targets;
  std::vector<WeightedTargets> blend;
  for (std::size_t i = 0; i < input.styles.size(); ++i) {
    const double weight = input.styles[i].weight / sum;
    targets.push_back(style_targets(layout, i));
    blend.push_back({targets.back().get(), weight});
    blended.luminance += weight * targets.back()->grain.luminance;
    blended.colour += weight * targets.back()->grain.colour;
  }
  scale->objective().set_styles(blend);
  return blended;
}

std::shared_ptr<const StyleTargets> Render::Impl::style_targets(const ScaleLayout& layout, std::size_t i) {
  const NetworkPlan& pass = layout.style_passes[i];
  const PixelSize size{pass.program.picture.w, pass.program.picture.h};
  const bool with_grain = options.grain == GrainSource::kStyle;
  const std::string key = fmt::format(
      "{} {} {} pooling {} {} {} by {}", inputs.at(fmt::format("style {}", i + 1)), to_string(size),
      grey ? "grey" : "colour", static_cast<int>(options.objective.pooling), with_grain ? "grain" : "",
      fmt::join(scale->objective().style_statistics(), " "), to_text(pass.program.segments));
  return session.targets_for(key, [&] {
    const Image* const as_given = input.styles[i].picture.whole();
    const std::vector<float> seen =
        as_given != nullptr && has_transparency(*as_given) ? coverage(*as_given, size) : std::vector<float>{};
    const SourcePicture style = sources->style(i).at(size);
    StyleTargets targets = scale->objective().measure_style(stage(pass, style.image()), seen);
    if (with_grain) targets.grain = measure_grain(style.image(), seen);
    return targets;
  });
}

bool Render::step() {
  Impl& s = present(impl_, "render");
  if (s.state == State::kEnded) return false;
  if (s.state == State::kBroken) throw Error(ErrorCode::kUsage, "render: expected no step after an error");
  begin();
  const double started = seconds_now();
  s.state = State::kBroken;  // until all went well
  const bool reported = s.advance();
  s.seconds += seconds_now() - started;
  s.state = reported ? State::kInWork : State::kEnded;
  if (reported) s.report();
  return reported;
}

void Render::begin() {
  Impl& s = present(impl_, "render");
  if (s.state != State::kFresh) return;
  const double started = seconds_now();
  s.state = State::kBroken;
  s.begin();
  s.seconds += seconds_now() - started;
  s.state = State::kInWork;
}

bool Render::Impl::advance() {
  while (!scale->advance(stopped, hooks.exact_every)) {
    if (const std::string advice = scale->advice(); !advice.empty() && hooks.warn) hooks.warn(advice);
    const int next = scale->place().scale + 1;
    if (stopped || next == num_scales()) return false;
    coarser = plain_picture();
    enter(next);
    scale->calibrate();
  }
  return true;
}

Progress Render::Impl::here() const {
  const ScaleInWork::Place& place = scale->place();
  Progress here;
  here.scale = place.scale;
  here.num_scales = place.num_scales;
  here.iteration = scale->reported();
  here.iterations = place.iterations;
  here.size = planned.scales[static_cast<std::size_t>(place.scale)].size;
  here.seconds = seconds;
  here.ends_scale = scale->at_end();
  return here;
}

void Render::Impl::report() {
  const LossValues& values = scale->values();
  progress = here();
  progress.loss = values.total;
  progress.losses = values.losses;
}

const ScaleInWork& Render::Impl::in_work(const char* asked) const {
  if (scale && scale->started()) return *scale;
  throw make_error(ErrorCode::kUsage, "{}: {}", asked,
                   coarser ? "the next scale could not begin" : "nothing has been rendered yet");
}

Image Render::Impl::plain_picture() const {
  if (coarser) return *coarser;  // the next scale could not begin
  const ScaleInWork& work = in_work("picture");
  const PixelSize size = planned.scales[static_cast<std::size_t>(work.place().scale)].size;
  Image image = from_network_space(work.x(), size, preprocessing);
  if (grey) make_grey(image);  // x is, but for roundings
  return image;
}

Image Render::picture() const {
  const Impl& s = present(impl_, "render");
  Image image = s.plain_picture();
  if (s.options.grain == GrainSource::kStyle) {
    match_grain(image, s.grain);
    if (s.grey) make_grey(image);
  }
  image.alpha = s.alpha;
  return image;
}

Checkpoint Render::checkpoint() const {
  const Impl& s = present(impl_, "render");
  Checkpoint checkpoint;
  checkpoint.options = describe(s.options);
  checkpoint.inputs = s.inputs;
  checkpoint.seconds = s.seconds;
  checkpoint.device["maker"] = maker(*s.session.backend);
  checkpoint.device["plan"] = to_text(s.planned.scales);
  if (!s.choices.empty()) checkpoint.device["tuning"] = s.choices;
  s.in_work("checkpoint").save(checkpoint);
  return checkpoint;
}

const RenderPlan& Render::plan() const { return present(impl_, "render").planned.plan; }
const Progress& Render::progress() const { return present(impl_, "render").progress; }
void Render::stop() { present(impl_, "render").stopped = true; }
bool Render::finished() const {
  const Impl& s = present(impl_, "render");
  return s.scale && s.scale->place().scale + 1 == s.num_scales() && s.scale->at_end();
}

}  // namespace impasto
