#include "apps/trace.h"

#include <cmath>
#include <utility>
#include <vector>

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

}  // namespace

std::string trace_members(const Progress& p) {
  std::string losses;
  for (const LossValue& loss : p.losses) losses += member(loss) + ",";
  return fmt::format(R"("scale":{},"iteration":{},"width":{},"height":{},"loss":{},{}"seconds":{})", p.scale,
                     p.iteration, p.size.width, p.size.height, number(p.loss), losses, number(p.seconds));
}

TraceWriter::TraceWriter(const std::filesystem::path& path, Mode mode)
    : what_(fmt::format("trace '{}'", path.string())),
      file_(Descriptor::open(path, mode == Mode::kAppend ? Access::kAppend : Access::kReplace)) {
  if (!file_.valid()) throw file_error(what_, "a file that can be written");
}

void TraceWriter::write(const Progress& progress) {
  const std::string line = fmt::format("{{{}}}\n", trace_members(progress));
  if (!file_.write(line.data(), line.size())) throw file_error(what_, "room for a line");
}

}  // namespace impasto::apps
