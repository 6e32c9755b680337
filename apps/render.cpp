// impasto render: pictures and options in, a picture out.
#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "apps/commands.h"
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

std::vector<Place> input_places(const RenderArguments& a) {
  std::vector<Place> inputs{{"content picture", a.content}};
  for (const std::string& style : a.styles) inputs.push_back({"style picture", style});
  inputs.push_back({"initial picture", a.start_picture});
  return inputs;
}

/// Everything that can be known to go wrong at the end is found here, before the work.
void check_places(const RenderArguments& a, const Settings& s) {
  (void)output_format_keeps_alpha(a.output);  // throws for a suffix that is not known
  if (s.write.bits == 16 && !output_format_keeps_16_bits(a.output)) {
    throw make_error(ErrorCode::kUsage, "option --output-bits: expected 8 for '{}' files, found 16",
                     std::filesystem::path(a.output).extension().string());
  }
  std::vector<Place> inputs = input_places(a);
  const Place resume{"resumed checkpoint", a.resume};
  const Place output{"output", a.output}, trace{"trace", a.trace}, checkpoint{"checkpoint", a.checkpoint};
  require_distinct({output, checkpoint, trace}, inputs);
  require_distinct({output, trace}, {resume});
  inputs.push_back(resume);
  require_inputs(inputs);

  const Existing existing = a.overwrite ? Existing::kReplace : Existing::kRefuse;
  require_writable(output, existing);
  require_stream(trace, a.resume.empty() ? existing : Existing::kReplace);
  std::error_code ignored;
  const bool goes_on = !a.resume.empty() && std::filesystem::equivalent(a.resume, a.checkpoint, ignored);
  require_writable(checkpoint, goes_on ? Existing::kReplace : existing);
}

/// One run of the subcommand.
class RenderRun {
 public:
  RenderRun(const RenderArguments& arguments, Settings settings)
      : args_(arguments), settings_(std::move(settings)), display_(settings_.progress) {}

  int run();

 private:
  void load();
  void check_intermediates(const RenderPlan& plan) const;
  /// Plans, checks what is left to check, and shows how it begins.
  void begin();
  void after_iteration(const Progress& progress);
  /// Once the last scale has begun they are not read any more.
  void release_pictures();
  void save(const std::filesystem::path& path, const Image& image, bool finished);
  void save_state();
  /// Evaluations so far over all scales, with those that a
  /// converged scale left out: what numbers intermediate pictures.
  [[nodiscard]] long long total(const Progress& p) const {
    return iterations_before(settings_.options, p.scale) + p.iteration;
  }
  [[nodiscard]] std::string done_so_far() const;

  const RenderArguments& args_;
  Settings settings_;
  ProgressDisplay display_;
  Image content_, start_;
  std::vector<Image> styles_;
  std::shared_ptr<const Checkpoint> resume_;  // handed over, as the weights are: the engine frees them
  long long done_before_ = 0;                 // evaluations that the resumed one had
  std::shared_ptr<const Weights> weights_;
  std::string weights_name_;
  std::optional<Session> session_;
  std::optional<Render> render_;
  std::optional<TraceWriter> trace_;
  std::exception_ptr failure_;  // of a file that could not be written on the way
  bool stopped_ = false;
  bool resumable_ = false;
};

void RenderRun::load() {
  const auto read_visible = [this](const std::string& what, const std::string& path) {
    std::vector<std::string> warnings;
    Image image = read_image(path, args_.max_pixels, &warnings);
    for (const std::string& warning : warnings) display_.warn(warning);
    if (!image.is_invisible()) return image;
    throw make_error(ErrorCode::kBadInput, "{} '{}': expected a part that is not transparent, found none",
                     what, path);
  };
  content_ = read_visible("content picture", args_.content);
  for (const std::string& style : args_.styles) styles_.push_back(read_visible("style picture", style));
  if (!args_.start_picture.empty()) start_ = read_visible("initial picture", args_.start_picture);
  if (!args_.resume.empty()) {
    resume_ = std::make_shared<const Checkpoint>(load_checkpoint(args_.resume));
    done_before_ = iterations_before(settings_.options, resume_->scale) + resume_->iteration;
  }
  weights_ = std::make_shared<const Weights>(find_weights(args_.weights));
  weights_name_ = weights_->name;
  if (!weights_->note.empty()) display_.warn(weights_->note);
  settings_.write.metadata = {
      {"Software", "Impasto " IMPASTO_VERSION},
      {"Comment", fmt::format("{} # weights {}", repeat_command(args_, settings_.options, *weights_),
                              weights_->digest)}};
  if (content_.has_alpha() && !output_format_keeps_alpha(args_.output)) {
    display_.warn(fmt::format(
        "output '{}': expected a format that keeps the content's transparency, found {}; written over white",
        args_.output, std::filesystem::path(args_.output).extension().string()));
  }
}

