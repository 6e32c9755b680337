// impasto bench: every layer's operations, and whole iterations, at given sizes on random weights.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/device_speed.h"
#include "apps/render_arguments.h"
#include "apps/text.h"
#include "engine/backend/devices.h"
#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/network/vgg.h"
#include "engine/style/schedule.h"

namespace impasto::apps {
namespace {

struct BenchArguments {
  std::string sizes = "256,512", network = "vgg19";
  int repeats = 5;
  GivenOptions style_options;
  bool json = false;
};

/// One line of the table. Operations that are bound by memory have no arithmetic to speak of: flops is 0.
struct Timing {
  PixelSize size{};  ///< of the picture
  std::string operation;
  Shape input;
  double flops = 0;  ///< of one direction, of direct sums: other algorithms need fewer
  double forward_seconds = 0;
  std::optional<double> backward_seconds;
};

class Bench {
 public:
  Bench(Backend& backend, int repeats) : backend_(backend), repeats_(repeats) {}

  Timing conv(const std::string& name, Shape input, std::int64_t out_channels) {
    Timing timing{{}, name, input, 0, 0, {}};
    const auto seconds = [&](ConvOp op) {
      SampleConv sample(backend_, {op, input, out_channels});
      timing.flops = sample.flops();
      return seconds_of(backend_, repeats_, [&] { sample.run(); });
    };
    timing.forward_seconds = seconds(ConvOp::kForwardRelu);
    timing.backward_seconds = seconds(ConvOp::kBackwardData);
    return timing;
  }

  Timing pool(const std::string& name, Shape input) {
    const DType type = backend_.traits().activation;
    const Shape windows = halved(input);
    const Buffer x = make(input, type), y = make({input.h / 2, input.w / 2, input.c}, type),
                 dx = make(input, type),
                 codes = backend_.allocate(static_cast<std::size_t>(windows.elements()));
    const TensorView cv = codes.view(0, windows, DType::kUInt8);
    const TensorView xv = x.view(0, input, type), dxv = dx.view(0, input, type);
    const TensorView yv = y.view(0, {input.h / 2, input.w / 2, input.c}, type);
    Timing timing{{}, name, input, 0, 0, {}};
    timing.forward_seconds =
        seconds_of(backend_, repeats_, [&] { backend_.pool_forward(yv, cv, xv, Pooling::kMax); });
    timing.backward_seconds = seconds_of(backend_, repeats_, [&] {
      backend_.pool_backward(dxv, yv, cv, Pooling::kMax, Accumulate::kOverwrite, Relu::kYes);
    });
    return timing;
  }

  Timing gram(const std::string& name, Shape features) {
    const BackendTraits& traits = backend_.traits();
    const Shape square{1, features.c, features.c};
    const Buffer f = make(features, traits.activation), df = make(features, traits.activation);
    const Buffer g = make(square, traits.real);
    const std::size_t bytes = traits.gram_workspace_bytes(features);
    const Buffer scratch = backend_.allocate(std::max<std::size_t>(bytes, 1));
    const Workspace workspace{scratch.data(), bytes};
    const TensorView fv = f.view(0, features, traits.activation),
                     dfv = df.view(0, features, traits.activation);
    const TensorView gv = g.view(0, square, traits.real);
    const auto c = static_cast<double>(features.c);
    Timing timing{{}, name, features, 2.0 * static_cast<double>(features.positions()) * c * c, 0, {}};
    const double scale = 1.0 / static_cast<double>(features.positions());
    timing.forward_seconds = seconds_of(
        backend_, repeats_, [&] { backend_.gram(gv, fv, scale, Accumulate::kOverwrite, workspace); });
    timing.backward_seconds = seconds_of(backend_, repeats_, [&] {
      backend_.gram_backward(dfv, fv, gv, scale, Accumulate::kAdd, Relu::kYes, workspace);
    });
    return timing;
  }

 private:
  Buffer make(Shape shape, DType type) {
    Buffer buffer = backend_.allocate(static_cast<std::size_t>(shape.elements()) * size_of(type));
    backend_.fill(buffer.view(0, shape, type), 0.5);
    return buffer;
  }

