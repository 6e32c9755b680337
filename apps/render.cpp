// impasto render: pictures and options in, a picture out.
#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "apps/commands.h"
#include "apps/forecast.h"
#include "apps/interruption.h"
#include "apps/places.h"
#include "apps/plan_report.h"
#include "apps/progress_display.h"
#include "apps/render_arguments.h"
#include "apps/text.h"
#include "apps/trace.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

constexpr long long kCheckpointEvery = 50;  // iterations, where --save-every does not say

/// What the command line says, understood.
struct Settings {
  StyleOptions options;
  ProgressKind progress = ProgressKind::kAuto;
  WriteOptions write;  ///< with the metadata, once it is known
};

Settings read_settings(const RenderArguments& a) {
  Settings s{resolve_options(a), a.quiet ? ProgressKind::kQuiet : a.progress, a.write};
  if (a.quiet && a.verbose) {
    throw Error(ErrorCode::kUsage, "options -q, -v: expected one of them, found both");
  }
  const std::size_t blend = s.options.objective.style_blend.size();
  if (blend != 0 && blend != a.styles.size()) {
    throw make_error(ErrorCode::kUsage,
                     "option --style-blend: expected a weight for each of {} style pictures, found {}",
                     a.styles.size(), blend);
  }
  return s;
}

/// Everything that is read, but for the checkpoint that may be gone on with in its own place.
std::vector<Place> input_places(const RenderArguments& a) {
  std::vector<Place> inputs{{"content picture", a.content}};
  for (const std::string& style : a.styles) inputs.push_back({"style picture", style});
  inputs.push_back({"initial picture", a.start_picture});
  for (const std::filesystem::path& file : weight_files(a.weights)) inputs.push_back({"weights", file});
  return inputs;
}

void check_format(const RenderArguments& a, const Settings& s) {
  (void)output_format_keeps_alpha(a.output);  // throws for a suffix that is not known
  if (s.write.bits == 16 && !output_format_keeps_16_bits(a.output)) {
    throw make_error(ErrorCode::kUsage, "option --output-bits: expected 8 for '{}' files, found 16",
                     std::filesystem::path(a.output).extension().string());
  }
}

/// One run of the subcommand.
class RenderRun {
 public:
  RenderRun(const RenderArguments& arguments, Settings settings)
      : args_(arguments), settings_(std::move(settings)), display_(settings_.progress) {}
  ~RenderRun() { end_run(); }
  RenderRun(const RenderRun&) = delete;
  RenderRun& operator=(const RenderRun&) = delete;

  int run();

 private:
  /// Everything that can be known to go wrong at the end is found here, before the work. From here on no
  /// other process writes what this one does.
  void take_places();
  void load();
  /// At the sizes at which the render reads them, where that takes less memory.
  void read_pictures();
  [[nodiscard]] SourceFile read_visible(const std::string& what, const std::string& path,
                                        const ChooseSizes& choose);
  void check_intermediates(const RenderPlan& plan);
  /// Plans, checks what is left to check, and shows how it begins.
  void begin();
  /// Writes the numbered picture of where a resumed render begins: the run before may have failed over it.
  void save_missed();
  void render_all();
  void after_iteration(const Progress& progress);
  void trace(const Progress& progress);
  /// Once the last scale has begun they are not read any more.
  void release_pictures();
  void save(const std::filesystem::path& path, const Image& image, bool replace, bool finished);
  /// The same of the picture that the run is for.
  void save_last(const std::filesystem::path& path, const Image& image, bool replace, bool finished);
  /// Gives back where it is.
  std::filesystem::path save_partial();
  void save_state();
  void finish();
  [[noreturn]] void end_early();
  /// After a failure: keeps what can be kept. What its message has to add.
  [[nodiscard]] std::string rescue();
  /// Evaluations so far over all scales, with those that a
  /// converged scale left out: what numbers intermediate pictures.
  [[nodiscard]] long long total(const Progress& p) const {
    return iterations_before(settings_.options, p.scale) + p.iteration;
  }
  [[nodiscard]] std::string done_so_far() const;

  const RenderArguments& args_;
  Settings settings_;
  ProgressDisplay display_;
  SourceFile content_, start_;
  std::vector<SourceFile> styles_;
  std::shared_ptr<const Checkpoint> resume_;  // handed over, as the weights are: the engine frees them
  long long done_before_ = 0;                 // evaluations that the resumed one had
  bool missed_ = false;                       // the numbered picture of these
  std::shared_ptr<const Weights> weights_;
  std::string weights_name_;
  std::optional<Session> session_;
  std::optional<Render> render_;
  std::unique_ptr<Claim> output_claim_, checkpoint_claim_;
  std::optional<TraceWriter> trace_;
  std::optional<TracePosition> resumed_at_;
  std::exception_ptr failure_;  // of a file that could not be written on the way
  bool stopped_ = false;
  bool replaces_output_ = false;
  bool finished_ = false;         // and its picture written in its place
  bool picture_is_safe_ = false;  // the last one, finished or not
  bool untraced_ = false;         // the last step's line has yet to be written
  bool stepping_ = false;         // an error now leaves no state that could be gone on from
  bool replaces_state_ = false;   // it, or what the user wants replaced
  TracePosition saved_;           // what the checkpoint that is there is of
};

