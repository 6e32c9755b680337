#include "apps/batch_report.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/places.h"
#include "apps/text.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kRedraw = std::chrono::milliseconds(100), kTell = std::chrono::milliseconds(1000);
constexpr const char* kStatusWords[] = {"done", "skipped", "failed"};
constexpr std::string_view kReportStart = R"({"line":)";

void say(const std::string& line) { print_one_line(stderr, {line}); }
/// Names of files may hold bytes that are not UTF-8.
std::string text_of(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json account_of(const BatchEntry& entry, const EntryEnd& how) {
  Json account{{"line", entry.line},
               {"content", entry.arguments.content},
               {"style", entry.arguments.styles},
               {"output", entry.arguments.output},
               {"status", kStatusWords[static_cast<std::size_t>(how.status)]},
               {"exit_code", how.error ? how.error->exit_code() : 0},
               {"error", how.error ? Json(how.error->what()) : Json()}};
  const bool rendered = how.last.iteration > 0;
  account["seconds"] = rendered ? Json(how.last.seconds) : Json();
  account["width"] = rendered ? Json(how.last.size.width) : Json();
  account["height"] = rendered ? Json(how.last.size.height) : Json();
  account["loss"] = rendered && std::isfinite(how.last.loss) ? Json(how.last.loss) : Json();
  return account;
}

}  // namespace

