#include "apps/trace.h"

#include <cmath>
#include <utility>
#include <vector>

#include "engine/core/text.h"

namespace impasto::apps {
namespace {

std::string number(double value) { return std::isfinite(value) ? format_number(value) : "null"; }

std::string layers(const std::vector<std::pair<std::string, double>>& losses) {
  std::string text = "{";
  for (const auto& [layer, loss] : losses) {
    if (text.size() > 1) text += ',';
    text += '"' + layer + "\":" + number(loss);
  }
  return text + "}";
}

}  // namespace

std::string trace_line(const Progress& p) {
  return "{\"scale\":" + std::to_string(p.scale) + ",\"iteration\":" + std::to_string(p.iteration) +
         ",\"width\":" + std::to_string(p.size.width) + ",\"height\":" + std::to_string(p.size.height) +
         ",\"loss\":" + number(p.loss) + ",\"content\":" + layers(p.content) +
         ",\"style\":" + layers(p.style) + ",\"tv\":" + number(p.tv) + ",\"seconds\":" + number(p.seconds) +
         "}";
}

TraceWriter::TraceWriter(const std::filesystem::path& path, Mode mode)
    : what_("trace '" + path.string() + "'"),
      file_(Descriptor::open(path, mode == Mode::kAppend ? Access::kAppend : Access::kReplace)) {
  if (!file_.valid()) throw file_error(what_, "a file that can be written");
}

void TraceWriter::write(const Progress& progress) {
  const std::string line = trace_line(progress) + '\n';
  if (!file_.write(line.data(), line.size())) throw file_error(what_, "room for a line");
}

}  // namespace impasto::apps
