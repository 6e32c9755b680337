#pragma once
// What one pass over a picture does, as data: the list that memory is planned from, that is run, whose
// cost is added up and whose steps a profiler's timeline names. Pure: no backend is touched.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/network/vgg.h"

namespace impasto {

enum class Op : std::uint8_t {
  kPictureToInput,  ///< out: the picture as the first layer reads it
  kConv,            ///< out = conv(in) + bias, with the ReLU where `relu` says so
  kRelu,            ///< out = max(in, 0)
  kPool,
  kTapFeatures,     ///< in: a tap's features are whole, its losses may read them
  kTapGradient,     ///< out: overwritten with the gradient of the tap's losses, in: the features
  kConvBackward,    ///< out (+)= gradient with respect to the layer's input, in: with respect to its output
  kReluBackward,    ///< the same; features: the ReLU's output or input; out may be in
  kPoolBackward,    ///< the same; features: the pool's input
  kInputToPicture,  ///< out: gradient with respect to the picture, in: with respect to the input
};

/// Rows of a tensor; the whole of it in a program for a whole picture.
struct Rows {
  std::int64_t first = 0, count = 0;
  friend constexpr bool operator==(const Rows&, const Rows&) = default;
};

struct Step {
  /// An operand: a tensor of the program, and which of its rows. -1: none.
  struct Operand {
    int tensor = -1;
    Rows rows;
    [[nodiscard]] explicit operator bool() const { return tensor >= 0; }
  };
  Op op;
  int node = -1;  ///< of the graph; -1: none
  Operand out, in;
  Operand features{};  ///< read by a backward step beside its gradients
  /// Convolutions: where the picture ends beside the rows of the layer's input (backward: of its gradient).
  Padding padding{};
  Accumulate accumulate = Accumulate::kOverwrite;
  Relu relu = Relu::kNo;  ///< kConv: fused; backward: the result is masked by `features` > 0
};

struct ProgramTensor {
  std::string name;  ///< "relu3_1", "d relu3_1", "picture", ...
  Shape shape;
  DType dtype = DType::kFloat32;
  bool external = false;  ///< brought by the caller of each run, not part of the arena
};

enum class Pass : std::uint8_t {
  kForward,          ///< features alone, each as long as it is read; the picture lies in the arena
  kForwardBackward,  ///< and the gradient with respect to the picture; both come with each run
};

struct Program {
  Shape picture;
  Pooling pooling = Pooling::kMax;
  std::vector<ProgramTensor> tensors;  ///< the picture, then its gradient (kForwardBackward), then the rest
  std::vector<Step> steps;

  static constexpr int kPicture = 0, kPictureGradient = 1;

  /// Of the rows that an operand names.
  [[nodiscard]] Shape shape(const Step::Operand& operand) const {
    Shape shape = tensors[static_cast<std::size_t>(operand.tensor)].shape;
    shape.h = operand.rows.count;
    return shape;
  }
  /// Whether a step is a convolution, in either direction, and the layer's input and output there.
  [[nodiscard]] static bool is_convolution(const Step& step) {
    return step.op == Op::kConv || step.op == Op::kConvBackward;
  }
  [[nodiscard]] Shape layer_input(const Step& s) const { return shape(s.op == Op::kConv ? s.in : s.out); }
  [[nodiscard]] Shape layer_output(const Step& s) const { return shape(s.op == Op::kConv ? s.out : s.in); }
};

/// One evaluation of a whole picture (h,w,3). `last_node` >= 0 cuts a kForward program after that node; taps
/// beyond it have no step then.
[[nodiscard]] Program whole_program(const NodeGraph& graph, Shape picture, Pooling pooling, Pass pass,
                                    const BackendTraits& traits, int last_node = -1);

/// "conv3_2 forward", "loss gradient relu3_1": for people, and the same for a node in every program.
[[nodiscard]] std::string step_name(const NodeGraph& graph, const Step& step);

/// Floating-point operations of the program's convolutions. Channels that only pad the picture do not count.
[[nodiscard]] double convolution_flops(const Program& program);

}  // namespace impasto