void RenderRun::take_places() {
  const RenderArguments& a = args_;
  std::vector<Place> inputs = input_places(a);
  const Place resume{"resumed checkpoint", a.resume}, output{"output", a.output}, trace{"trace", a.trace},
      checkpoint{"checkpoint", a.checkpoint};
  require_distinct({output, checkpoint, trace}, inputs);
  require_distinct({output, trace}, {resume});
  inputs.push_back(resume);
  require_inputs(inputs);

  const Existing existing = a.overwrite ? Existing::kReplace : Existing::kKeep;
  // Its own, from before it was interrupted.
  replaces_output_ = a.overwrite || (!a.resume.empty() && is_partial_picture(a.output));
  output_claim_ = claim(output, replaces_output_ ? Existing::kReplace : Existing::kKeep);
  require_stream(trace, a.resume.empty() ? existing : Existing::kReplace);
  std::error_code ignored;
  const bool goes_on = !a.resume.empty() && std::filesystem::equivalent(a.resume, a.checkpoint, ignored);
  replaces_state_ = goes_on || a.overwrite;
  checkpoint_claim_ = claim(checkpoint, replaces_state_ ? Existing::kReplace : Existing::kKeep);
  if (goes_on) set_resumable(a.checkpoint);
  for (const auto* const held : {&output_claim_, &checkpoint_claim_}) {
    if (*held) remove_when_ended_at_once((*held)->lock_file());
  }
}

SourceFile RenderRun::read_visible(const std::string& what, const std::string& path,
                                   const ChooseSizes& choose) {
  std::vector<std::string> warnings;
  SourceFile file(path, choose, args_.max_pixels, &warnings);
  for (const std::string& warning : warnings) display_.warn(warning);
  const Image* const whole = file.picture().whole();
  if (whole == nullptr || !whole->is_invisible()) return file;
  throw make_error(ErrorCode::kBadInput, "{} '{}': expected a part that is not transparent, found none", what,
                   path);
}

void RenderRun::read_pictures() {
  PixelSize content;
  const auto for_content = [&](PixelSize own) {
    content = own;
    std::vector<PixelSize> scales = session_->picture_sizes(settings_.options, {own, {}}).front();
    require_writable_size(args_.output, scales.back());
    return scales;
  };
  content_ = read_visible("content picture", args_.content, for_content);
  const auto for_style = [&](PixelSize own) {
    return session_->picture_sizes(settings_.options, {content, {{own}}}).back();
  };
  for (const std::string& style : args_.styles) {
    styles_.push_back(read_visible("style picture", style, for_style));
  }
  const auto for_start = [&](PixelSize) {
    return session_->picture_sizes(settings_.options, {content, {}}).front();
  };
  if (!args_.start_picture.empty()) {
    start_ = read_visible("initial picture", args_.start_picture, for_start);
  }
  if (content_.picture().has_alpha() && !output_format_keeps_alpha(args_.output)) {
    display_.warn(fmt::format(
        "output '{}': expected a format that keeps the content's transparency, found {}; written over white",
        args_.output, std::filesystem::path(args_.output).extension().string()));
  }
}

void RenderRun::load() {
  if (!args_.resume.empty()) {
    resume_ = std::make_shared<const Checkpoint>(load_checkpoint(args_.resume));
    done_before_ = iterations_before(settings_.options, resume_->scale) + resume_->iteration;
    resumed_at_ = {resume_->scale, resume_->iteration};
  }
  weights_ = std::make_shared<const Weights>(find_weights(args_.weights));
  weights_name_ = weights_->name;
  if (!weights_->note.empty()) display_.warn(weights_->note);
  if (!args_.no_metadata) {
    settings_.write.metadata = {
        {"Software", "Impasto " IMPASTO_VERSION},
        {"Comment", fmt::format("{} # weights {}", repeat_command(args_, settings_.options, *weights_),
                                weights_->digest)}};
  }
  session_.emplace(settings_.options, std::move(weights_), SessionOptions::one_render());
  read_pictures();
}

