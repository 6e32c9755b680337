#include "engine/network/vgg.h"

#include <algorithm>
#include <optional>

#include "engine/core/error.h"
#include "engine/network/vgg_blocks.h"

namespace impasto {
namespace {

/// Of layers in network order. Error(kInternal) for a name that weights do not have.
std::vector<ConvName> conv_names(const Weights& weights) {
  std::vector<ConvName> names;
  for (const ConvWeights& layer : weights.layers) {
    const std::optional<ConvName> name = parse_conv_name(layer.name);
    if (!name) {
      throw Error(ErrorCode::kInternal, "weights: expected layers named convX_Y, found '" + layer.name + "'");
    }
    names.push_back(*name);
  }
  return names;
}

[[noreturn]] void fail_missing(const std::string& tap, const Weights& weights,
                               std::span<const ConvName> names) {
  std::string last = "none";
  if (!names.empty()) last = tap.starts_with("conv") ? names.back().str() : names.back().relu();
  throw Error(ErrorCode::kUsage, "layer '" + tap + "': expected convX_Y or reluX_Y of " + weights.network +
                                     " up to " + last + ", found none of that name");
}

}  // namespace

std::vector<Shape> NodeGraph::shapes(Shape picture) const {
  std::vector<Shape> result;
  Shape s = picture;
  for (const Node& node : nodes) {
    if (node.kind == NodeKind::kPool) s = {s.h / 2, s.w / 2, s.c};
    s.c = node.channels;
    result.push_back(s);
  }
  return result;
}

std::int64_t NodeGraph::min_side() const {
  const auto pools =
      std::count_if(nodes.begin(), nodes.end(), [](const Node& n) { return n.kind == NodeKind::kPool; });
  return std::int64_t{1} << pools;
}

NodeGraph build_graph(const Weights& weights, std::span<const std::string> taps) {
  NodeGraph graph;
  for (const std::string& tap : taps) {
    if (std::find(graph.taps.begin(), graph.taps.end(), tap) == graph.taps.end()) graph.taps.push_back(tap);
  }
  graph.tap_nodes.assign(graph.taps.size(), -1);
  std::size_t missing = graph.taps.size();
  const auto is_tap = [&](const std::string& name) {
    return std::find(graph.taps.begin(), graph.taps.end(), name) != graph.taps.end();
  };
  const auto add = [&](NodeKind kind, std::string name, int conv, std::int64_t channels) {
    Node node{kind, std::move(name), conv, channels, -1};
    if (is_tap(node.name)) {
      node.tap =
          static_cast<int>(std::find(graph.taps.begin(), graph.taps.end(), node.name) - graph.taps.begin());
      graph.tap_nodes[static_cast<std::size_t>(node.tap)] = static_cast<int>(graph.nodes.size());
      --missing;
    }
    graph.nodes.push_back(std::move(node));
  };

  const std::vector<ConvName> names = conv_names(weights);
  for (std::size_t i = 0; i < names.size() && missing > 0; ++i) {
    const ConvWeights& conv = weights.layers[i];
    const ConvName name = names[i];
    if (i > 0 && name.block != names[i - 1].block) {
      add(NodeKind::kPool, "pool" + std::to_string(names[i - 1].block), -1, conv.in_channels);
    }
    const int index = static_cast<int>(i);
    if (!is_tap(name.str())) {
      add(NodeKind::kConvRelu, name.relu(), index, conv.out_channels);
      continue;
    }
    add(NodeKind::kConv, name.str(), index, conv.out_channels);
    if (missing > 0) add(NodeKind::kRelu, name.relu(), -1, conv.out_channels);
  }
  for (std::size_t t = 0; t < graph.taps.size(); ++t) {
    if (graph.tap_nodes[t] < 0) fail_missing(graph.taps[t], weights, names);
  }
  return graph;
}

}  // namespace impasto
