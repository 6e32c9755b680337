// Times single operations on a device: those of one iteration on VGG's layers at a picture size, and the
// cases that the tests check them on (odd sizes, mostly latency).
//
//   build/bin/bench_ops --device cuda --precision bf16 --size 1024 --what layers
//   build/bin/bench_ops --device cpu --size 256 --operation conv --csv --peak-gflops 276 --bandwidth 20
//
// The peaks are those of the device's name where kDevices has it. Pictures are 4:3, a size is the long side.
//
// Columns: operation; shape that it works on; ms a call, the mean of as many calls as fill --milliseconds,
// queued together; GB/s of the least memory traffic (every operand once) and GFLOP/s of the arithmetic that
// the operation needs; share of the roofline: max(flops / peak, bytes / bandwidth) / time. Calls in a row
// find small operands in the cache, where the share may be above 1. Test cases have a time only.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <random>

#include "engine/backend/devices.h"
#include "engine/network/vgg.h"
#include "engine/selftest/op_cases.h"
#include "profiling/arguments.h"

namespace impasto::profiling {
namespace {

struct Peaks {
  double gflops = 0, gbytes = 0;  ///< a second; 0: unknown
};

/// Vendors' figures: dense, float32 accumulation; see docs/roofline.md for where they come from.
struct KnownDevice {
  const char* name;  ///< part of the description
  double fp32, tf32, half, gbytes;
};
constexpr KnownDevice kDevices[] = {
    {"H100", 66900, 494700, 989400, 3350},
    {"A100", 19500, 156000, 312000, 2039},
    {"RTX 4090", 82600, 82600, 165200, 1008},
    {"T4", 8100, 8100, 65000, 320},
};

Peaks peaks_of(const Backend& backend, const Arguments& arguments) {
  Peaks peaks{arguments.real("--peak-gflops"), arguments.real("--bandwidth")};
  if (backend.info().name.rfind("cuda", 0) != 0) return peaks;
  for (const KnownDevice& device : kDevices) {
    if (backend.info().description.find(device.name) == std::string::npos) continue;
    const Precision p = backend.traits().precision;
    const double gflops = p == Precision::kFp32   ? device.fp32
                          : p == Precision::kTf32 ? device.tf32
                                                  : device.half;
    if (peaks.gflops == 0) peaks.gflops = gflops;
    if (peaks.gbytes == 0) peaks.gbytes = device.gbytes;
    break;
  }
  return peaks;
}

struct Row {
  std::string operation, shape;
  double seconds = 0;
  std::optional<double> flops, bytes;
};

class Timer {
 public:
  Timer(Backend& backend, double seconds)
      : backend_(backend), seconds_(seconds), flag_(backend.allocate(sizeof(double))) {
    backend_.fill(slot(), 0);
  }
  /// Seconds of one call, after one that is not counted; calls are queued together.
  double operator()(const std::function<void()>& work) {
    (void)time(work, 1);
    std::int64_t count = 1;
    while (true) {
      const double seconds = time(work, count);
      if (seconds >= seconds_ || count >= 1'000'000) return seconds / static_cast<double>(count);
      const double wanted = 1.2 * static_cast<double>(count) * seconds_ / std::max(seconds, 1e-7);
      count = std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), count + 1, 100 * count);
    }
  }

 private:
  [[nodiscard]] TensorView slot() const { return flag_.view(0, {1, 1, 1}, DType::kFloat64); }
  double time(const std::function<void()>& work, std::int64_t count) {
    using Clock = std::chrono::steady_clock;
    double value = 0;
    const auto begin = Clock::now();
    for (std::int64_t i = 0; i < count; ++i) work();
    backend_.download(std::span<double>(&value, 1), slot());
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  Backend& backend_;
  double seconds_;
  Buffer flag_;
};

/// The operations of an iteration, each on operands of its own.
class Layers {
 public:
  Layers(Backend& backend, Timer& timer, std::string only)
      : backend_(backend), timer_(timer), only_(std::move(only)) {}

