#include "apps/render_run.h"

#include <algorithm>
#include <utility>

#include "apps/interruption.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

constexpr long long kCheckpointEvery = 50;  // iterations, where --save-every does not say

/// Everything that is read, but for the checkpoint that may be gone on with in its own place.
std::vector<Place> input_places(const RenderArguments& a) {
  std::vector<Place> inputs{{"content picture", a.content}};
  for (const std::string& style : a.styles) inputs.push_back({"style picture", style});
  inputs.push_back({"initial picture", a.start_picture});
  for (const fs::path& file : weight_files(a.weights)) inputs.push_back({"weights", file});
  return inputs;
}

void check_format(const RenderArguments& a) {
  (void)output_format_keeps_alpha(a.output);  // throws for a suffix that is not known
  if (a.write.bits == 16 && !output_format_keeps_16_bits(a.output)) {
    throw make_error(ErrorCode::kUsage, "option --output-bits: expected 8 for '{}' files, found 16",
                     fs::path(a.output).extension().string());
  }
}

}  // namespace

SourceFile read_visible(const std::string& what, const std::string& path, const ChooseSizes& choose,
                        std::int64_t max_pixels, const std::function<void(const std::string&)>& warn) {
  std::vector<std::string> warnings;
  SourceFile file(path, choose, max_pixels, &warnings);
  for (const std::string& warning : warnings) warn(warning);
  const Image* const whole = file.picture().whole();
  if (whole == nullptr || !whole->is_invisible()) return file;
  throw make_error(ErrorCode::kBadInput, "{} '{}': expected a part that is not transparent, found none", what,
                   path);
}

StyleOptions checked_options(const RenderArguments& a) {
  StyleOptions options = resolve_options(a);
  const std::size_t blend = options.objective.style_blend.size();
  if (blend == 0 || blend == a.styles.size()) return options;
  throw make_error(ErrorCode::kUsage,
                   "option --style-blend: expected a weight for each of {} style pictures, found {}",
                   a.styles.size(), blend);
}

RenderRun::RenderRun(const RenderArguments& arguments, StyleOptions options, RunObserver& observer,
                     StateKeeping keeping)
    : args_(arguments),
      options_(std::move(options)),
      observer_(observer),
      keeping_(keeping),
      write_(arguments.write) {
  check_format(args_);
}

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
  goes_on_ = !a.resume.empty() && fs::equivalent(a.resume, a.checkpoint, ignored);
  replaces_state_ = goes_on_ || a.overwrite || keeping_.own_checkpoint;
  checkpoint_claim_ = claim(checkpoint, replaces_state_ ? Existing::kReplace : Existing::kKeep);
}

std::vector<fs::path> RenderRun::lock_files() const {
  std::vector<fs::path> files;
  for (const auto* const held : {&output_claim_, &checkpoint_claim_}) {
    if (*held) files.push_back((*held)->lock_file());
  }
  return files;
}

void RenderRun::load(const Weights& weights, const PictureReader& read_style) {
  const PictureReader read = [this](const std::string& what, const std::string& path,
                                    const ChooseSizes& choose) {
    return std::make_shared<const SourceFile>(
        read_visible(what, path, choose, args_.max_pixels,
                     [this](const std::string& message) { observer_.warn(message); }));
  };
  load_pictures(weights, read, read_style ? read_style : read);
  load_state();
  if (content_->picture().has_alpha() && !output_format_keeps_alpha(args_.output)) {
    observer_.warn(fmt::format(
        "output '{}': expected a format that keeps the content's transparency, found {}; written over white",
        args_.output, fs::path(args_.output).extension().string()));
  }
}

void RenderRun::load_pictures(const Weights& weights, const PictureReader& read,
                              const PictureReader& read_style) {
  PixelSize content;
  content_ = read("content picture", args_.content, [&](PixelSize own) {
    content = own;
    std::vector<PixelSize> scales = picture_sizes(options_, weights, {own, {}}).front();
    if (options_.size != StyleOptions::kLargest) require_writable_size(args_.output, scales.back());
    return scales;
  });
  for (const std::string& style : args_.styles) {
    styles_.push_back(read_style("style picture", style, [&](PixelSize own) {
      return picture_sizes(options_, weights, {content, {{own}}}).back();
    }));
  }
  if (args_.start_picture.empty()) return;
  start_ = read("initial picture", args_.start_picture, [&](PixelSize) {
    return picture_sizes(options_, weights, {content, {}}).front();
  });
}

