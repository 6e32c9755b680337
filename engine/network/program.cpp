#include "engine/network/program.h"

#include <utility>

namespace impasto {
namespace {

/// Adds tensors and steps of a whole picture, each tensor with all its rows.
class Builder {
 public:
  Builder(const NodeGraph& graph, Shape picture, Pooling pooling, Pass pass, const BackendTraits& traits)
      : graph_(graph), traits_(traits), backward_(pass == Pass::kForwardBackward) {
    program_.picture = picture;
    program_.pooling = pooling;
    add_tensor("picture", picture, traits.real, backward_);
    if (backward_) add_tensor("d picture", picture, traits.real, true);
  }

  void forward(int last_node) {
    const std::vector<Shape> shapes = graph_.shapes(program_.picture);
    const Shape picture = program_.picture;
    input_ = add_tensor("input", {picture.h, picture.w, traits_.input_channels}, traits_.activation);
    add({.op = Op::kPictureToInput, .out = whole(input_), .in = whole(Program::kPicture)});
    int x = input_;
    for (int i = 0; i <= last_node; ++i) {
      const Node& n = node(i);
      const int y = add_tensor(n.name, shapes[static_cast<std::size_t>(i)], traits_.activation);
      Step step{.op = Op::kConv, .node = i, .out = whole(y), .in = whole(x)};
      if (n.kind == NodeKind::kConvRelu) step.relu = Relu::kYes;
      if (n.kind == NodeKind::kRelu) step.op = Op::kRelu;
      if (n.kind == NodeKind::kPool) step.op = Op::kPool;
      add(step);
      if (n.tap >= 0) add({.op = Op::kTapFeatures, .node = i, .out = {}, .in = whole(y)});
      outputs_.push_back(y);
      x = y;
    }
  }

  /// Before the step of node i, gradient i is with respect to its output, for a kConvRelu already masked.
  void backward() {
    int i = static_cast<int>(graph_.nodes.size()) - 1;
    int dy = add_gradient(i);
    add({.op = Op::kTapGradient, .node = i, .out = whole(dy), .in = output(i)});
    if (node(i).kind == NodeKind::kConvRelu) {
      add({.op = Op::kReluBackward, .node = i, .out = whole(dy), .in = whole(dy), .features = output(i)});
    }
    for (; i > 0; --i) {
      const Node& below = node(i - 1);
      const int dx = add_gradient(i - 1);
      Step step{.op = Op::kConvBackward, .node = i, .out = whole(dx), .in = whole(dy)};
      step.features = output(i - 1);
      if (below.tap >= 0) {
        add({.op = Op::kTapGradient, .node = i - 1, .out = whole(dx), .in = output(i - 1)});
        step.accumulate = Accumulate::kAdd;
      }
      if (below.kind == NodeKind::kConvRelu) step.relu = Relu::kYes;
      if (node(i).kind == NodeKind::kRelu) step.op = Op::kReluBackward;
      if (node(i).kind == NodeKind::kPool) step.op = Op::kPoolBackward;
      // A convolution reads the features only to mask by them.
      if (step.op == Op::kConvBackward && step.relu == Relu::kNo) step.features = {};
      add(step);
      dy = dx;
    }
    const int dinput = add_tensor("d input", shape(input_), traits_.activation);
    add({.op = Op::kConvBackward, .node = 0, .out = whole(dinput), .in = whole(dy)});
    add({.op = Op::kInputToPicture, .out = whole(Program::kPictureGradient), .in = whole(dinput)});
  }

  Program take() { return std::move(program_); }

 private:
  [[nodiscard]] const Node& node(int i) const { return graph_.nodes[static_cast<std::size_t>(i)]; }
  [[nodiscard]] Shape shape(int tensor) const {
    return program_.tensors[static_cast<std::size_t>(tensor)].shape;
  }
  [[nodiscard]] Step::Operand whole(int tensor) const { return {tensor, {0, shape(tensor).h}}; }
  [[nodiscard]] Step::Operand output(int i) const { return whole(outputs_[static_cast<std::size_t>(i)]); }
  int add_tensor(std::string name, Shape shape, DType dtype, bool external = false) {
    program_.tensors.push_back({std::move(name), shape, dtype, external});
    return static_cast<int>(program_.tensors.size()) - 1;
  }
  int add_gradient(int i) {
    return add_tensor("d " + node(i).name, shape(outputs_[static_cast<std::size_t>(i)]), traits_.activation);
  }
  void add(const Step& step) { program_.steps.push_back(step); }

  const NodeGraph& graph_;
  const BackendTraits& traits_;
  bool backward_;
  Program program_;
  int input_ = -1;
  std::vector<int> outputs_;  // tensor of each node's output
};

}  // namespace

Program whole_program(const NodeGraph& graph, Shape picture, Pooling pooling, Pass pass,
                      const BackendTraits& traits, int last_node) {
  const bool cut = pass == Pass::kForward && last_node >= 0;
  Builder builder(graph, picture, pooling, pass, traits);
  builder.forward(cut ? last_node : static_cast<int>(graph.nodes.size()) - 1);
  if (pass == Pass::kForwardBackward) builder.backward();
  return builder.take();
}

std::string step_name(const NodeGraph& graph, const Step& step) {
  if (step.op == Op::kPictureToInput) return "picture_to_input";
  if (step.op == Op::kInputToPicture) return "input_to_picture";
  const Node& node = graph.nodes[static_cast<std::size_t>(step.node)];
  if (step.op == Op::kTapFeatures) return "losses " + node.name;
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