  std::vector<Row> time(const Weights& weights, Shape picture, std::int64_t history) {
    const std::vector<std::string> taps{"relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu4_2"};
    const NodeGraph graph = build_graph(weights, taps);
    if (std::min(picture.h, picture.w) < graph.min_side()) {
      throw Error(ErrorCode::kUsage, "option --size: expected a picture of at least " +
                                         std::to_string(graph.min_side()) + " pixels a side, found " +
                                         to_string(picture));
    }
    const std::vector<Shape> shapes = graph.shapes(picture);
    const Shape input{picture.h, picture.w, backend_.traits().input_channels};
    pixels(input, picture);
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      const Node* const below = i > 0 ? &graph.nodes[i - 1] : nullptr;
      const Shape in = i == 0 ? input : shapes[i - 1];
      if (node.conv >= 0) conv(node, below, in);
      if (node.kind == NodeKind::kPool) pool(node, in);
      if (node.tap >= 0) {
        if (node.name == "relu4_2") {
          content(node, shapes[i]);
        } else {
          style(node, shapes[i]);
        }
      }
    }
    optimizer(picture, history + 1);
    return std::move(rows_);
  }

 private:
  struct Tensor {
    Buffer memory;
    TensorView view;
  };

  /// Positive noise: constants would draw less power than pictures do, and let a GPU clock higher.
  Tensor make(Shape shape, DType type) {
    Tensor tensor;
    tensor.memory = backend_.allocate(
        std::max<std::size_t>(static_cast<std::size_t>(shape.elements()) * size_of(type), 1));
    tensor.view = tensor.memory.view(0, shape, type);
    if (noise_.empty()) {
      std::minstd_rand random(1);
      noise_.resize(1 << 20);
      for (float& value : noise_) value = static_cast<float>(random() % 1024) / 2048;
    }
    const auto count = static_cast<std::size_t>(shape.elements());
    for (std::size_t i = 0; i < count; i += noise_.size()) {
      const std::size_t part = std::min(noise_.size(), count - i);
      backend_.upload(tensor.memory.view(i * size_of(type), {1, 1, static_cast<std::int64_t>(part)}, type),
                      std::span<const float>(noise_.data(), part));
    }
    return tensor;
  }
  Tensor activation(Shape shape) { return make(shape, backend_.traits().activation); }
  Tensor real(Shape shape) { return make(shape, backend_.traits().real); }
  [[nodiscard]] double activation_bytes(double elements) const {
    return elements * static_cast<double>(size_of(backend_.traits().activation));
  }
  [[nodiscard]] double real_bytes(double elements) const {
    return elements * static_cast<double>(size_of(backend_.traits().real));
  }
  [[nodiscard]] bool wants(const std::string& operation) const {
    return only_.empty() || operation.find(only_) != std::string::npos;
  }

  void add(const std::string& operation, Shape shape, double flops, double bytes,
           const std::function<void()>& work) {
    if (wants(operation)) rows_.push_back({operation, to_string(shape), timer_(work), flops, bytes});
  }

  void pixels(Shape input, Shape picture) {
    if (!wants("picture_to_input") && !wants("input_to_picture")) return;
    const Tensor x = activation(input), p = real(picture);
    const double bytes = activation_bytes(static_cast<double>(input.elements())) +
                         real_bytes(static_cast<double>(picture.elements()));
    add("picture_to_input", picture, 0, bytes, [&] { backend_.picture_to_input(x.view, p.view); });
    add("input_to_picture", picture, 0, bytes,
        [&] { backend_.input_to_picture(p.view, x.view, Accumulate::kOverwrite); });
  }