EntryReport::EntryReport(const std::string& file) : what_(fmt::format("report '{}'", file)) {
  if (file.empty()) return;
  const int stream = standard_stream(file);
  if (stream >= 0) {
    file_ = Descriptor(::fcntl(stream, F_DUPFD_CLOEXEC, 0));
  } else {
    const std::filesystem::path place = place_behind_links(what_, file);
    file_ = Descriptor(uninterrupted([&] {
      return ::open(place.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    }));
  }
  if (!file_.valid()) throw file_error(what_, "a file that can be written");
  struct stat status {};
  if (stream >= 0 || ::fstat(file_.number(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size == 0) {
    return;
  }
  std::string start(kReportStart.size(), '\0');
  char last = '\n';
  const auto got = file_.read(start.data(), start.size());
  if (!got || start.substr(0, *got) != kReportStart) {
    throw file_error(what_, "the report of a batch, to go on with", "another file");
  }
  if (::pread(file_.number(), &last, 1, status.st_size - 1) == 1 && last != '\n') {  // cut short
    (void)file_.write("\n", 1);
  }
}

void EntryReport::add(const std::string& line) {
  if (!file_.valid()) return;
  const std::string whole = line + "\n";  // in one piece: others write there, too
  if (file_.write(whole.data(), whole.size())) return;
  const Error failure = file_error(what_, "room for a line");
  file_ = Descriptor();
  throw failure;
}

BatchDisplay::BatchDisplay(ProgressKind kind, const std::string& report) : kind_(kind), report_(report) {
  if (kind == ProgressKind::kAuto) {
    kind_ = ::isatty(STDERR_FILENO) ? ProgressKind::kBar : ProgressKind::kLines;
  }
}

void BatchDisplay::start(const Whole& whole, const std::string& how) {
  const std::lock_guard lock(mutex_);
  whole_ = whole;
  began_ = Clock::now();
  if (kind_ == ProgressKind::kJson) {
    say(text_of(Json{{"event", "start"}, {"entries", whole.entries}, {"how", how}}));
  } else if (kind_ == ProgressKind::kBar || kind_ == ProgressKind::kLines) {
    say(fmt::format("impasto: {} {}, {}", whole.entries, whole.entries == 1 ? "entry" : "entries", how));
  }
}

void BatchDisplay::warn(const std::string& message) {
  if (kind_ == ProgressKind::kQuiet) return;
  const std::lock_guard lock(mutex_);
  clear_line();
  say(kind_ == ProgressKind::kJson ? text_of(Json{{"event", "warning"}, {"message", message}})
                                   : "impasto: warning: " + message);
}

void BatchDisplay::update(const BatchEntry& entry, double work, double share) {
  const std::lock_guard lock(mutex_);
  in_work_[entry.index] = work * share;
  begun_at_.insert({entry.index, work * share});
  show(false);
}

void BatchDisplay::end(const BatchEntry& entry, double work, const EntryEnd& how) {
  std::optional<Error> lost;
  const Json account = account_of(entry, how);
  {
    const std::lock_guard lock(mutex_);
    ++counts_[static_cast<std::size_t>(how.status)];
    const auto begun = begun_at_.find(entry.index);
    const double before = begun == begun_at_.end() ? 0 : begun->second;
    const bool rendered = how.status == EntryStatus::kDone;
    work_rendered_ += rendered ? work - before : 0;
    work_left_out_ += rendered ? before : work;
    in_work_.erase(entry.index);
    begun_at_.erase(entry.index);
    if (how.error) {
      failures_.push_back(
          fmt::format("failed with exit code {}: {}", how.error->exit_code(), how.error->what()));
    }
    try {
      report_.add(text_of(account));
    } catch (const Error& error) {
      lost = error;
    }
    if (kind_ == ProgressKind::kJson) {
      Json event{{"event", "entry"}};
      event.update(account);
      say(text_of(event));
    }
    show(true);
  }
  if (lost) warn(fmt::format("{}; the batch goes on without it", lost->what()));
}

void BatchDisplay::finish(std::size_t measured) {
  const std::lock_guard lock(mutex_);
  clear_line();
  const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  if (kind_ == ProgressKind::kJson) {
    say(text_of(Json{{"event", "end"},
                     {"entries", whole_.entries},
                     {"done", count(EntryStatus::kDone)},
                     {"skipped", count(EntryStatus::kSkipped)},
                     {"failed", count(EntryStatus::kFailed)},
                     {"measured_styles", measured},
                     {"seconds", seconds}}));
    return;
  }
  for (const std::string& failure : failures_) say("impasto: " + failure);
  if (kind_ != ProgressKind::kBar && kind_ != ProgressKind::kLines) return;
  say(fmt::format("impasto: {} done, {} skipped, {} failed of {} in {} s", count(EntryStatus::kDone),
                  count(EntryStatus::kSkipped), count(EntryStatus::kFailed), whole_.entries,
                  format_significant(seconds, 3)));
}

std::size_t BatchDisplay::ended() const {
  const std::lock_guard lock(mutex_);
  return counts_[0] + counts_[1] + counts_[2];
}

std::size_t BatchDisplay::failed() const {
  const std::lock_guard lock(mutex_);
  return count(EntryStatus::kFailed);
}

void BatchDisplay::clear_line() {
  if (!bar_shown_) return;
  std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
}

double BatchDisplay::seconds_left() const {
  double done = work_rendered_, left = whole_.work - work_rendered_ - work_left_out_;
  for (const auto& [index, work] : in_work_) {
    const double here = work - begun_at_.at(index);
    done += here;
    left -= work;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  return done > 0 && left > 0 ? seconds * left / done : 0;
}

void BatchDisplay::show(bool at_once) {
  if (kind_ != ProgressKind::kBar && kind_ != ProgressKind::kJson) return;
  const auto now = Clock::now();
  if (!at_once && now - shown_ < (kind_ == ProgressKind::kBar ? kRedraw : kTell)) return;
  shown_ = now;
  const std::size_t ended = counts_[0] + counts_[1] + counts_[2];
  if (kind_ == ProgressKind::kJson) {
    say(text_of(Json{{"event", "progress"},
                     {"ended", ended},
                     {"in_work", in_work_.size()},
                     {"failed", count(EntryStatus::kFailed)},
                     {"seconds_left", seconds_left()}}));
    return;
  }
  std::string line = fmt::format("{}/{}", ended, whole_.entries);
  if (const std::size_t failed = count(EntryStatus::kFailed); failed > 0)
    line += fmt::format("  {} failed", failed);
  line += fmt::format("  {} in work", in_work_.size());
  if (const double left = seconds_left(); left > 0) line += "  ETA " + format_duration(left);
  std::fputs(("\r" + line + "\033[K").c_str(), stderr);
  bar_shown_ = true;
}

}  // namespace impasto::apps