void RenderRun::load_state() {
  std::error_code ignored;
  try {
    if (!args_.resume.empty()) {
      resume_ = std::make_shared<const Checkpoint>(load_checkpoint(args_.resume));
    } else if (keeping_.own_checkpoint && fs::exists(args_.checkpoint, ignored)) {
      resume_ = std::make_shared<const Checkpoint>(load_checkpoint(args_.checkpoint));
      goes_on_ = true;
    }
  } catch (const Error& error) {
    if (!keeping_.own_checkpoint) throw;
    observer_.warn(fmt::format("{}; begun again", error.what()));
  }
  if (!resume_) return;
  done_before_ = iterations_before(options_, resume_->scale) + resume_->iteration;
  resumed_at_ = {resume_->scale, resume_->iteration};
}

void RenderRun::describe(const Weights& weights, const std::string& recipe) {
  if (!weights.note.empty()) observer_.warn(weights.note);
  mark_ = {weights.digest, recipe, {}};
  if (args_.no_metadata) return;
  write_.metadata = {{"Software", "Impasto " IMPASTO_VERSION},
                     {"Comment", repeat_command(args_, options_, weights)}};
}

void RenderRun::check_intermediates(const RenderPlan& plan) {
  if (args_.save_every == 0) return;
  std::error_code ignored;
  missed_ = done_before_ > 0 && done_before_ % args_.save_every == 0 &&
            (args_.overwrite || !fs::exists(numbered(args_.output, done_before_), ignored));
  const long long end =
      iterations_before(options_, static_cast<long long>(plan.scales.size()) - 1) + options_.iterations;
  std::vector<Place> others = input_places(args_);
  others.insert(others.end(), {{"resumed checkpoint", args_.resume},
                               {"checkpoint", args_.checkpoint},
                               {"trace", args_.trace},
                               {"output", args_.output}});
  require_numbered({args_.output, args_.save_every, done_before_ - (missed_ ? 1 : 0), end}, others,
                   args_.overwrite ? Existing::kReplace : Existing::kKeep);
}

void RenderRun::save(const fs::path& path, const Image& image, bool replace, bool finished) {
  WriteOptions write = write_;
  write.replace = replace;
  if (!args_.no_metadata) {
    PictureMark mark = mark_;
    if (!finished) mark.partial = done_so_far();
    write.metadata["Comment"] += to_text(mark);
  }
  const WriteSection section;
  write_image(path, image, write);
}

void RenderRun::save_last(const fs::path& path, const Image& image, bool replace, bool finished) {
  try {
    save(path, image, replace, finished);
  } catch (const KeptBeside&) {
    picture_is_safe_ = true;
    throw;
  }
  picture_is_safe_ = true;
}

fs::path RenderRun::save_partial() {
  const Existing partial = args_.overwrite || !args_.resume.empty() ? Existing::kReplace : Existing::kKeep;
  const PartialPlace place = partial_place(args_.output, partial, input_places(args_));
  save_last(place.path, render_->picture(), place.existing == Existing::kReplace, false);
  return place.path;
}

void RenderRun::save_state() {
  const Checkpoint state = render_->checkpoint();
  const auto saved_in = [&](const fs::path& file) {
    saved_ = {state.scale, state.iteration};
    saved_seconds_ = render_->progress().seconds;
    observer_.saved(file);
  };
  try {
    const WriteSection section;
    save_checkpoint(args_.checkpoint, state, replaces_state_);
  } catch (const KeptBeside& kept) {
    saved_in(kept.place());
    throw;
  }
  replaces_state_ = true;
  saved_in(args_.checkpoint);
}

std::string RenderRun::done_so_far() const {
  const Progress& p = render_->progress();
  std::string text = fmt::format("{} of {}{} iterations", p.iteration,
                                 options_.tolerance > 0 ? "at most " : "", p.iterations);
  if (p.num_scales > 1) text += fmt::format(" at scale {} of {}", p.scale + 1, p.num_scales);
  return text;
}

void RenderRun::release_pictures() {
  content_ = start_ = nullptr;
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
    args_.quiet ? print_warning(message) : observer_.warn(message);
  }
}

