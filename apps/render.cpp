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
#include "apps/plan_report.h"
#include "apps/progress_display.h"
#include "apps/recipe.h"
#include "apps/render_arguments.h"
#include "apps/render_run.h"
#include "apps/text.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

/// The run that the command line asks for.
class RenderCommand : public RunObserver {
 public:
  explicit RenderCommand(const RenderArguments& arguments)
      : args_(arguments),
        display_(arguments.quiet ? ProgressKind::kQuiet : arguments.progress),
        options_(checked_options(arguments)),
        run_(arguments, options_, *this) {}
  ~RenderCommand() override { end_run(); }

  int run();

  void warn(const std::string& message) override { display_.warn(message); }
  void update(const Progress& progress) override { display_.update(progress); }
  void saved(const std::filesystem::path& checkpoint) override { set_resumable(checkpoint.string()); }

 private:
  void take_places();
  [[nodiscard]] std::shared_ptr<const Weights> load_weights() const;
  /// Reads what there is to read and opens the device.
  void load();
  /// Shows how it begins.
  void show();
  void finish();
  [[noreturn]] void end_early();

  const RenderArguments& args_;
  ProgressDisplay display_;
  StyleOptions options_;
  std::optional<Session> session_;  // goes after its render
  RenderRun run_;
  std::string weights_name_;
};

void RenderCommand::take_places() {
  run_.take_places();
  for (const std::filesystem::path& file : run_.lock_files()) remove_when_ended_at_once(file);
  if (run_.goes_on()) set_resumable(args_.checkpoint);
}

std::shared_ptr<const Weights> RenderCommand::load_weights() const {
  try {
    return std::make_shared<const Weights>(find_weights(args_.weights));
  } catch (const Error&) {  // what is no picture is told before that there are no weights
    (void)probe_image(args_.content, args_.max_pixels);
    for (const std::string& picture : args_.styles) (void)probe_image(picture, args_.max_pixels);
    throw;
  }
}

void RenderCommand::load() {
  const std::shared_ptr<const Weights> weights = load_weights();
  run_.load(*weights, {});
  weights_name_ = weights->name;
  FileDigests digests;
  run_.describe(*weights, args_.no_metadata ? "" : make_recipe(args_, options_, weights->digest, digests));
  session_.emplace(options_, weights, SessionOptions::one_render());
}

void RenderCommand::show() {
  if (args_.verbose && args_.progress != ProgressKind::kJson) {  // JSON has the plan in its first line
    std::fputs(plan_table(run_.plan(), {}).c_str(), stderr);
  }
  begin_run();
  if (const std::string note = session_->device_note(); !note.empty()) display_.warn(note);
  const RenderPlan& plan = run_.plan();
  display_.start(plan, worth_forecasting(plan) ? forecast(session_->backend(), plan) : Forecast{},
                 session_->device_description(), weights_name_);
}

void RenderCommand::finish() {
  const Image picture = run_.picture();
  run_.write(picture);
  display_.end({args_.output, picture.size(), true, session_->peak_device_bytes()});
  if (const std::string activity = session_->device_activity(); args_.verbose && !activity.empty()) {
    std::fprintf(stderr, "%s\n", activity.c_str());
  }
}

void RenderCommand::end_early() {
  if (run_.failure()) std::rethrow_exception(run_.failure());
  const std::string place = run_.save_partial().string();
  display_.end({place, run_.progress().size, false, session_->peak_device_bytes()});
  const std::string message =
      fmt::format("render: expected to finish, found an interruption; the picture after {} is in '{}'",
                  run_.done_so_far(), place);
  throw make_error(way_on().empty() ? ErrorCode::kInterrupted : ErrorCode::kInterruptedResumable, "{}{}",
                   message, way_on());
}

int RenderCommand::run() {
  take_places();
  load();
  run_.begin(*session_);
  show();
  const auto failed = [this](ErrorCode code, std::string message) {
    message += run_.rescue();
    return Error(code, message.append(way_on()));
  };
  try {
    run_.render();
    if (!run_.stopped()) finish();
    if (!run_.stopped() && !run_.failure()) return 0;
    end_early();
  } catch (const Error& error) {
    display_.clear_line();
    if (error.exit_code() >= static_cast<int>(ErrorCode::kInterruptedResumable)) throw;
    throw failed(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    display_.clear_line();
    throw failed(ErrorCode::kResources, std::string(kNoMemory));
  } catch (const std::exception& error) {
    display_.clear_line();
    throw failed(ErrorCode::kInternal, std::string(kInternal) + error.what());
  }
}

}  // namespace

void add_render(CLI::App& root, int& exit_code) {
  CLI::App* const app = root.add_subcommand("render", "Paint a photograph in the style of paintings");
  const auto arguments = std::make_shared<RenderArguments>();
  add_render_arguments(*app, *arguments)->required();
  app->callback([arguments, &exit_code] {
    install_interruption("render");
    // Whoever read the progress has gone (| head -1): the picture is wanted all the same.
    std::signal(SIGPIPE, SIG_IGN);
    if (arguments->quiet && arguments->verbose) {
      throw Error(ErrorCode::kUsage, "options -q, -v: expected one of them, found both");
    }
    exit_code = RenderCommand(*arguments).run();
  });
}

}  // namespace impasto::apps