void RenderRun::check_intermediates(const RenderPlan& plan) {
  if (args_.save_every == 0) return;
  std::error_code ignored;
  missed_ = done_before_ > 0 && done_before_ % args_.save_every == 0 &&
            (args_.overwrite || !std::filesystem::exists(numbered(args_.output, done_before_), ignored));
  const StyleOptions& options = settings_.options;
  const long long end =
      iterations_before(options, static_cast<long long>(plan.scales.size()) - 1) + options.iterations;
  std::vector<Place> others = input_places(args_);
  others.insert(others.end(), {{"resumed checkpoint", args_.resume},
                               {"checkpoint", args_.checkpoint},
                               {"trace", args_.trace},
                               {"output", args_.output}});
  require_numbered({args_.output, args_.save_every, done_before_ - (missed_ ? 1 : 0), end}, others,
                   args_.overwrite ? Existing::kReplace : Existing::kKeep);
}

void RenderRun::save(const std::filesystem::path& path, const Image& image, bool replace, bool finished) {
  WriteOptions write = settings_.write;
  write.replace = replace;
  if (!finished && !args_.no_metadata) write.metadata["Comment"] += partial_mark(done_so_far());
  const WriteSection section;
  write_image(path, image, write);
}

void RenderRun::save_last(const std::filesystem::path& path, const Image& image, bool replace,
                          bool finished) {
  try {
    save(path, image, replace, finished);
  } catch (const KeptBeside&) {
    picture_is_safe_ = true;
    throw;
  }
  picture_is_safe_ = true;
}

std::filesystem::path RenderRun::save_partial() {
  const Existing partial = args_.overwrite || !args_.resume.empty() ? Existing::kReplace : Existing::kKeep;
  const PartialPlace place = partial_place(args_.output, partial, input_places(args_));
  save_last(place.path, render_->picture(), place.existing == Existing::kReplace, false);
  return place.path;
}

void RenderRun::save_state() {
  const Checkpoint state = render_->checkpoint();
  const auto saved_in = [&](const std::string& file) {
    saved_ = {state.scale, state.iteration};
    set_resumable(file);
  };
  try {
    const WriteSection section;
    save_checkpoint(args_.checkpoint, state, replaces_state_);
  } catch (const KeptBeside& kept) {
    saved_in(kept.place().string());
    throw;
  }
  replaces_state_ = true;
  saved_in(args_.checkpoint);
}

std::string RenderRun::done_so_far() const {
  const Progress& p = render_->progress();
  std::string text = fmt::format("{} of {}{} iterations", p.iteration,
                                 settings_.options.tolerance > 0 ? "at most " : "", p.iterations);
  if (p.num_scales > 1) text += fmt::format(" at scale {} of {}", p.scale + 1, p.num_scales);
  return text;
}

void RenderRun::release_pictures() {
  content_ = start_ = {};
  styles_.clear();
}

/// A trace that cannot be written is no reason to stop.
void RenderRun::trace(const Progress& progress) {
  if (!trace_) return;
  try {
    trace_->write(progress);
    untraced_ = false;
  } catch (const Error& error) {
    trace_.reset();
    const std::string message = fmt::format("{}; the render goes on without it", error.what());
    args_.quiet ? print_warning(message) : display_.warn(message);
  }
}

/// A file that cannot be written ends the run as an interruption does, so that the work is not lost.
void RenderRun::after_iteration(const Progress& progress) {
  display_.update(progress);
  if (progress.scale + 1 == progress.num_scales) release_pictures();
  trace(progress);
  const long long n = total(progress);
  const bool stop = stop_requested() && !render_->finished();
  try {
    if (failure_) return;  // that was queued before it
    if (args_.save_every > 0 && n % args_.save_every == 0) {
      save(numbered(args_.output, n), render_->picture(), args_.overwrite, false);
    }
    // The next scale may find no memory: what this one made is kept.
    const bool scale_ends = progress.ends_scale && !render_->finished();
    const long long every = args_.save_every > 0 ? args_.save_every : kCheckpointEvery;
    if (!args_.checkpoint.empty() && (stop || scale_ends || n % every == 0)) save_state();
  } catch (const Error&) {
    failure_ = std::current_exception();
  }
  if (!stop && !failure_) return;
  stopped_ = true;
  render_->stop();
}

