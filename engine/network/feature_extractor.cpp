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

FeatureExtractor::FeatureExtractor(Backend& backend, const Weights& weights, NodeGraph graph, Pooling pooling)
    : backend_(backend), graph_(std::move(graph)), pooling_(pooling) {
  convs_.resize(weights.layers.size());
  const std::int64_t input_channels = backend_.traits().input_channels;
  for (const Node& node : graph_.nodes) {
    if (node.conv < 0) continue;
    const auto index = static_cast<std::size_t>(node.conv);
    const ConvWeights& layer = weights.layers[index];
    if (index > 0) {
      convs_[index] = backend_.make_conv2d({layer.in_channels, layer.out_channels, layer.filter, layer.bias});
      continue;
    }
    // The first layer reads the picture: scale folded in,
    // channels padded with zeros to what the backend wants.
    std::vector<float> filter(static_cast<std::size_t>(9 * input_channels * layer.out_channels), 0.0F);
    for (std::int64_t t = 0; t < 9; ++t) {
      for (std::int64_t c = 0; c < layer.in_channels; ++c) {
        const double scale = weights.preprocessing.scale[static_cast<std::size_t>(c)];
        for (std::int64_t k = 0; k < layer.out_channels; ++k) {
          filter[static_cast<std::size_t>((t * input_channels + c) * layer.out_channels + k)] =
              static_cast<float>(scale * layer.filter[static_cast<std::size_t>(
                                             (t * layer.in_channels + c) * layer.out_channels + k)]);
        }
      }
    }
    convs_[index] = backend_.make_conv2d({input_channels, layer.out_channels, filter, layer.bias});
  }
}

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
        convs_[static_cast<std::size_t>(node.conv)]->forward(
            y, x, {}, node.kind == NodeKind::kConvRelu ? Relu::kYes : Relu::kNo, memory.workspace);
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
      convs_[static_cast<std::size_t>(node.conv)]->backward_data(dinput, dy, {}, Accumulate::kOverwrite, {},
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
        convs_[static_cast<std::size_t>(node.conv)]->backward_data(
            dx, dy, {}, accumulate, mask ? ConstTensorView(x) : ConstTensorView{}, memory.workspace);
        break;
      case NodeKind::kRelu: backend_.relu_backward(dx, dy, x, accumulate); break;
      case NodeKind::kPool:
        backend_.pool_backward(dx, dy, x, pooling_, accumulate, mask ? Relu::kYes : Relu::kNo);
        break;
    }
  }
}

}  // namespace impasto