  void conv(const Node& node, const Node* below, Shape in) {
    const std::string name = "conv" + node.name.substr(4);
    const std::string forward = name + " conv2d_forward", backward = name + " conv2d_backward_data";
    if (!wants(forward) && !wants(backward)) return;
    const Shape out{in.h, in.w, node.channels};
    const std::vector<float> filter(static_cast<std::size_t>(9 * in.c * out.c), 0.01F);
    const std::vector<float> bias(static_cast<std::size_t>(out.c), 0.1F);
    const auto conv = backend_.make_conv_filter({in.c, out.c, filter, bias});
    // As the network does it: added to a tap's gradient, masked where a ReLU lies below.
    const bool masked = below != nullptr && below->kind == NodeKind::kConvRelu;
    const auto mode = below != nullptr && below->tap >= 0 ? Accumulate::kAdd : Accumulate::kOverwrite;
    std::size_t bytes = 0;
    for (const ConvOp op : {conv_op(Relu::kYes), conv_op(mode)}) {
      backend_.prepare_conv({op, in, out.c});
      bytes = std::max(bytes, backend_.traits().conv_workspace_bytes({op, in, out.c}));
    }
    const Buffer scratch = backend_.allocate(std::max<std::size_t>(bytes, 1));
    const Workspace workspace{scratch.data(), bytes};
    const Tensor x = activation(in), y = activation(out), mask = activation(in);
    const auto x_size = static_cast<double>(in.elements()), y_size = static_cast<double>(out.elements());
    const double filter_size = static_cast<double>(filter.size());
    const double flops = 18 * x_size * static_cast<double>(out.c);
    add(forward, in, flops, activation_bytes(x_size + y_size + filter_size),
        [&] { backend_.conv2d_forward(y.view, x.view, *conv, {}, Relu::kYes, workspace); });
    const double passes = 1 + (masked ? 1 : 0) + (mode == Accumulate::kAdd ? 1 : 0);
    add(backward, in, flops, activation_bytes(passes * x_size + y_size + filter_size), [&] {
      backend_.conv2d_backward_data(x.view, y.view, *conv, {}, mode,
                                    masked ? ConstTensorView(mask.view) : ConstTensorView{}, workspace);
    });
  }

  void pool(const Node& node, Shape in) {
    const std::string forward = node.name + " pool_forward", backward = node.name + " pool_backward";
    if (!wants(forward) && !wants(backward)) return;
    const Tensor x = activation(in), dx = activation(in), y = activation({in.h / 2, in.w / 2, in.c});
    const Tensor codes = make(halved(in), DType::kUInt8);
    const auto x_size = static_cast<double>(in.elements()),
               y_size = static_cast<double>(y.view.shape.elements());
    const double bytes = activation_bytes(x_size + y_size) + static_cast<double>(codes.view.shape.elements());
    add(forward, in, 0, bytes, [&] { backend_.pool_forward(y.view, codes.view, x.view, Pooling::kMax); });
    add(backward, in, 0, bytes, [&] {
      backend_.pool_backward(dx.view, y.view, codes.view, Pooling::kMax, Accumulate::kOverwrite, Relu::kYes);
    });
  }

  void style(const Node& node, Shape features) {
    const std::string loss_name = node.name + " style_loss", backward = node.name + " gram_backward";
    if (!wants(loss_name) && !wants(backward)) return;
    const Shape square{1, features.c, features.c};
    const Tensor f = activation(features), df = activation(features), d = activation(square);
    const Tensor scratch = real(square), target = real(square), loss = make({1, 1, 1}, DType::kFloat64);
    const std::size_t bytes = backend_.traits().gram_workspace_bytes(features);
    const Buffer memory = backend_.allocate(std::max<std::size_t>(bytes, 1));
    const Workspace workspace{memory.data(), bytes};
    const auto f_size = static_cast<double>(features.elements()),
               g_size = static_cast<double>(square.elements());
    const double flops = 2 * f_size * static_cast<double>(features.c);
    const double scale = 1 / static_cast<double>(features.positions());
    add(loss_name, features, flops, activation_bytes(f_size + g_size) + real_bytes(g_size), [&] {
      backend_.style_loss(loss.view, d.view, scratch.view, f.view, target.view, scale, {1, scale}, workspace);
    });
    add(backward, features, flops, activation_bytes(2 * f_size + g_size), [&] {
      backend_.gram_backward(df.view, f.view, d.view, scale, Accumulate::kAdd, Relu::kYes, workspace);
    });
  }

