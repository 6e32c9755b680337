// The builders of programs. A whole picture is one segment without strips.
#include <algorithm>
#include <utility>

#include "engine/core/error.h"
#include "engine/network/program.h"

namespace impasto {
namespace {

/// Both and what is between them.
Rows hull(Rows a, Rows b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const std::int64_t first = std::min(a.first, b.first);
  return {first, std::max(a.end(), b.end()) - first};
}

Rows between(std::int64_t first, std::int64_t end) { return {first, end - first}; }

class Builder {
 public:
  Builder(const NodeGraph& graph, const ProgramTask& task, const BackendTraits& traits, Strips strips)
      : graph_(graph),
        traits_(traits),
        last_node_(task.last_node),
        strips_(strips),
        shapes_(graph.shapes(task.picture)),
        features_(graph.nodes.size() + 1),
        gradients_(graph.nodes.size() + 1),
        codes_(graph.nodes.size()),
        pass_(task.pass) {
    program_.picture = task.picture;
    program_.pooling = task.pooling;
    const bool external = pass_ == Pass::kForwardBackward;
    add_tensor({.name = "picture", .shape = task.picture, .dtype = traits.real, .external = external});
    if (!external) return;
    add_tensor({.name = "d picture", .shape = task.picture, .dtype = traits.real, .external = true});
  }

  void forward(const Segment& segment, int first);
  /// Before the step of node i, its gradient is with respect to its output, for a kConvRelu already masked.
  void backward(const Segment& segment, int first);
  Program take() { return std::move(program_); }

 private:
  /// Rows written so far, where the strip before was left out.
  static constexpr std::int64_t kOverlaps = -1;

  /// Rows of a layer, as a tensor holds them. Layers count from -1, the network's input.
  struct Held {
    int tensor = -1;
    Rows rows;
  };
  /// For each layer from -1 on, some of its rows.
  class LayerRows {
   public:
    explicit LayerRows(std::size_t nodes) : rows_(nodes + 1) {}
    Rows& operator[](int layer) { return rows_[static_cast<std::size_t>(layer) + 1]; }
    const Rows& operator[](int layer) const { return rows_[static_cast<std::size_t>(layer) + 1]; }

   private:
    std::vector<Rows> rows_;
  };

  [[nodiscard]] const Node& node(int i) const { return graph_.nodes[static_cast<std::size_t>(i)]; }
  [[nodiscard]] Held& features(int layer) { return features_[static_cast<std::size_t>(layer) + 1]; }
  [[nodiscard]] Held& gradient(int layer) { return gradients_[static_cast<std::size_t>(layer) + 1]; }
  [[nodiscard]] Held& codes(int pool) { return codes_[static_cast<std::size_t>(pool)]; }
  [[nodiscard]] Shape shape(int layer) const {
    const Shape& p = program_.picture;
    return layer < 0 ? Shape{p.h, p.w, traits_.input_channels} : shapes_[static_cast<std::size_t>(layer)];
  }
  [[nodiscard]] bool is_last(int i) const { return i == last_node_; }
  [[nodiscard]] std::string name(int layer) const { return layer < 0 ? "input" : node(layer).name; }

  /// Rows of node i's input that those of its output are made from; what a pool leaves over belongs to its
  /// last row.
  [[nodiscard]] Rows reach(int i, Rows out) const {
    const std::int64_t height = shape(i - 1).h;
    if (node(i).kind == NodeKind::kRelu) return out;
    if (node(i).kind == NodeKind::kPool) {
      return between(2 * out.first, out.end() == shape(i).h ? height : 2 * out.end());
    }
    return between(std::max<std::int64_t>(0, out.first - 1), std::min(height, out.end() + 1));
  }
  /// Rows of a pool's codes for such rows of its output, those of a last odd row of its input included.
  [[nodiscard]] Rows code_rows(int pool, Rows out) const {
    const Rows in = reach(pool, out);
    return between(in.first / 2, (in.end() + 1) / 2);
  }
  /// Has the backward step of a pool to know of its input?
  [[nodiscard]] bool needs_codes(int pool) const {
    return pass_ == Pass::kForwardBackward &&
           (program_.pooling == Pooling::kMax || node(pool - 1).kind == NodeKind::kConvRelu);
  }
  /// Is the gradient with respect to the layer's output masked by that output?
  [[nodiscard]] Relu masks(int layer) const {
    return node(layer).kind == NodeKind::kConvRelu ? Relu::kYes : Relu::kNo;
  }
  [[nodiscard]] Padding padding(int i, Rows out) const {
    return {.top = out.first == 0 ? 1 : 0, .bottom = out.end() == shape(i).h ? 1 : 0, .left = 1, .right = 1};
  }

