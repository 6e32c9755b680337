#include "apps/trace.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/places.h"
#include "engine/core/message.h"
#include "engine/core/text.h"

namespace impasto::apps {
namespace {

/// nlohmann's numbers read back, too, but about one in 1600 has a digit too many.
std::string number(double value) { return std::isfinite(value) ? format_number(value) : "null"; }

/// "style":{"relu1_1":0.5,...}, or "tv":0.5
std::string member(const LossValue& loss) {
  if (loss.of_picture) return fmt::format(R"("{}":{})", loss.name, number(loss.sum()));
  std::string text;
  for (const auto& [layer, value] : loss.terms) {
    text += fmt::format(R"({}"{}":{})", text.empty() ? "" : ",", layer, number(value));
  }
  return fmt::format(R"("{}":{{{}}})", loss.name, text);
}

constexpr std::string_view kLineStart = R"({"scale":)";
constexpr std::size_t kLongestLine = 1 << 20;  // bytes; far above what is written

/// Of a line as trace_members begins it.
std::optional<TracePosition> position_of(std::string_view line) {
  TracePosition position;
  const auto take = [&line](std::string_view text, std::int64_t& number) {
    if (!line.starts_with(text)) return false;
    line.remove_prefix(text.size());
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    return error == std::errc();
  };
  if (!take(kLineStart, position.scale) || !take(R"(,"iteration":)", position.iteration)) return {};
  return position;
}

Descriptor open_trace(const std::string& what, const std::filesystem::path& path, Existing existing,
                      bool goes_on) {
  if (const int stream = standard_stream(path); stream >= 0) {
    return Descriptor(::fcntl(stream, F_DUPFD_CLOEXEC, 0));
  }
  const std::filesystem::path target = place_behind_links(what, path);
  std::error_code ignored;
  const auto status = std::filesystem::status(target, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return Descriptor::open(target, Access::kWrite);
  }
  // Not emptied before it is known to be nobody else's.
  const int only_new = existing == Existing::kKeep && !goes_on ? O_EXCL : 0;
  return Descriptor(uninterrupted([&] {
    return ::open(target.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | only_new, 0666);
  }));
}

}  // namespace

std::string trace_members(const Progress& p) {
  std::string losses;
  for (const LossValue& loss : p.losses) losses += member(loss) + ",";
  return fmt::format(R"("scale":{},"iteration":{},"width":{},"height":{},"loss":{},{}"seconds":{})", p.scale,
                     p.iteration, p.size.width, p.size.height, number(p.loss), losses, number(p.seconds));
}

TraceWriter::TraceWriter(const std::filesystem::path& path, Existing existing,
                         std::optional<TracePosition> after)
    : what_(fmt::format("trace '{}'", path.string())),
      file_(open_trace(what_, path, existing, after.has_value())) {
  if (!file_.valid()) throw file_error(what_, "a file that can be written");
  struct stat status {};
  regular_ = standard_stream(path) < 0 && ::fstat(file_.number(), &status) == 0 && S_ISREG(status.st_mode);
  if (!regular_) return;
  // By its other name it may be another user's, or one that is not to be written.
  if (status.st_nlink > 1) throw file_error(what_, "a file of one name", "one that has others");
  require_lock(file_, what_);
  if (after) cut_behind(*after);
  if (uninterrupted([this] { return ::ftruncate(file_.number(), static_cast<off_t>(bytes_)); }) != 0) {
    throw file_error(what_, "a file that can be written");
  }
}

void TraceWriter::cut_behind(TracePosition last) {
  constexpr std::size_t kChunk = 1 << 16;
  const auto no_trace = [this](std::size_t line) {
    return file_error(what_, "the trace of the render that goes on", fmt::format("another line {}", line));
  };
  std::string text;
  std::size_t begin = 0;  // of the line in work
  for (std::size_t number = 1; true; ++number) {
    std::size_t end = text.find('\n', begin);
    while (end == std::string::npos) {
      text.erase(0, std::exchange(begin, 0));
      const std::size_t before = text.size();
      text.resize(before + kChunk);
      const auto got = file_.read(text.data() + before, kChunk);
      if (!got) throw file_error(what_, "a readable file");
      text.resize(before + *got);
      const std::string_view rest = std::string_view(text).substr(0, kLineStart.size());
      const bool half = rest == kLineStart.substr(0, rest.size()) && text.size() <= kLongestLine;
      if (!half) throw no_trace(number);
      if (*got == 0) return;
      end = text.find('\n', before);
    }
    const auto position = position_of(std::string_view(text).substr(begin, end - begin));
    if (!position) throw no_trace(number);
    if (*position > last) return;
    bytes_ += end + 1 - begin;
    begin = end + 1;
  }
}

void TraceWriter::write(const Progress& progress) {
  const std::string line = fmt::format("{{{}}}\n", trace_members(progress));
  if (file_.write(line.data(), line.size())) {
    bytes_ += line.size();
    return;
  }
  const Error failure = file_error(what_, "room for a line");
  if (regular_) (void)!::ftruncate(file_.number(), static_cast<off_t>(bytes_));
  throw failure;
}

}  // namespace impasto::apps
