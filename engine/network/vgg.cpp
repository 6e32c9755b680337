#include "engine/network/vgg.h"

#include <algorithm>

#include "engine/core/error.h"

namespace impasto {
namespace {

/// "conv4_2" -> "4_2"; block and position identify a layer.
std::string suffix(const std::string& conv_name) { return conv_name.substr(4); }

bool is_conv_tap(const std::string& tap) { return tap.starts_with("conv"); }

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
  std::size_t missing = graph.taps.size();
  graph.tap_nodes.assign(graph.taps.size(), -1);
  const auto mark = [&](Node& node) {
    const auto found = std::find(graph.taps.begin(), graph.taps.end(), node.name);
    if (found == graph.taps.end()) return;
    node.tap = static_cast<int>(found - graph.taps.begin());
    graph.tap_nodes[static_cast<std::size_t>(node.tap)] = static_cast<int>(graph.nodes.size());
    --missing;
  };

  for (std::size_t i = 0; i < weights.layers.size() && missing > 0; ++i) {
    const ConvWeights& conv = weights.layers[i];
    const std::string id = suffix(conv.name);
    if (i > 0 && id[0] != suffix(weights.layers[i - 1].name)[0]) {
      Node pool{NodeKind::kPool, std::string("pool") + suffix(weights.layers[i - 1].name)[0], -1,
                conv.in_channels, -1};
      mark(pool);
      graph.nodes.push_back(pool);
    }
    if (std::find(graph.taps.begin(), graph.taps.end(), conv.name) != graph.taps.end()) {
      Node plain{NodeKind::kConv, conv.name, static_cast<int>(i), conv.out_channels, -1};
      mark(plain);
      graph.nodes.push_back(plain);
      if (missing == 0) break;
      Node relu{NodeKind::kRelu, "relu" + id, -1, conv.out_channels, -1};
      mark(relu);
      graph.nodes.push_back(relu);
    } else {
      Node fused{NodeKind::kConvRelu, "relu" + id, static_cast<int>(i), conv.out_channels, -1};
      mark(fused);
      graph.nodes.push_back(fused);
    }
  }
  for (std::size_t t = 0; t < graph.taps.size(); ++t) {
    if (graph.tap_nodes[t] >= 0) continue;
    const std::string last = weights.layers.empty() ? "none" : suffix(weights.layers.back().name);
    throw Error(ErrorCode::kUsage, "layer '" + graph.taps[t] + "': expected convX_Y or reluX_Y of " +
                                       weights.network + " up to " +
                                       (is_conv_tap(graph.taps[t]) ? "conv" : "relu") + last +
                                       ", found none of that name");
  }
  return graph;
}

}  // namespace impasto
