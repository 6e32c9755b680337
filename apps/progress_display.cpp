#include "apps/progress_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/plan_report.h"
#include "apps/text.h"
#include "apps/trace.h"
#include "engine/backend/system.h"
#include "engine/core/message.h"
#include "engine/core/text.h"

namespace impasto::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kRedraw = std::chrono::milliseconds(100);

void say(const std::string& line) { print_one_line(stderr, {line}); }

/// Text that a user's file names may be part of: bytes that are not UTF-8 are replaced.
void say(const Json& object) { say(object.dump(-1, ' ', false, Json::error_handler_t::replace)); }

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

const Names<ProgressKind>& progress_kinds() {
  static const Names<ProgressKind> names{
      {ProgressKind::kAuto, {"auto", "a bar on a terminal, else a line at start and end"}},
      {ProgressKind::kBar, {"bar"}},
      {ProgressKind::kJson, {"json", "an object a line"}},
      {ProgressKind::kNone, {"none"}}};
  return names;
}

ProgressDisplay::ProgressDisplay(ProgressKind kind) : kind_(kind) {
  if (kind == ProgressKind::kAuto) {
    kind_ = ::isatty(STDERR_FILENO) ? ProgressKind::kBar : ProgressKind::kLines;
  }
}

void ProgressDisplay::start(const RenderPlan& plan, const Forecast& forecast, const std::string& device,
                            const std::string& weights) {
  plan_ = plan;
  began_ = Clock::now();
  if (kind_ == ProgressKind::kJson) {
    say(Json{
        {"event", "start"}, {"device", device}, {"weights", weights}, {"plan", plan_json(plan, forecast)}});
  } else if (kind_ == ProgressKind::kBar || kind_ == ProgressKind::kLines) {
    const ScalePlan& last = plan.scales.back();
    say(fmt::format("impasto: rendering {} in {} {} with {} on {}: {}", to_string(last.size),
                    plan.scales.size(), plan.scales.size() == 1 ? "scale" : "scales", weights, device,
                    plan_line(plan, forecast)));
  }
}

void ProgressDisplay::update(const Progress& progress) {
  if (iterations_ == 0) {
    first_seconds_ = progress.seconds;
  } else {
    work_done_ += plan_.scales[static_cast<std::size_t>(progress.scale)].flops;
  }
  ++iterations_;
  if (progress.scale != last_.scale || last_.iteration == 0) scale_first_ = progress;
  last_ = progress;
  if (kind_ == ProgressKind::kJson) {
    say(fmt::format(R"({{"event":"progress","num_scales":{},"iterations":{},"seconds_left":{},{}}})",
                    progress.num_scales, progress.iterations, format_number(seconds_left()),
                    trace_members(progress)));
  } else if (kind_ == ProgressKind::kBar) {
    const auto now = Clock::now();
    if (bar_shown_ && now - drawn_ < kRedraw) return;
    drawn_ = now;
    draw_bar();
  }
}

void ProgressDisplay::warn(const std::string& message) {
  if (kind_ == ProgressKind::kQuiet) return;
  clear_line();
  if (kind_ == ProgressKind::kJson) {
    say(Json{{"event", "warning"}, {"message", message}});
  } else {
    say("impasto: warning: " + message);
  }
}

void ProgressDisplay::end(const Outcome& outcome) {
  clear_line();
  if (kind_ == ProgressKind::kJson) {
    say(Json{{"event", "end"},
             {"output", outcome.output},
             {"width", outcome.size.width},
             {"height", outcome.size.height},
             {"finished", outcome.finished},
             {"scale", last_.scale},
             {"iteration", last_.iteration},
             {"loss", last_.loss},
             {"seconds", last_.seconds},
             {"planned_bytes", plan_.device_bytes},
             {"counted_bytes", outcome.counted_bytes},
             {"process_peak_bytes", peak_memory_bytes()}});
  } else if (kind_ == ProgressKind::kBar || kind_ == ProgressKind::kLines) {
    const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    say(fmt::format("impasto: wrote {}, {}, loss {}, {} {} in {} s, device peak {}, process peak {}",
                    outcome.output, to_string(outcome.size), format_significant(last_.loss, 4), iterations_,
                    iterations_ == 1 ? "iteration" : "iterations", format_significant(seconds, 3),
                    format_bytes(static_cast<double>(outcome.counted_bytes)),
                    format_bytes(static_cast<double>(peak_memory_bytes()))));
  }
}

void ProgressDisplay::clear_line() {
  if (!bar_shown_) return;
  std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
}

void ProgressDisplay::draw_bar() {
  const double seconds = last_.seconds - scale_first_.seconds;
  const double per_second = seconds > 0 ? (last_.iteration - scale_first_.iteration) / seconds : 0;
  const double left = seconds_left();
  std::string head = to_string(last_.size) + " ";
  if (last_.num_scales > 1) {
    head = fmt::format("scale {}/{} {}", last_.scale + 1, last_.num_scales, head);
  }
  std::string tail =
      fmt::format(" {}/{}  loss {}", last_.iteration, last_.iterations, format_significant(last_.loss, 4));
  if (per_second > 0) tail += "  " + format_significant(per_second, 3) + " it/s";
  if (left > 0) tail += "  ETA " + format_duration(left);
  const std::size_t columns = terminal_columns();
  const std::size_t used = head.size() + tail.size() + 3;  // brackets, and the last column stays free
  if (columns >= used + 5) {
    const std::size_t width = std::min<std::size_t>(columns - used, 40);
    const auto done = static_cast<std::size_t>(static_cast<double>(width) * last_.iteration /
                                               std::max(last_.iterations, 1));
    head += "[" + std::string(done, '#') + std::string(width - std::min(done, width), '.') + "]";
  }
  std::fputs(("\r" + (head + tail).substr(0, columns - 1) + "\033[K").c_str(), stderr);
  bar_shown_ = true;
}

double ProgressDisplay::seconds_left() const {
  if (work_done_ <= 0) return 0;
  double work_left = 0;
  for (auto i = static_cast<std::size_t>(last_.scale); i < plan_.scales.size(); ++i) {
    int iterations = plan_.scales[i].iterations;
    if (static_cast<int>(i) == last_.scale) iterations = last_.ends_scale ? 0 : iterations - last_.iteration;
    work_left += plan_.scales[i].flops * iterations;
  }
  return work_left * (last_.seconds - first_seconds_) / work_done_;
}

}  // namespace impasto::apps
