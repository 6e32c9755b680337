#include "engine/network/plan_search.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "engine/core/message.h"

namespace impasto {
namespace {

/// Nodes that a segment may end at.
std::vector<int> segment_ends(const NodeGraph& graph, const ProgramTask& task) {
  std::vector<int> ends;
  for (int i = 0; i < task.last_node; ++i) {
    if (graph.nodes[static_cast<std::size_t>(i)].kind == NodeKind::kPool) ends.push_back(i);
  }
  if (task.last_node >= 0) ends.push_back(task.last_node);
  return ends;
}

class Search {
 public:
  Search(const NodeGraph& graph, const ProgramTask& task, const BackendTraits& traits, std::size_t bytes)
      : graph_(graph),
        task_(task),
        traits_(traits),
        most_(bytes),
        shapes_(graph.shapes(task.picture)),
        ends_(segment_ends(graph, task)) {}

  [[nodiscard]] Segments run() {
    const Segments at_once{{task_.last_node, 0}};
    if (const auto bytes = bytes_of(at_once); bytes && *bytes <= most_) return at_once;
    std::vector<std::pair<double, Segments>> ways;
    for (Segments& way : all_ways()) ways.emplace_back(least_work(way), std::move(way));
    std::stable_sort(ways.begin(), ways.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    Segments best, smallest;
    double best_work = std::numeric_limits<double>::infinity();
    std::size_t least_bytes = std::numeric_limits<std::size_t>::max();
    for (auto& [least, way] : ways) {
      if (least >= best_work) break;
      const std::optional<std::size_t> bytes = bytes_of(way);
      if (!bytes) continue;
      if (*bytes < least_bytes) {
        least_bytes = *bytes;
        smallest = way;
      }
      if (*bytes > most_) continue;
      widen(way);
      const double work = convolution_flops(program(way, Strips::kAll));
      if (work >= best_work) continue;
      best_work = work;
      best = std::move(way);
    }
    if (!best.empty()) return best;
    return smallest.empty() ? at_once : smallest;
  }

 private:
  [[nodiscard]] std::int64_t height(int node) const { return shapes_[static_cast<std::size_t>(node)].h; }
  [[nodiscard]] Program program(const Segments& segments, Strips strips) const {
    return make_program(graph_, task_, traits_, segments, strips);
  }

  /// Every choice of kept pools, each segment at once or in strips of one row. Neighbours at once are one.
  [[nodiscard]] std::vector<Segments> all_ways() const {
    std::vector<Segments> ways{{}};
    for (const int end : ends_) {
      std::vector<Segments> longer;
      for (const Segments& way : ways) {
        for (const std::int64_t rows : {0, 1}) {
          Segments next = way;
          // On from the segment before, if it may reach as far.
          if (!next.empty() && next.back().rows == rows) {
            next.back().last_node = end;
            longer.push_back(next);
            if (rows == 0) continue;
            next = way;
          }
          next.push_back({end, rows});
          longer.push_back(std::move(next));
        }
      }
      ways = std::move(longer);
    }
    return ways;
  }

  /// Without what strips have in common with their neighbours.
  [[nodiscard]] double least_work(const Segments& segments) const {
    double work = 0;
    int node = 0;
    std::int64_t channels = task_.picture.c;
    for (const Segment& segment : segments) {
      const double times = task_.pass == Pass::kForward ? 1 : segment.rows == 0 ? 2 : 3;
      for (; node <= segment.last_node; ++node) {
        const Node& n = graph_.nodes[static_cast<std::size_t>(node)];
        const auto elements = static_cast<double>(shapes_[static_cast<std::size_t>(node)].elements());
        if (n.conv >= 0) work += times * 2 * 9 * static_cast<double>(channels) * elements;
        channels = n.channels;
      }
    }
    return work;
  }

  /// Of arena and workspace; nothing where the device cannot do a layer so, or an operand has more elements
  /// than it takes at once.
  [[nodiscard]] std::optional<std::size_t> bytes_of(const Segments& segments) const {
    Program few = program(segments, Strips::kFew);
    for (const Step& step : few.steps) {
      for (const Step::Operand& operand : {step.out, step.in}) {
        if (operand && few.shape(operand).elements() > traits_.most_elements) {
          return std::nullopt;
        }
      }
    }
    try {
      return align_up(plan_memory(std::move(few), traits_).bytes(), traits_.alignment);
    } catch (const Error& error) {  // the device has no way to do one of its layers
      if (error.code() == ErrorCode::kResources) return std::nullopt;
      throw;
    }
  }

  /// Makes strips as high as fits; those of the widest layers first.
  void widen(Segments& segments) const {
    for (Segment& segment : segments) {
      if (segment.rows == 0) continue;
      std::int64_t most = height(segment.last_node), fits = 1;
      while (fits < most) {
        segment.rows = (fits + most + 1) / 2;
        const std::optional<std::size_t> bytes = bytes_of(segments);
        const bool ok = bytes && *bytes <= most_;
        (ok ? fits : most) = ok ? segment.rows : segment.rows - 1;
      }
      segment.rows = fits;
    }
  }

  const NodeGraph& graph_;
  const ProgramTask& task_;
  const BackendTraits& traits_;
  std::size_t most_;
  std::vector<Shape> shapes_;
  std::vector<int> ends_;
};

}  // namespace

Segments choose_segments(const NodeGraph& graph, const ProgramTask& task, const BackendTraits& traits,
                         std::size_t bytes) {
  return task.last_node < 0 ? Segments{} : Search(graph, task, traits, bytes).run();
}

Segments finest_segments(const NodeGraph& graph, const ProgramTask& task) {
  Segments segments;
  for (const int end : segment_ends(graph, task)) segments.push_back({end, 1});
  return segments;
}

std::string to_text(const Segments& segments) {
  std::string text;
  for (const Segment& segment : segments) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", segment.last_node, segment.rows);
  }
  return text;
}

std::string describe(const NodeGraph& graph, Shape picture, const Segments& segments) {
  const std::vector<Shape> shapes = graph.shapes(picture);
  std::string text;
  for (const Segment& segment : segments) {
    const auto last = static_cast<std::size_t>(segment.last_node);
    if (segments.size() > 1) text += (text.empty() ? "layers to " : ", to ") + graph.nodes[last].name + " ";
    if (segment.rows == 0) {
      text += "at once";
      continue;
    }
    const std::int64_t strips = (shapes[last].h + segment.rows - 1) / segment.rows;
    text += strips == 1 ? "again on the way back" : fmt::format("in {} strips", strips);
  }
  return text;
}

}  // namespace impasto