void RenderRun::begin() {
  RenderHooks hooks;
  hooks.exact_every = static_cast<int>(std::min(args_.save_every, 1'000'000'000LL));
  hooks.warn = [this](const std::string& message) { display_.warn(message); };
  render_.emplace(*session_, settings_.options,
                  RenderInput{content_.picture(), style_file_inputs(settings_.options.objective, styles_),
                              args_.start_picture.empty() ? PictureRef() : start_.picture(),
                              std::move(resume_), args_.resume_inexact},
                  std::move(hooks));
  if (resumed_at_ && !way_on().empty()) saved_ = *resumed_at_;
  const RenderPlan& plan = render_->plan();
  check_intermediates(plan);
  if (!args_.trace.empty()) {
    trace_.emplace(args_.trace, args_.overwrite ? Existing::kReplace : Existing::kKeep, resumed_at_);
  }
  if (args_.verbose && settings_.progress != ProgressKind::kJson) {  // JSON has the plan in its first line
    std::fputs(plan_table(plan, {}).c_str(), stderr);
  }
  begin_run();
  if (const std::string note = session_->device_note(); !note.empty()) display_.warn(note);
  display_.start(plan, worth_forecasting(plan) ? forecast(session_->backend(), plan) : Forecast{},
                 session_->device_description(), weights_name_);
}

void RenderRun::save_missed() {
  if (!missed_) return;
  stepping_ = true;
  render_->begin();
  stepping_ = false;
  save(numbered(args_.output, done_before_), render_->picture(), args_.overwrite, false);
}

void RenderRun::render_all() {
  save_missed();
  const auto step = [this] {
    stepping_ = true;
    const bool reported = render_->step();
    stepping_ = false;
    untraced_ = reported;
    return reported;
  };
  while (step()) after_iteration(render_->progress());
  stopped_ = stopped_ && !render_->finished();  // what was queued already may have been all that was left
}

void RenderRun::finish() {
  const Image picture = render_->picture();
  save_last(args_.output, picture, replaces_output_, true);
  finished_ = true;
  display_.end({args_.output, picture.size(), true, session_->peak_device_bytes()});
  if (const std::string activity = session_->device_activity(); args_.verbose && !activity.empty()) {
    std::fprintf(stderr, "%s\n", activity.c_str());
  }
}

void RenderRun::end_early() {
  if (failure_) std::rethrow_exception(failure_);
  const std::string place = save_partial().string();
  display_.end({place, render_->progress().size, false, session_->peak_device_bytes()});
  const std::string message =
      fmt::format("render: expected to finish, found an interruption; the picture after {} is in '{}'",
                  done_so_far(), place);
  throw make_error(way_on().empty() ? ErrorCode::kInterrupted : ErrorCode::kInterruptedResumable, "{}{}",
                   message, way_on());
}

std::string RenderRun::rescue() {
  const auto attempt = [](const auto& work) {
    try {
      work();
      return true;
    } catch (const std::exception&) {  // the failure that led here is the one to tell of
      return false;
    }
  };
  const Progress& last = render_->progress();
  const bool sound = !stepping_ && last.iteration > 0;
  const bool saved = !way_on().empty() && saved_ == TracePosition{last.scale, last.iteration};
  if (sound && untraced_) attempt([this] { trace(render_->progress()); });
  if (sound && !saved && !args_.checkpoint.empty()) attempt([this] { save_state(); });
  std::string text;
  if (finished_) {
    text = fmt::format("; the finished picture is in '{}'", args_.output);
  } else if (last.iteration > 0 && !picture_is_safe_) {
    std::filesystem::path place;
    if (attempt([&] { place = save_partial(); })) {
      text = fmt::format("; the {} is in '{}'",
                         sound ? "picture after " + done_so_far() : "last good picture", place.string());
    }
  }
  return text.append(way_on());
}

int RenderRun::run() {
  check_format(args_, settings_);
  take_places();
  load();
  begin();
  try {
    render_all();
    if (!stopped_) finish();
    if (!stopped_ && !failure_) return 0;
    end_early();
  } catch (const Error& error) {
    display_.clear_line();
    if (error.exit_code() >= static_cast<int>(ErrorCode::kInterruptedResumable)) throw;
    throw Error(error.code(), error.what() + rescue());
  } catch (const std::bad_alloc&) {
    display_.clear_line();
    throw Error(ErrorCode::kResources, std::string(kNoMemory) + rescue());
  } catch (const std::exception& error) {
    display_.clear_line();
    throw make_error(ErrorCode::kInternal, "{}{}{}", kInternal, error.what(), rescue());
  }
}

}  // namespace

void add_render(CLI::App& root, int& exit_code) {
  CLI::App* const app = root.add_subcommand("render", "Paint a photograph in the style of paintings");
  const auto arguments = std::make_shared<RenderArguments>();
  add_render_arguments(*app, *arguments)->required();
  app->callback([arguments, &exit_code] {
    install_interruption();
    // Whoever read the progress has gone (| head -1): the picture is wanted all the same.
    std::signal(SIGPIPE, SIG_IGN);
    exit_code = RenderRun(*arguments, read_settings(*arguments)).run();
  });
}

}  // namespace impasto::apps
