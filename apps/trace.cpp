#include "apps/trace.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/core/error.h"

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
         ",\"width\":" + std::to_string(p.width) + ",\"height\":" + std::to_string(p.height) +
         ",\"loss\":" + number(p.loss) + ",\"content\":" + layers(p.content) +
         ",\"style\":" + layers(p.style) + ",\"tv\":" + number(p.tv) + ",\"seconds\":" + number(p.seconds) +
         "}";
}

TraceWriter::TraceWriter(const std::filesystem::path& path, Mode mode)
    : name_(path.string()), file_(std::fopen(path.c_str(), mode == Mode::kAppend ? "ae" : "we")) {
  if (!file_) {
    throw Error(ErrorCode::kBadInput,
                "trace '" + name_ + "': expected a file that can be written, found " + std::strerror(errno));
  }
}

void TraceWriter::write(const Progress& progress) {
  const std::string line = trace_line(progress) + '\n';
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0) {
    throw Error(ErrorCode::kBadInput,
                "trace '" + name_ + "': expected room for a line, found " + std::strerror(errno));
  }
}

}  // namespace impasto::apps
