#pragma once
// VGG as a list of nodes, from the picture to the deepest tap. Names are the field's: conv1_1, relu1_1, ...,
// pool1. What the networks are made of: vgg_blocks.h.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/network/weights.h"

namespace impasto {

enum class NodeKind : std::uint8_t {
  kConv,      ///< 3x3 convolution + bias, its output is a tap before the ReLU
  kConvRelu,  ///< the same with the ReLU fused
  kRelu,      ///< only after a kConv
  kPool,      ///< 2x2, stride 2, sizes rounded down
};

struct Node {
  NodeKind kind;
  std::string name;           ///< of its output: "conv4_2", "relu4_2", "pool4"
  int conv = -1;              ///< index into Weights::layers, for convolutions
  std::int64_t channels = 0;  ///< of its output
  int tap = -1;               ///< index of the tap at its output
};

/// A network cut after its deepest tap. Node i reads node i - 1's output; node 0 reads the picture.
struct NodeGraph {
  std::vector<Node> nodes;
  std::vector<std::string> taps;  ///< as given, without duplicates
  std::vector<int> tap_nodes;     ///< node of each tap

  /// Output shapes of all nodes for a picture of this shape; a side that is too small for a pool gives 0.
  [[nodiscard]] std::vector<Shape> shapes(Shape picture) const;
  /// Smallest picture side for which every node has an output.
  [[nodiscard]] std::int64_t min_side() const;
};

/// Error(kUsage) for a tap that the network does not have or that lies beyond the weights' last layer.
[[nodiscard]] NodeGraph build_graph(const Weights& weights, std::span<const std::string> taps);

}  // namespace impasto
