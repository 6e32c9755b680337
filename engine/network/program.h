#pragma once
// What one pass over a picture does, as data: the list that memory is planned from, that is run, whose
// cost is added up and whose steps a profiler's timeline names. Pure: no backend is touched.
#include <array>
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
  kPool,            ///< out = pool(in); codes: what its backward step needs to know of in
  kTapFeatures,     ///< in: rows of a tap's features, for its losses to read
  kTapComplete,     ///< all rows of a tap's features have been there, in several steps
  kTapGradient,     ///< out (+)= gradient of the tap's losses, in: the features, the mask where relu says so
  kConvBackward,    ///< out (+)= gradient with respect to the layer's input, in: with respect to its output
  kReluBackward,    ///< the same; features: the ReLU's output or input; out may be in
  kPoolBackward,    ///< the same, by the codes
  kInputToPicture,  ///< out: gradient with respect to the picture, in: with respect to the input
  kZero,            ///< out: rows of a gradient that later steps add to
};

/// Rows of a tensor or of a layer; all of them in a program for a whole picture.
struct Rows {
  std::int64_t first = 0, count = 0;
  [[nodiscard]] constexpr std::int64_t end() const { return first + count; }
  friend constexpr bool operator==(const Rows&, const Rows&) = default;
};

/// Where the rows of a tap's step lie in the layer.
struct TapRows {
  Rows rows;
  std::int64_t height = 0;  ///< the layer's
  int part = 0;             ///< counts the steps of this kind at this tap, from 0
  [[nodiscard]] constexpr bool whole() const { return rows.count == height; }
};

/// What a step of the losses' gradient at a tap is to do.
struct TapGradient {
  TapRows at;
  Accumulate accumulate = Accumulate::kOverwrite;
  Relu mask = Relu::kNo;  ///< the result is then masked by the features
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
  Operand codes{};     ///< of a pool
  /// Convolutions: where the picture ends beside the rows of the layer's input (backward: of its gradient).
  Padding padding{};
  Accumulate accumulate = Accumulate::kOverwrite;
  Relu relu = Relu::kNo;  ///< kConv: fused; gradients: the result is masked by the ReLU's output
  TapRows tap{};          ///< of kTapFeatures and kTapGradient
  int strip = 0;          ///< steps of one strip have its number, from 1; 0: of no strip

  [[nodiscard]] std::array<Operand, 4> operands() const { return {out, in, features, codes}; }
};

struct ProgramTensor {
  std::string name;  ///< "relu3_1", "d relu3_1", "picture", ...
  Shape shape;
  DType dtype = DType::kFloat32;
  bool external = false;  ///< brought by the caller of each run, not part of the arena
  bool local = false;     ///< holds nothing from one strip to the next
};

enum class Pass : std::uint8_t {
  kForward,          ///< features alone, each as long as it is read; the picture lies in the arena
  kForwardBackward,  ///< and the gradient with respect to the picture; both come with each run
};

/// Layers that follow each other and are gone through together, all rows at once or strip by strip. What the
/// last of them puts out is kept as a whole until the pass is back there.
struct Segment {
  int last_node = -1;     ///< a pool, or the program's last node
  std::int64_t rows = 0;  ///< of its output in a strip, at most; 0: all at once, and its features are kept
  friend constexpr bool operator==(const Segment&, const Segment&) = default;
};
using Segments = std::vector<Segment>;  ///< from the picture on; the last ends at the program's last node

struct Program {
  Shape picture;
  Pooling pooling = Pooling::kMax;
  std::vector<ProgramTensor> tensors;  ///< the picture, then its gradient (kForwardBackward), then the rest
  std::vector<Step> steps;
  Segments segments{};

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
  /// As the executor does such a step.
  [[nodiscard]] ConvTask conv_task(const Step& s) const {
    return {s.op == Op::kConv ? conv_op(s.relu) : conv_op(s.accumulate), layer_input(s), layer_output(s).c,
            s.padding};
  }
};

/// What a program is to do, whatever way it takes.
struct ProgramTask {
  Shape picture;  ///< (h,w,3)
  Pooling pooling = Pooling::kMax;
  Pass pass = Pass::kForwardBackward;
  int last_node = -1;  ///< of the graph, its last where there is a backward pass; -1: nothing is to be done
};

enum class Strips : std::uint8_t {
  kAll,
  kFew,  ///< of each segment only some, which need as much memory as all: for planning, not to be run
};

/// Can a program for the task be made of these segments?
[[nodiscard]] bool divides(const Segments& segments, const NodeGraph& graph, const ProgramTask& task);

/// In segments and their strips, to the rounding of sums the same as at once, in less memory. Forward goes
/// through a strip's rows of one segment after the other, with the rows around them that its convolutions
/// reach (one each and side). On the way back the features of a strip are made again; gradients beyond its
/// rows are added up with its neighbours'. So each row of a tap is seen once, in its own strip.
[[nodiscard]] Program make_program(const NodeGraph& graph, const ProgramTask& task,
                                   const BackendTraits& traits, const Segments& segments,
                                   Strips strips = Strips::kAll);

/// The whole picture at once.
[[nodiscard]] Program whole_program(const NodeGraph& graph, const ProgramTask& task,
                                    const BackendTraits& traits);
/// Up to the graph's last node.
[[nodiscard]] Program whole_program(const NodeGraph& graph, Shape picture, Pooling pooling, Pass pass,
                                    const BackendTraits& traits, int last_node = -1);

/// "conv3_2 forward", "loss gradient relu3_1": for people, and the same for a node in every program.
[[nodiscard]] std::string step_name(const NodeGraph& graph, const Step& step);

/// Floating-point operations of the program's convolutions. Channels that only pad the picture do not count.
[[nodiscard]] double convolution_flops(const Program& program);

}  // namespace impasto