  void content(const Node& node, Shape features) {
    if (!wants(node.name + " squared_error")) return;
    const Tensor x = activation(features), d = activation(features), target = activation(features);
    const Tensor loss = make({1, 1, 1}, DType::kFloat64);
    const auto size = static_cast<double>(features.elements());
    add(node.name + " squared_error", features, 4 * size, activation_bytes(3 * size), [&] {
      backend_.squared_error(loss.view, d.view, x.view, target.view, {1, 1}, Accumulate::kAdd, Relu::kYes);
    });
  }

  /// L-BFGS with a full history; coefficients that leave the pictures where they are.
  void optimizer(Shape picture, std::int64_t slots) {
    if (!wants("lbfgs_push") && !wants("lbfgs_dots") && !wants("lbfgs_direction") && !wants("lincomb_step"))
      return;
    const Tensor history = real({2 * slots, 1, picture.elements()});
    const Tensor x = real(picture), d = real(picture), g = real(picture), previous = real(picture);
    const auto doubles = [&](std::int64_t count) { return make({1, 1, count}, DType::kFloat64); };
    const Tensor state = doubles(LbfgsState::size(slots)), dots = doubles(LbfgsState::num_dots(slots));
    const Tensor coefficients = doubles(2 * slots + 1), step = doubles(1);
    std::vector<double> full(static_cast<std::size_t>(LbfgsState::size(slots)), 0.0);
    full[LbfgsState::kCount] = static_cast<double>(slots - 1);
    backend_.upload(state.view, std::span<const double>(full));
    backend_.fill(step.view, 0);
    std::vector<double> weights(static_cast<std::size_t>(2 * slots + 1), 0.01);
    weights[0] = weights[static_cast<std::size_t>(slots)] = 0;  // the spare slot
    backend_.upload(coefficients.view, std::span<const double>(weights));
    const auto n = static_cast<double>(picture.elements()), rows = static_cast<double>(2 * slots);
    add("lbfgs_push", picture, 2 * n, real_bytes(6 * n),
        [&] { backend_.lbfgs_push(history.view, previous.view, state.view, d.view, g.view); });
    add("lbfgs_dots", picture, 2 * rows * n, real_bytes((rows + 1) * n),
        [&] { backend_.lbfgs_dots(dots.view, history.view, state.view, g.view, LbfgsDots::kOfGradient); });
    add("lincomb_step", picture, 2 * (rows - 2) * n, real_bytes((rows - 2 + 4) * n),
        [&] { backend_.lincomb_step(x.view, d.view, step.view, coefficients.view, history.view, g.view); });
    const Tensor other_state = doubles(LbfgsState::size(slots)), other = doubles(2 * slots + 1);
    backend_.fill(other_state.view, 0);
    add("lbfgs_direction", picture, 0, 0,
        [&] { backend_.lbfgs_direction(other.view, other_state.view, dots.view, {}); });
  }

  Backend& backend_;
  Timer& timer_;
  std::string only_;
  std::vector<float> noise_;
  std::vector<Row> rows_;
};

std::vector<Row> time_cases(Backend& backend, Timer& timer, const std::string& only) {
  std::vector<Row> rows;
  for (const OpCase& op_case : make_op_cases()) {
    if (!only.empty() && op_case.operation.find(only) == std::string::npos) continue;
    OpBench bench(backend, 1);
    const std::function<void()> call = op_case.prepare(bench);
    (void)bench.run(call);
    rows.push_back({op_case.operation, op_case.name, timer(call), {}, {}});
  }
  return rows;
}

std::string number(std::optional<double> value, const char* format) {
  if (!value || *value == 0) return {};
  char text[64];
  (void)std::snprintf(text, sizeof text, format, *value);
  return text;
}

