#include "engine/network/feature_extractor.h"

#include <algorithm>

#include "engine/core/trace.h"

namespace impasto {
namespace {

/// "conv3_2", whose ReLU may be fused; else the node's own name. For traces.
[[maybe_unused]] std::string layer_name(const Node& node) {
  return node.conv >= 0 ? "conv" + node.name.substr(4) : node.name;
}

}  // namespace

FeatureExtractor::FeatureExtractor(Backend& backend, ConvFilters filters, NodeGraph graph, Pooling pooling)
    : backend_(backend), graph_(std::move(graph)), pooling_(pooling), filters_(std::move(filters)) {}

FeatureExtractor::FeatureExtractor(Backend& backend, const Weights& weights, NodeGraph graph, Pooling pooling)
    : FeatureExtractor(backend, make_conv_filters(backend, weights, graph), graph, pooling) {}

void FeatureExtractor::forward(const NetworkMemory& memory, ConstTensorView picture, const OnTap& on_tap,
                               int last_node) {
  const NetworkPlan& plan = *memory.plan;
  const TensorView input = memory.view(plan.input);
  backend_.picture_to_input(input, picture);
  ConstTensorView x = input;
  const int end = last_node < 0 ? static_cast<int>(graph_.nodes.size()) : last_node + 1;
  for (int i = 0; i < end; ++i) {
    const Node& node = graph_.nodes[static_cast<std::size_t>(i)];
    const TensorView y = memory.view(plan.output[static_cast<std::size_t>(i)]);
    IMPASTO_TRACE_RANGE(layer_name(node) + " forward");
    switch (node.kind) {
      case NodeKind::kConv:
      case NodeKind::kConvRelu:
        backend_.conv2d_forward(y, x, filter(node), {},
                                node.kind == NodeKind::kConvRelu ? Relu::kYes : Relu::kNo, memory.workspace);
        break;
      case NodeKind::kRelu: backend_.relu_forward(y, x); break;
      case NodeKind::kPool: backend_.pool_forward(y, x, pooling_); break;
    }
    if (node.tap >= 0) on_tap(node.tap, y);
    x = y;
  }
}

void FeatureExtractor::backward(const NetworkMemory& memory, TensorView dpicture, double scale,
                                const WriteTapGradient& write_tap_gradient) {
  const NetworkPlan& plan = *memory.plan;
  // Before node i is walked, gradient[i] is the gradient with
  // respect to its output, for a kConvRelu already masked.
  const std::size_t deepest = graph_.nodes.size() - 1;
  {
    const TensorView d = memory.view(plan.gradient[deepest]);
    const TensorView y = memory.view(plan.output[deepest]);
    write_tap_gradient(graph_.nodes[deepest].tap, d, y);
    if (graph_.nodes[deepest].kind == NodeKind::kConvRelu)
      backend_.relu_backward(d, d, y, Accumulate::kOverwrite);
  }
  for (std::size_t i = deepest + 1; i-- > 0;) {
    const Node& node = graph_.nodes[i];
    IMPASTO_TRACE_RANGE(layer_name(node) + " backward");
    const TensorView dy = memory.view(plan.gradient[i]);
    if (i == 0) {
      const TensorView dinput = memory.view(plan.dinput);
      backend_.conv2d_backward_data(dinput, dy, filter(node), {}, Accumulate::kOverwrite, {},
                                    memory.workspace);
      backend_.input_to_picture(dpicture, dinput, scale, Accumulate::kOverwrite);
      break;
    }
    const Node& below = graph_.nodes[i - 1];
    const TensorView dx = memory.view(plan.gradient[i - 1]);
    const TensorView x = memory.view(plan.output[i - 1]);
    Accumulate accumulate = Accumulate::kOverwrite;
    if (below.tap >= 0) {
      write_tap_gradient(below.tap, dx, x);
      accumulate = Accumulate::kAdd;
    }
    const bool mask = below.kind == NodeKind::kConvRelu;
    switch (node.kind) {
      case NodeKind::kConv:
      case NodeKind::kConvRelu:
        backend_.conv2d_backward_data(dx, dy, filter(node), {}, accumulate,
                                      mask ? ConstTensorView(x) : ConstTensorView{}, memory.workspace);
        break;
      case NodeKind::kRelu: backend_.relu_backward(dx, dy, x, accumulate); break;
      case NodeKind::kPool:
        backend_.pool_backward(dx, dy, x, pooling_, accumulate, mask ? Relu::kYes : Relu::kNo);
        break;
    }
  }
}

}  // namespace impasto
