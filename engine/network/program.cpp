#include "engine/network/program.h"

namespace impasto {

std::string step_name(const NodeGraph& graph, const Step& step) {
  // Not by the operation's own name: a profiler would count its range within the step's twice.
  if (step.op == Op::kPictureToInput) return "picture to input";
  if (step.op == Op::kInputToPicture) return "input to picture";
  if (step.op == Op::kZero) return "zero";
  const Node& node = graph.nodes[static_cast<std::size_t>(step.node)];
  if (step.op == Op::kTapFeatures || step.op == Op::kTapComplete) return "losses " + node.name;
  if (step.op == Op::kTapGradient) return "loss gradient " + node.name;
  const bool backward =
      step.op == Op::kConvBackward || step.op == Op::kReluBackward || step.op == Op::kPoolBackward;
  // A convolution goes by its own name, whether or not its ReLU is fused.
  const bool conv = node.conv >= 0 && step.op != Op::kReluBackward;
  return (conv ? "conv" + node.name.substr(4) : node.name) + (backward ? " backward" : " forward");
}

double convolution_flops(const Program& program) {
  double flops = 0;
  for (const Step& step : program.steps) {
    if (!Program::is_convolution(step)) continue;
    const Shape x = program.layer_input(step), y = program.layer_output(step);
    const std::int64_t in_channels = step.node == 0 ? program.picture.c : x.c;
    flops += 2.0 * 9 * static_cast<double>(in_channels) * static_cast<double>(y.elements());
  }
  return flops;
}

}  // namespace impasto