std::vector<std::string> cells(const Row& row, const Peaks& peaks) {
  const auto rate = [&](std::optional<double> amount) {
    return amount ? std::optional<double>(*amount / row.seconds / 1e9) : std::nullopt;
  };
  std::optional<double> share;
  if (row.bytes && peaks.gflops > 0 && peaks.gbytes > 0) {
    share = std::max(*row.flops / peaks.gflops, *row.bytes / peaks.gbytes) / 1e9 / row.seconds;
  }
  return {row.operation,
          row.shape,
          number(1000 * row.seconds, "%.4f"),
          number(rate(row.bytes), "%.1f"),
          number(rate(row.flops), "%.1f"),
          number(share, "%.3f")};
}

void print(const std::vector<Row>& rows, const Peaks& peaks, bool csv) {
  std::vector<std::vector<std::string>> table{
      {"operation", "shape", "ms", "GB/s", "GFLOP/s", "share of roofline"}};
  for (const Row& row : rows) table.push_back(cells(row, peaks));
  std::vector<std::size_t> widths(table[0].size(), 0);
  for (const auto& line : table) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  for (const auto& line : table) {
    std::string out;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (csv) {
        out += (i > 0 ? "," : "") + (line[i].find(',') == std::string::npos ? line[i] : '"' + line[i] + '"');
        continue;
      }
      const std::string& cell = line[i].empty() && i > 1 ? "-" : line[i];
      const std::string gap(widths[i] - std::min(widths[i], cell.size()), ' ');
      out += (i > 0 ? "  " : "") + (i < 2 ? cell + gap : gap + cell);
    }
    std::printf("%s\n", out.c_str());
  }
}

void run(const Arguments& arguments) {
  const std::string& what = arguments.text("--what");
  if (what != "layers" && what != "cases" && what != "all") arguments.fail("--what", "layers, cases or all");
  const std::string& network = arguments.text("--network");
  if (network != "vgg19" && network != "vgg16") arguments.fail("--network", "vgg19 or vgg16");
  const std::int64_t size = arguments.integer("--size", 16, 32768);
  BackendOptions options;
  options.device = arguments.text("--device");
  options.precision = arguments.precision("--precision");
  options.threads = static_cast<int>(arguments.integer("--threads", 0, 4096));
  options.autotune = arguments.flag("--autotune");
  const auto backend = make_backend(options);
  const Peaks peaks = peaks_of(*backend, arguments);
  std::fprintf(stderr, "%s, %s: %s; peak %.0f GFLOP/s, %.0f GB/s (0: unknown)\n",
               backend->info().name.c_str(), to_string(backend->traits().precision),
               backend->info().description.c_str(), peaks.gflops, peaks.gbytes);
  Timer timer(*backend, arguments.real("--milliseconds") / 1000);
  const std::string& only = arguments.text("--operation");
  std::vector<Row> rows;
  if (what != "cases") {
    rows = Layers(*backend, timer, only)
               .time(random_weights(network, 0), {std::max<std::int64_t>(size * 3 / 4, 1), size, 3},
                     arguments.integer("--history", 1, 1000));
  }
  if (what != "layers") {
    for (Row& row : time_cases(*backend, timer, only)) rows.push_back(std::move(row));
  }
  print(rows, peaks, arguments.flag("--csv"));
}

}  // namespace
}  // namespace impasto::profiling

int main(int argc, char** argv) {
  try {
    impasto::profiling::run({argc,
                             argv,
                             {{"--device", "auto"},
                              {"--precision", "auto"},
                              {"--size", "512"},
                              {"--network", "vgg19"},
                              {"--history", "10"},
                              {"--threads", "0"},
                              {"--what", "all"},
                              {"--operation", ""},
                              {"--milliseconds", "20"},
                              {"--peak-gflops", "0"},
                              {"--bandwidth", "0"}},
                             {"--csv", "--autotune"}});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_ops: %s\n", error.what());
    return 1;
  }
}
