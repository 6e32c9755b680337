#pragma once
// Forward through VGG, and backward with respect to the picture only: the weights are frozen.
#include <functional>

#include "engine/backend/backend.h"
#include "engine/network/conv_filters.h"
#include "engine/network/memory_plan.h"
#include "engine/network/vgg.h"
#include "engine/network/weights.h"

namespace impasto {

/// Memory that a plan describes: an arena of at least plan.arena_bytes, and a workspace.
struct NetworkMemory {
  const NetworkPlan* plan = nullptr;
  void* arena = nullptr;
  Workspace workspace;
  [[nodiscard]] TensorView view(const PlannedTensor& tensor) const {
    return {static_cast<std::byte*>(arena) + tensor.offset, tensor.shape, tensor.dtype};
  }
};

class FeatureExtractor {
 public:
  /// Called in forward as soon as a tap's features exist; they
  /// may be overwritten after the call in a kForward plan.
  using OnTap = std::function<void(int tap, ConstTensorView features)>;
  /// Called in backward where a tap's layer is reached:
  /// must overwrite d with the losses' gradient at the tap.
  using WriteTapGradient = std::function<void(int tap, TensorView d, ConstTensorView features)>;

  /// With filters that others may use, too: make_conv_filters() of this graph or of a deeper one.
  FeatureExtractor(Backend& backend, ConvFilters filters, NodeGraph graph, Pooling pooling);
  /// With filters of its own.
  FeatureExtractor(Backend& backend, const Weights& weights, NodeGraph graph, Pooling pooling);

  [[nodiscard]] const NodeGraph& graph() const { return graph_; }

  /// picture (h,w,3) real. Stops after node `last_node` (-1: the deepest tap).
  void forward(const NetworkMemory& memory, ConstTensorView picture, const OnTap& on_tap, int last_node = -1);
  /// After forward with a kForwardBackward plan. dpicture (h,w,3)
  /// real is overwritten with `scale` times the gradient.
  void backward(const NetworkMemory& memory, TensorView dpicture, double scale,
                const WriteTapGradient& write_tap_gradient);

 private:
  [[nodiscard]] const ConvFilter& filter(const Node& node) const {
    return *filters_[static_cast<std::size_t>(node.conv)];
  }

  Backend& backend_;
  NodeGraph graph_;
  Pooling pooling_;
  ConvFilters filters_;
};

}  // namespace impasto