void RenderRun::check_intermediates(const RenderPlan& plan) const {
  if (args_.save_every == 0) return;
  const StyleOptions& options = settings_.options;
  const long long end =
      iterations_before(options, static_cast<long long>(plan.scales.size()) - 1) + options.iterations;
  const Existing existing = args_.overwrite ? Existing::kReplace : Existing::kRefuse;
  const std::vector<Place> inputs = input_places(args_);
  Place last;
  for (long long n = args_.save_every; n <= end; n += args_.save_every) {
    if (n <= done_before_) continue;
    last = {"intermediate picture", numbered(args_.output, n)};
    std::error_code ignored;
    if (!std::filesystem::exists(std::filesystem::symlink_status(last.path, ignored))) continue;
    require_distinct({last}, inputs);
    require_writable(last, existing);
  }
  require_writable(last, existing);  // the longest name
}

void RenderRun::save(const std::filesystem::path& path, const Image& image, bool finished) {
  WriteOptions write = settings_.write;
  if (!finished) write.metadata["Comment"] += ", " + done_so_far();
  const WriteSection section;
  write_image(path, image, write);
}

void RenderRun::save_state() {
  const Checkpoint state = render_->checkpoint();
  {
    const WriteSection section;
    save_checkpoint(args_.checkpoint, state);
  }
  resumable_ = true;
  set_resumable();
}

std::string RenderRun::done_so_far() const {
  const Progress& p = display_.last();
  std::string text = fmt::format("{} of {}{} iterations", p.iteration,
                                 settings_.options.tolerance > 0 ? "at most " : "", p.iterations);
  if (p.num_scales > 1) text += fmt::format(" at scale {} of {}", p.scale + 1, p.num_scales);
  return text;
}

void RenderRun::release_pictures() {
  content_ = start_ = {};
  styles_.clear();
}

/// A file that cannot be written ends the run as an interruption does, so that the work is not lost.
void RenderRun::after_iteration(const Progress& progress) {
  display_.update(progress);
  if (progress.scale + 1 == progress.num_scales) release_pictures();
  const long long n = total(progress);
  const bool stop = stop_requested() && !render_->finished();
  try {
    if (trace_) trace_->write(progress);
    if (args_.save_every > 0 && n % args_.save_every == 0) {
      save(numbered(args_.output, n), render_->picture(), false);
    }
    const long long every = args_.save_every > 0 ? args_.save_every : kCheckpointEvery;
    if (!args_.checkpoint.empty() && (stop || n % every == 0)) save_state();
  } catch (const Error&) {
    failure_ = std::current_exception();
  }
  if (!stop && !failure_) return;
  stopped_ = true;
  render_->stop();
}

void RenderRun::begin() {
  session_.emplace(settings_.options, std::move(weights_), SessionOptions::one_render());
  RenderHooks hooks;
  hooks.exact_every = static_cast<int>(std::min(args_.save_every, 1'000'000'000LL));
  hooks.warn = [this](const std::string& message) { display_.warn(message); };
  render_.emplace(*session_, settings_.options,
                  RenderInput{&content_, style_inputs(settings_.options.objective, styles_),
                              args_.start_picture.empty() ? nullptr : &start_, std::move(resume_)},
                  std::move(hooks));
  const RenderPlan& plan = render_->plan();
  check_intermediates(plan);
  if (!args_.trace.empty()) {
    trace_.emplace(args_.trace,
                   args_.resume.empty() ? TraceWriter::Mode::kReplace : TraceWriter::Mode::kAppend);
  }
  if (args_.verbose && settings_.progress != ProgressKind::kJson) {  // JSON has the plan in its first line
    std::fputs(plan_table(plan, {}).c_str(), stderr);
  }
  begin_run();
  if (const std::string note = session_->device_note(); !note.empty()) display_.warn(note);
  display_.start(plan, session_->device_description(), weights_name_);
}

int RenderRun::run() {
  check_places(args_, settings_);
  load();
  begin();
  try {
    while (render_->step()) after_iteration(render_->progress());
  } catch (const Error& error) {
    display_.clear_line();
    if (error.code() != ErrorCode::kBadInput || display_.last().iteration == 0) throw;
    // The loss is not a number any more, or the next scale could not begin: what was good until then is
    // worth keeping.
    save(args_.output, render_->picture(), false);
    throw make_error(error.code(), "{}; the last good picture is in '{}'", error.what(), args_.output);
  }
  stopped_ = stopped_ && !render_->finished();  // what was queued already may have been all that was left
  const Image picture = render_->picture();
  save(args_.output, picture, !stopped_);
  display_.end({args_.output, picture.size(), !stopped_, session_->peak_device_bytes()});
  if (const std::string activity = session_->device_activity(); args_.verbose && !activity.empty()) {
    std::fprintf(stderr, "%s\n", activity.c_str());
  }
  if (failure_) {
    try {
      std::rethrow_exception(failure_);
    } catch (const Error& error) {
      throw make_error(error.code(), "{}; the picture after {} is in '{}'", error.what(), done_so_far(),
                       args_.output);
    }
  }
  if (!stopped_) return 0;
  const std::string message =
      fmt::format("render: expected to finish, found an interruption; the picture after {} is in '{}'",
                  done_so_far(), args_.output);
  if (!resumable_) throw Error(ErrorCode::kInterrupted, message);
  throw make_error(ErrorCode::kInterruptedResumable, "{}; go on with --resume {}", message,
                   shell_quote(args_.checkpoint));
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