  /// Which rows of each layer are a strip's own, whose losses it has: every row is in one strip.
  [[nodiscard]] LayerRows own_rows(const Segment& segment, int first, Rows top) const {
    LayerRows own(graph_.nodes.size());
    own[segment.last_node] = top;
    for (int i = segment.last_node; i >= first; --i) {
      own[i - 1] = node(i).kind == NodeKind::kPool ? reach(i, own[i]) : own[i];
    }
    return own;
  }
  struct Strip {
    Rows top;      ///< of the segment's last node
    int part = 0;  ///< its number in the segment, from 0
  };
  /// As even as can be.
  [[nodiscard]] std::vector<Strip> strips_of(const Segment& segment) const {
    const std::int64_t height = shape(segment.last_node).h;
    const std::int64_t most = segment.rows > 0 ? std::min(segment.rows, height) : height;
    const std::int64_t count = (height + most - 1) / most;
    const std::int64_t rows = (height + count - 1) / count;  // the last may have fewer
    // At the top and at the bottom: beyond them none is cut by the edge, whatever the network reaches.
    constexpr std::int64_t kEach = 12;
    const std::int64_t last = (height - 1) / rows;
    std::vector<Strip> strips;
    for (std::int64_t i = 0; i <= last; ++i) {
      if (strips_ == Strips::kFew && i == kEach) i = std::max(i, last + 1 - kEach);
      strips.push_back({between(i * rows, std::min(height, (i + 1) * rows)), static_cast<int>(i)});
    }
    return strips;
  }

  int add_tensor(ProgramTensor tensor) {
    program_.tensors.push_back(std::move(tensor));
    return static_cast<int>(program_.tensors.size()) - 1;
  }
  /// A tensor for these rows of the layer; in strips the same for all of them, as high as the highest needs.
  void hold(Held& held, int layer, Rows rows, const char* prefix, bool local) {
    const Shape s = shape(layer);
    hold(held, {.name = prefix + name(layer), .shape = s, .dtype = traits_.activation, .local = local}, rows);
  }
  void hold_codes(int pool, Rows rows, bool local) {
    const Shape in = shape(pool - 1), s{in.h, (in.w + 1) / 2, in.c};
    hold(codes(pool), {.name = "codes " + name(pool), .shape = s, .dtype = DType::kUInt8, .local = local},
         rows);
  }
  void hold(Held& held, ProgramTensor tensor, Rows rows) {
    if (held.tensor < 0) {
      tensor.shape.h = 0;
      held.tensor = add_tensor(std::move(tensor));
    }
    std::int64_t& height = program_.tensors[static_cast<std::size_t>(held.tensor)].shape.h;
    height = std::max(height, rows.count);
    held.rows = rows;
  }
  [[nodiscard]] static Step::Operand view(const Held& held, Rows rows) {
    return {held.tensor, {rows.first - held.rows.first, rows.count}};
  }
  void add(Step step) {
    step.strip = strip_;
    program_.steps.push_back(step);
  }
  void begin_strip(const Segment& segment) { strip_ = segment.rows > 0 ? ++num_strips_ : 0; }
  void forget(int first, int last) {
    for (int i = first; i <= last; ++i) features(i) = gradient(i) = {};  // no strip has brought codes
  }

  /// Steps for these rows of each layer from `first` to `last`, from what is held of the layer before.
  /// `own`: whose losses read them; null: none, on the way back, where what is kept is there already.
  void compute(const Segment& segment, int first, int last, const LayerRows& rows, const LayerRows* own,
               int part);
  /// Makes the next rows of a gradient ready to be added to, or says that they can be overwritten.
  [[nodiscard]] Accumulate open_rows(const Held& d, Rows rows, std::int64_t written, int tap_node, int part);
  void backward_strip(const Segment& segment, int first, Rows top, int part, std::int64_t& written);
  void tap_gradient(int i, Rows rows, int part, Accumulate accumulate);

