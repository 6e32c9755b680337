#include "engine/network/executor.h"

#include <utility>

#include "engine/core/trace.h"

namespace impasto {

Executor::Executor(Backend& backend, ConvFilters filters, NodeGraph graph)
    : backend_(backend), graph_(std::move(graph)), filters_(std::move(filters)) {}

Executor::Executor(Backend& backend, const Weights& weights, NodeGraph graph)
    : Executor(backend, make_conv_filters(backend, weights, graph), graph) {}

void Executor::run(const NetworkMemory& memory, const ExternalTensors& external, const TapHooks& hooks) {
  for (const Step& step : memory.plan->program.steps) {
    const TraceRange trace(step_name(graph_, step));
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
    return tensor.rows(operand.rows.first, operand.rows.count);
  };
  const TensorView out = view(step.out), in = view(step.in), codes = view(step.codes);
  const ConstTensorView features = view(step.features);
  const int tap = step.node < 0 ? -1 : graph_.nodes[static_cast<std::size_t>(step.node)].tap;
  const auto filter = [&]() -> const ConvFilter& {
    return *filters_[static_cast<std::size_t>(graph_.nodes[static_cast<std::size_t>(step.node)].conv)];
  };
  switch (step.op) {
    case Op::kPictureToInput: backend_.picture_to_input(out, in); break;
    case Op::kConv:
      backend_.conv2d_forward(out, in, filter(), step.padding, step.relu, memory.workspace);
      if (hooks.convolved) hooks.convolved(step.node, out);
      break;
    case Op::kRelu: backend_.relu_forward(out, in); break;
    case Op::kPool: backend_.pool_forward(out, codes, in, program.pooling); break;
    case Op::kTapFeatures: hooks.features(tap, step.tap, in); break;
    case Op::kTapComplete:
      if (hooks.complete) hooks.complete(tap);
      break;
    case Op::kTapGradient: hooks.gradient(tap, {step.tap, step.accumulate, step.relu}, out, in); break;
    case Op::kConvBackward:
      backend_.conv2d_backward_data(out, in, filter(), step.padding, step.accumulate, features,
                                    memory.workspace);
      break;
    case Op::kReluBackward: backend_.relu_backward(out, in, features, step.accumulate); break;
    case Op::kPoolBackward:
      backend_.pool_backward(out, in, codes, program.pooling, step.accumulate, step.relu);
      break;
    case Op::kZero: backend_.fill(out, 0); break;
    case Op::kInputToPicture: backend_.input_to_picture(out, in, step.accumulate); break;
  }
}

}  // namespace impasto