  Backend& backend_;
  int repeats_;
};

/// Every node of the network up to the deepest style layer.
std::vector<Timing> time_layers(Backend& backend, const Weights& weights, PixelSize size, int repeats) {
  Bench bench(backend, repeats);
  std::vector<std::string> taps;
  for (const LayerWeight& layer : ObjectiveOptions().style_layers) taps.push_back(layer.layer);
  const NodeGraph graph = build_graph(weights, taps);
  if (const std::int64_t side = size.short_side(); side < graph.min_side()) {
    throw make_error(ErrorCode::kUsage, "option --sizes: expected at least {} pixels, found {}",
                     graph.min_side(), side);
  }
  const std::vector<Shape> shapes = graph.shapes({size.height, size.width, 3});
  std::vector<Timing> timings;
  Shape input{size.height, size.width, backend.traits().input_channels};
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.kind == NodeKind::kPool) timings.push_back(bench.pool(node.name, input));
    if (node.conv >= 0) {
      const std::string& name = weights.layers[static_cast<std::size_t>(node.conv)].name;
      timings.push_back(bench.conv(name, input, node.channels));
    }
    if (node.tap >= 0) timings.push_back(bench.gram("gram " + node.name, shapes[i]));
    input = shapes[i];
  }
  return timings;
}

/// A whole iteration with the default objective and optimiser, between two reports.
Timing time_iteration(const BenchArguments& a, std::shared_ptr<const Weights> weights, PixelSize size) {
  StyleOptions options = make_options(a.style_options);
  options.size = size.long_side();
  options.min_size = 0;
  options.num_scales = 1;
  options.iterations = a.repeats + 1;
  Image picture{size.width, size.height, std::vector<float>(static_cast<std::size_t>(size.pixels() * 3)), {}};
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<float>(i * 7919 % 1009) / 1009;
  Image style = picture;
  std::reverse(style.rgb.begin(), style.rgb.end());
  Stylizer stylizer(options, std::move(weights));
  Timing timing{size,
                "iteration",
                {size.height, size.width, 3},
                stylizer.plan(size, {&size, 1}).scales.back().flops,
                std::numeric_limits<double>::infinity(),
                {}};
  double before = -1;
  RunHooks hooks;
  hooks.progress = [&](const Progress& p) {
    if (before >= 0) timing.forward_seconds = std::min(timing.forward_seconds, p.seconds - before);
    before = p.seconds;
    return Action::kContinue;
  };
  (void)stylizer.run(picture, {&style, 1}, hooks);
  return timing;
}

std::string milliseconds(double seconds) { return format_fixed(1000 * seconds, seconds < 0.01 ? 3 : 1); }

/// What this device reaches: multiply-adds on registers, and copies between tensors far larger than caches.
struct Peaks {
  double flops = 0, bytes = 0;  ///< a second; 0: not known
  Peaks(Backend& backend, int threads)
      : flops(measure_peak_flops({.device = backend.info().name, .threads = threads})) {
    constexpr std::int64_t kElements = 32 << 20;
    const Shape shape{1, 1, kElements};
    const std::size_t one = static_cast<std::size_t>(kElements) * size_of(backend.traits().real);
    const Buffer memory = backend.allocate(2 * one);
    const TensorView from = memory.view(0, shape, backend.traits().real),
                     to = memory.view(one, shape, backend.traits().real);
    backend.fill(from, 0);
    bytes = 2 * static_cast<double>(one) / seconds_of(backend, 5, [&] { backend.copy(to, from); });
  }
};