bool RenderRun::is_time_to_save(const Progress& progress) const {
  if (keeping_.seconds >= 0) return progress.seconds - saved_seconds_ >= keeping_.seconds;
  // The next scale may find no memory: what this one made is kept.
  if (progress.ends_scale && !render_->finished()) return true;
  return total(progress) % (args_.save_every > 0 ? args_.save_every : kCheckpointEvery) == 0;
}

/// A file that cannot be written ends the run as an interruption does, so that the work is not lost.
void RenderRun::after_iteration(const Progress& progress) {
  observer_.update(progress);
  if (progress.scale + 1 == progress.num_scales) release_pictures();
  trace(progress);
  const long long n = total(progress);
  const bool stop = stop_requested() && !render_->finished();
  try {
    if (failure_) return;  // that was queued before it
    if (args_.save_every > 0 && n % args_.save_every == 0) {
      save(numbered(args_.output, n), render_->picture(), args_.overwrite, false);
    }
    if (!args_.checkpoint.empty() && (stop || is_time_to_save(progress))) save_state();
  } catch (const Error&) {
    failure_ = std::current_exception();
  }
  if (!stop && !failure_) return;
  stopped_ = true;
  render_->stop();
}

void RenderRun::make_render(Session& session, std::shared_ptr<const Checkpoint> resume) {
  std::vector<PictureRef> styles;
  for (const auto& style : styles_) styles.push_back(style->picture());
  RenderHooks hooks;
  hooks.exact_every = static_cast<int>(std::min(args_.save_every, 1'000'000'000LL));
  hooks.warn = [this](const std::string& message) { observer_.warn(message); };
  render_.reset();
  render_.emplace(
      session, options_,
      RenderInput{content_->picture(), blended_inputs(options_.objective, styles),
                  start_ ? start_->picture() : PictureRef(), std::move(resume), args_.resume_inexact},
      std::move(hooks));
}

bool RenderRun::let_go_of_state(const Error& error) {
  if (!keeping_.own_checkpoint || !resume_) return false;
  observer_.warn(fmt::format("{}; begun again", error.what()));
  resume_.reset();
  resumed_at_.reset();
  goes_on_ = false;
  done_before_ = 0;
  return true;
}

void RenderRun::begin(Session& session) {
  try {
    make_render(session, resume_);
    if (keeping_.own_checkpoint && resume_) render_->begin();  // reads all of the state
  } catch (const Error& error) {
    render_.reset();
    if (error.code() != ErrorCode::kBadInput || !let_go_of_state(error)) throw;
    make_render(session, nullptr);
  }
  resume_.reset();
  if (resumed_at_ && goes_on_) saved_ = resumed_at_;
  saved_seconds_ = render_->progress().seconds;
  require_writable_size(args_.output, render_->plan().scales.back().size);
  check_intermediates(render_->plan());
  if (!args_.trace.empty()) {
    trace_.emplace(args_.trace, args_.overwrite ? Existing::kReplace : Existing::kKeep, resumed_at_);
  }
}

void RenderRun::save_missed() {
  if (!missed_) return;
  stepping_ = true;
  render_->begin();
  stepping_ = false;
  save(numbered(args_.output, done_before_), render_->picture(), args_.overwrite, false);
}

void RenderRun::render() {
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

Image RenderRun::take_picture() {
  Image picture = render_->picture();
  render_.reset();
  return picture;
}

void RenderRun::write(const Image& picture) {
  save_last(args_.output, picture, replaces_output_, true);
  finished_ = true;
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
  const bool saved = saved_ == TracePosition{last.scale, last.iteration};
  if (sound && untraced_) attempt([this] { trace(render_->progress()); });
  if (sound && !saved && !args_.checkpoint.empty()) attempt([this] { save_state(); });
  if (finished_) return fmt::format("; the finished picture is in '{}'", args_.output);
  if (last.iteration == 0 || picture_is_safe_ || keeping_.own_checkpoint) return {};
  fs::path place;
  if (!attempt([&] { place = save_partial(); })) return {};
  return fmt::format("; the {} is in '{}'", sound ? "picture after " + done_so_far() : "last good picture",
                     place.string());
}

}  // namespace impasto::apps
