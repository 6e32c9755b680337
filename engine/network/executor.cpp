#include "engine/network/executor.h"

#include <utility>

#include "engine/core/trace.h"

namespace impasto {

Executor::Executor(Backend& backend, const Weights& weights, NodeGraph graph)
    : backend_(backend), graph_(std::move(graph)) {
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

void Executor::run(const NetworkMemory& memory, const ExternalTensors& external, const TapHooks& hooks) {
  for (const Step& step : memory.plan->program.steps) {
    IMPASTO_TRACE_RANGE(step_name(graph_, step));
    run_step(step, memory, external, hooks);
  }
}

void Executor::run_step(const Step& step, const NetworkMemory& memory, const ExternalTensors& external,
                        const TapHooks& hooks) {
  const Program& program = memory.plan->program;
  const auto view = [&](const Step::Operand& operand) {
    if (!operand) return TensorView{};
    TensorView tensor = memory.view(operand.tensor);
    if (program.tensors[static_cast<std::size_t>(operand.tensor)].external) {
      const bool gradient = operand.tensor == Program::kPictureGradient;
      // A picture is only read: no step writes to it.
      tensor.data = gradient ? external.gradient.data : const_cast<void*>(external.picture.data);
    }
    const std::int64_t row =
        tensor.shape.w * tensor.shape.c * static_cast<std::int64_t>(size_of(tensor.dtype));
    tensor.data = static_cast<std::byte*>(tensor.data) + operand.rows.first * row;
    tensor.shape.h = operand.rows.count;
    return tensor;
  };
  const TensorView out = view(step.out), in = view(step.in);
  const ConstTensorView features = view(step.features);
  const int tap = step.node < 0 ? -1 : graph_.nodes[static_cast<std::size_t>(step.node)].tap;
  const auto conv = [&]() -> Conv2d& {
    return *convs_[static_cast<std::size_t>(graph_.nodes[static_cast<std::size_t>(step.node)].conv)];
  };
  switch (step.op) {
    case Op::kPictureToInput: backend_.picture_to_input(out, in); break;
    case Op::kConv: conv().forward(out, in, step.padding, step.relu, memory.workspace); break;
    case Op::kRelu: backend_.relu_forward(out, in); break;
    case Op::kPool: backend_.pool_forward(out, in, program.pooling); break;
    case Op::kTapFeatures: hooks.features(tap, in); break;
    case Op::kTapGradient: hooks.gradient(tap, out, in); break;
    case Op::kConvBackward:
      conv().backward_data(out, in, step.padding, step.accumulate, features, memory.workspace);
      break;
    case Op::kReluBackward: backend_.relu_backward(out, in, features, step.accumulate); break;
    case Op::kPoolBackward:
      backend_.pool_backward(out, in, features, program.pooling, step.accumulate, step.relu);
      break;
    case Op::kInputToPicture:
      backend_.input_to_picture(out, in, external.gradient_scale, step.accumulate);
      break;
  }
}

}  // namespace impasto