std::string table(const std::vector<Timing>& timings, const Peaks& peaks) {
  Table out(2);
  out.add({"size", "operation", "input", "forward ms", "GFLOP/s", "of peak", "backward ms", "GFLOP/s",
           "of peak"});
  for (const Timing& t : timings) {
    const auto rate = [&](double seconds) {
      return t.flops > 0 ? format_fixed(t.flops / seconds / 1e9, 1) : "-";
    };
    const auto share = [&](double seconds) {
      return t.flops > 0 && peaks.flops > 0 ? format_fixed(t.flops / seconds / peaks.flops, 2) : "-";
    };
    out.add({to_string(t.size), t.operation, fmt::format("{}x{}x{}", t.input.h, t.input.w, t.input.c),
             milliseconds(t.forward_seconds), rate(t.forward_seconds), share(t.forward_seconds),
             t.backward_seconds ? milliseconds(*t.backward_seconds) : "-",
             t.backward_seconds ? rate(*t.backward_seconds) : "-",
             t.backward_seconds ? share(*t.backward_seconds) : "-"});
  }
  return out.text();
}

nlohmann::ordered_json to_json(const std::vector<Timing>& timings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Timing& t : timings) {
    nlohmann::ordered_json row{{"size", to_string(t.size)},   {"operation", t.operation},
                               {"height", t.input.h},         {"width", t.input.w},
                               {"channels", t.input.c},       {"flops", t.flops},
                               {"seconds", t.forward_seconds}};
    if (t.backward_seconds) row["backward_seconds"] = *t.backward_seconds;
    list.push_back(std::move(row));
  }
  return list;
}

/// "512" or "512x384", between commas.
std::vector<PixelSize> parse_sizes(const std::string& text) {
  std::vector<PixelSize> sizes;
  for (const std::string& size : split(text, ',')) {
    const std::size_t cross = size.find('x');
    const auto side = [&](const std::string& digits) {
      return parse_integer("option --sizes", digits, 16, 32768);
    };
    const std::int64_t width = side(size.substr(0, cross));
    sizes.push_back({width, cross == std::string::npos ? width : side(size.substr(cross + 1))});
  }
  return sizes;
}

void run_bench(const BenchArguments& a) {
  const std::vector<PixelSize> sizes = parse_sizes(a.sizes);
  const auto weights = std::make_shared<const Weights>(random_weights(a.network, 0));
  const StyleOptions options = make_options(a.style_options);
  const auto backend = open_device(options);
  std::vector<Timing> all;
  for (const PixelSize& size : sizes) {
    for (Timing& timing : time_layers(*backend, *weights, size, a.repeats)) {
      timing.size = size;
      all.push_back(std::move(timing));
    }
    all.push_back(time_iteration(a, weights, size));
  }
  if (a.json) {
    std::fputs((to_json(all).dump(2) + "\n").c_str(), stdout);
    return;
  }
  const Peaks peaks(*backend, options.threads);
  std::printf("%s: %s\n", backend->info().name.c_str(), backend->info().description.c_str());
  if (peaks.flops > 0)
    std::printf("multiply-adds on registers: %s GFLOP/s\n", format_fixed(peaks.flops / 1e9, 1).c_str());
  std::printf("copies in memory: %s GB/s read and written\n\n%s", format_fixed(peaks.bytes / 1e9, 1).c_str(),
              table(all, peaks).c_str());
}

}  // namespace

void add_bench(CLI::App& root, int& /*exit_code*/) {
  CLI::App* const app =
      root.add_subcommand("bench", "Time each operation and whole iterations on random weights");
  const auto a = std::make_shared<BenchArguments>();
  using Of = OptionValues<BenchArguments>;
  const std::vector<Option<BenchArguments>> rows{
      {"sizes", kOptions, "SIZE,SIZE,...", "pictures, 512 or 512x384 pixels",
       Of::text(&BenchArguments::sizes)},
      {"repeats", kOptions, "N", "calls of each; the least time counts",
       integer<BenchArguments>(&BenchArguments::repeats, 1, 10000)},
      {"network", kOptions, "NAME", "", Of::word(&BenchArguments::network, {{"vgg19"}, {"vgg16"}})},
      {"json", kOptions, "", "print JSON instead of a table; times in seconds",
       Of::boolean(&BenchArguments::json)},
  };
  declare(*app, rows, *a);
  add_device_options(*app, a->style_options);
  app->callback([a] { run_bench(*a); });
}

}  // namespace impasto::apps
