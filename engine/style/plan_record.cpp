#include "engine/style/plan_record.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <sstream>
#include <string_view>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/network/plan_search.h"
#include "engine/style/schedule.h"

namespace impasto {
namespace {

[[noreturn]] void refuse() {
  throw Error(ErrorCode::kBadInput, "checkpoint: expected how each scale was planned, found another text");
}

std::int64_t parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kMostSide) refuse();
  return value;
}

std::pair<std::int64_t, std::int64_t> parse_pair(std::string_view text, char between) {
  const std::size_t at = text.find(between);
  if (at == std::string_view::npos) refuse();
  return {parse_number(text.substr(0, at)), parse_number(text.substr(at + 1))};
}

std::string segments_text(const Segments& segments) { return segments.empty() ? "-" : to_text(segments); }

Segments parse_segments(const std::string& text) {
  Segments segments;
  if (text == "-") return segments;
  for (const std::string& word : split(text, ',')) {
    const auto [node, rows] = parse_pair(word, ':');
    segments.push_back({static_cast<int>(node), rows});
  }
  return segments;
}

ScaleWays parse_scale(const std::string& line) {
  std::istringstream words(line);
  const auto next = [&](const char* expected = nullptr) {
    std::string word;
    if (!(words >> word) || (expected != nullptr && word != expected)) refuse();
    return word;
  };
  ScaleWays ways;
  const auto [width, height] = parse_pair(next(), 'x');
  ways.size = {width, height};
  next("history");
  ways.history = static_cast<int>(parse_number(next()));
  next("evaluation");
  ways.evaluation = parse_segments(next());
  next("content");
  ways.content = parse_segments(next());
  for (std::string word; words >> word;) {
    if (word != "style") refuse();
    ways.styles.push_back(parse_segments(next()));
  }
  return ways;
}

}  // namespace

std::string to_text(const std::vector<ScaleLayout>& plan) {
  std::string text;
  for (const ScaleLayout& layout : plan) {
    const ScaleWays scale = ways_of(layout);
    text += fmt::format("{}x{} history {} evaluation {} content {}", scale.size.width, scale.size.height,
                        scale.history, segments_text(scale.evaluation), segments_text(scale.content));
    for (const Segments& style : scale.styles) text += " style " + segments_text(style);
    text += "\n";
  }
  return text;
}

std::vector<ScaleWays> parse_plan(const std::string& text) {
  std::vector<ScaleWays> plan;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) plan.push_back(parse_scale(line));
  if (plan.empty()) refuse();
  return plan;
}

}  // namespace impasto