  const NodeGraph& graph_;
  const BackendTraits& traits_;
  int last_node_;  // of the program
  Strips strips_;
  std::vector<Shape> shapes_;
  Program program_;
  std::vector<Held> features_, gradients_, codes_;
  Pass pass_;
  int strip_ = 0, num_strips_ = 0;
};

void Builder::compute(const Segment& segment, int first, int last, const LayerRows& rows,
                      const LayerRows* own, int part) {
  const bool local = segment.rows > 0;
  if (first == 0) {
    hold(features(-1), -1, rows[-1], "", local);
    add({.op = Op::kPictureToInput,
         .out = view(features(-1), rows[-1]),
         .in = {Program::kPicture, rows[-1]}});
  }
  for (int i = first; i <= last; ++i) {
    const Node& n = node(i);
    const bool kept = i == segment.last_node && !is_last(i);  // by the strips of the next segment
    Step step{.op = Op::kConv, .node = i, .out = {}, .in = view(features(i - 1), reach(i, rows[i]))};
    if (!kept || own != nullptr) {
      hold(features(i), i, kept ? between(0, shape(i).h) : rows[i], "", local && !kept);
      step.out = view(features(i), rows[i]);
    }
    if (n.kind == NodeKind::kConvRelu) step.relu = Relu::kYes;
    if (n.kind == NodeKind::kRelu) step.op = Op::kRelu;
    if (n.kind == NodeKind::kPool) step.op = Op::kPool;
    if (step.op == Op::kConv) step.padding = padding(i, rows[i]);
    if (step.op == Op::kPool && needs_codes(i) && (own == nullptr || !local)) {
      hold_codes(i, code_rows(i, rows[i]), local);
      step.codes = view(codes(i), code_rows(i, rows[i]));
    }
    if (step.out || step.codes) add(step);
    if (own == nullptr || n.tap < 0) continue;
    const Rows seen = (*own)[i];
    add({.op = Op::kTapFeatures,
         .node = i,
         .out = {},
         .in = view(features(i), seen),
         .tap = {seen, shape(i).h, part}});
  }
}

void Builder::forward(const Segment& segment, int first) {
  const std::vector<Strip> strips = strips_of(segment);
  for (const auto& [top, part] : strips) {
    begin_strip(segment);
    const LayerRows own = own_rows(segment, first, top);
    LayerRows rows(graph_.nodes.size());
    for (int i = segment.last_node; i >= first; --i) {
      if (i == segment.last_node || node(i).tap >= 0) rows[i] = hull(rows[i], own[i]);
      rows[i - 1] = reach(i, rows[i]);
    }
    compute(segment, first, segment.last_node, rows, &own, part);
  }
  strip_ = 0;
  for (int i = first; i <= segment.last_node && strips.size() > 1; ++i) {
    if (node(i).tap >= 0) add({.op = Op::kTapComplete, .node = i, .out = {}, .in = {}});
  }
  if (segment.rows > 0)
    forget(first - (first == 0 ? 1 : 0), segment.last_node - (is_last(segment.last_node) ? 0 : 1));
}

void Builder::tap_gradient(int i, Rows rows, int part, Accumulate accumulate) {
  add({.op = Op::kTapGradient,
       .node = i,
       .out = view(gradient(i), rows),
       .in = view(features(i), rows),
       .accumulate = accumulate,
       .relu = masks(i),
       .tap = {rows, shape(i).h, part}});
}

Accumulate Builder::open_rows(const Held& d, Rows rows, std::int64_t written, int tap_node, int part) {
  const Rows next = between(written, rows.end());
  if (tap_node >= 0) {
    tap_gradient(tap_node, next, part, Accumulate::kOverwrite);
    return Accumulate::kAdd;
  }
  if (rows.first >= written) return Accumulate::kOverwrite;
  if (next.count > 0) add({.op = Op::kZero, .out = view(d, next), .in = {}});
  return Accumulate::kAdd;
}

void Builder::backward_strip(const Segment& segment, int first, Rows top, int part, std::int64_t& written) {
  const int last = segment.last_node;
  const LayerRows own = own_rows(segment, first, top);
  LayerRows rows(graph_.nodes.size());  // with a gradient
  rows[last] = top;
  for (int i = last; i >= first; --i) {
    rows[i - 1] = reach(i, rows[i]);
    if (i > first && node(i - 1).tap >= 0) rows[i - 1] = hull(rows[i - 1], own[i - 1]);
  }
  if (written == kOverlaps) written = rows[first - 1].first + 1;
  if (segment.rows > 0) {
    LayerRows need = rows;
    for (int i = last; i > first; --i) need[i - 1] = hull(need[i - 1], reach(i, need[i]));
    if (first == 0) need[-1] = reach(0, need[0]);
    compute(segment, first, last, need, nullptr, part);
  }
  const bool local = segment.rows > 0;
  if (is_last(last)) {
    hold(gradient(last), last, top, "d ", local);
    tap_gradient(last, top, part, Accumulate::kOverwrite);
  }
  for (int i = last; i >= first && i > 0; --i) {
    const Node& below = node(i - 1);
    const bool kept = i == first;
    hold(gradient(i - 1), i - 1, kept ? between(0, shape(i - 1).h) : rows[i - 1], "d ", local && !kept);
    Step step{.op = Op::kConvBackward, .node = i, .out = view(gradient(i - 1), rows[i - 1]), .in = {}};
    step.in = view(gradient(i), rows[i]);
    if (kept) {
      step.accumulate = open_rows(gradient(i - 1), rows[i - 1], written, below.tap >= 0 ? i - 1 : -1, part);
    }
    // A tap adds its losses' gradient behind it, and masks what it adds to: in a strip its own rows alone.
    const bool tapped = !kept && below.tap >= 0;
    if (!tapped || own[i - 1] != rows[i - 1]) step.relu = masks(i - 1);
    if (node(i).kind == NodeKind::kRelu) step.op = Op::kReluBackward;
    if (node(i).kind == NodeKind::kPool) step.op = Op::kPoolBackward;
    if (step.op == Op::kConvBackward) step.padding = padding(i, rows[i]);
    if (step.op == Op::kPoolBackward) {
      if (needs_codes(i)) step.codes = view(codes(i), code_rows(i, rows[i]));
    } else if (step.op == Op::kReluBackward || step.relu == Relu::kYes) {  // to mask by them
      step.features = view(features(i - 1), rows[i - 1]);
    }
    add(step);
    if (tapped) tap_gradient(i - 1, own[i - 1], part, Accumulate::kAdd);
  }
  if (first == 0) {
    hold(gradient(-1), -1, rows[-1], "d ", local);
    const Step::Operand d = view(gradient(-1), rows[-1]);
    add({.op = Op::kConvBackward,
         .node = 0,
         .out = d,
         .in = view(gradient(0), rows[0]),
         .padding = padding(0, rows[0])});
    const Held picture{Program::kPictureGradient, between(0, program_.picture.h)};
    const Accumulate accumulate = open_rows(picture, rows[-1], written, -1, part);
    add({.op = Op::kInputToPicture, .out = view(picture, rows[-1]), .in = d, .accumulate = accumulate});
  }
  written = rows[first - 1].end();
}

void Builder::backward(const Segment& segment, int first) {
  std::int64_t written = 0;  // rows of the gradient with respect to the segment's input
  int expected = 0;
  for (const auto& [top, part] : strips_of(segment)) {
    begin_strip(segment);
    if (part != expected) written = kOverlaps;
    backward_strip(segment, first, top, part, written);
    expected = part + 1;
  }
  strip_ = 0;
}

}  // namespace

bool divides(const Segments& segments, const NodeGraph& graph, const ProgramTask& task) {
  if (task.last_node < 0) return segments.empty();
  int before = -1;
  for (const Segment& segment : segments) {
    if (segment.last_node <= before || segment.last_node > task.last_node || segment.rows < 0) return false;
    const Node& node = graph.nodes.at(static_cast<std::size_t>(segment.last_node));
    if (segment.last_node < task.last_node && node.kind != NodeKind::kPool) return false;
    before = segment.last_node;
  }
  return before == task.last_node;
}

Program make_program(const NodeGraph& graph, const ProgramTask& task, const BackendTraits& traits,
                     const Segments& segments, Strips strips) {
  if (task.last_node < 0)
    return {.picture = task.picture, .pooling = task.pooling, .tensors = {}, .steps = {}};
  if (!divides(segments, graph, task)) {
    throw Error(ErrorCode::kInternal, "program: expected segments that end at pools, found others");
  }
  Builder builder(graph, task, traits, strips);
  std::vector<int> firsts{0};
  for (const Segment& segment : segments) {
    builder.forward(segment, firsts.back());
    firsts.push_back(segment.last_node + 1);
  }
  for (std::size_t i = segments.size(); i-- > 0 && task.pass == Pass::kForwardBackward;) {
    builder.backward(segments[i], firsts[i]);
  }
  Program program = builder.take();
  program.segments = segments;
  return program;
}

Program whole_program(const NodeGraph& graph, const ProgramTask& task, const BackendTraits& traits) {
  return make_program(graph, task, traits, {{task.last_node, 0}});
}

Program whole_program(const NodeGraph& graph, Shape picture, Pooling pooling, Pass pass,
                      const BackendTraits& traits, int last_node) {
  const bool cut = pass == Pass::kForward && last_node >= 0;
  const int last = cut ? last_node : static_cast<int>(graph.nodes.size()) - 1;
  return whole_program(graph, {picture, pooling, pass, last}, traits);
}

}  // namespace impasto
