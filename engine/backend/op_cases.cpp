#include "engine/backend/op_cases.h"

#include <cmath>
#include <limits>
#include <memory>

namespace impasto {
namespace {

using Call = std::function<void()>;
using Cases = std::vector<OpCase>;

/// Bound of the largest error of a float32 device, and what the CPU backend's was over all cases (the worst
/// of its three instruction sets). `direct`: bound for direct convolutions, where Winograd's may err more.
struct Bound {
  const char* operation;
  double bound, measured, direct = 0;
};
constexpr Bound kBounds[] = {
    {"conv2d_forward", 1.5e-4, 1.0e-5, 1e-5},
    {"conv2d_backward_data", 1.5e-4, 1.1e-5, 1.5e-5},
    {"picture_to_input", 0, 0},
    {"input_to_picture", 3e-7, 1.7e-7},
    {"relu_forward", 0, 0},
    {"relu_backward", 4e-7, 2.0e-7},
    {"pool_forward", 7e-7, 3.3e-7},
    {"pool_backward", 7e-7, 3.3e-7},
    {"gram", 3e-6, 1.1e-6},
    {"gram_backward", 5e-6, 2.4e-6},
    {"gram_loss", 8e-7, 0},
    {"style_loss", 5e-6, 0},
    {"squared_error", 8e-7, 3.9e-7},
    {"total_variation", 8e-7, 3.7e-7},
    {"momentum_step", 7e-7, 3.2e-7},
    {"adam_step", 2e-6, 8.7e-7},
    {"clamp", 0, 0},
    {"average_channels", 1e-6, 4.8e-7},
    {"add_scaled", 6e-7, 2.6e-7},
    {"dot", 1e-13, 1.0e-15},
    {"halve", 1e-6, 0},
    {"halve_transposed_add", 1e-6, 0},
    {"lincomb", 5e-7, 2.2e-7},
    {"lincomb_step", 7e-7, 0},
    {"lbfgs_push", 5e-7, 2.4e-7},
    {"lbfgs_dots", 1e-12, 3.4e-14},
    {"lbfgs_direction", 1e-12, 1.6e-16},
};

constexpr Accumulate kModes[] = {Accumulate::kOverwrite, Accumulate::kAdd};
constexpr Pooling kPoolings[] = {Pooling::kMax, Pooling::kAverage};

std::string name(Accumulate mode) { return mode == Accumulate::kAdd ? " add" : " overwrite"; }
std::string name(Relu relu) { return relu == Relu::kYes ? " relu" : ""; }
std::string name(Pooling pooling) { return pooling == Pooling::kMax ? " max" : " average"; }
std::string name(Values values) {
  switch (values) {
    case Values::kNormal: return " normal";
    case Values::kFeatures: return " features";
    case Values::kTies: return " ties";
    case Values::kPixels: return " pixels";
    case Values::kSymmetric: return " symmetric";
  }
  return "";
}
std::string name(Padding p) {
  return " pad t" + std::to_string(p.top) + "b" + std::to_string(p.bottom) + "l" + std::to_string(p.left) +
         "r" + std::to_string(p.right);
}

// --- convolution

struct ConvCase {
  Shape input;
  std::int64_t out_channels;
  Padding padding;
};

Shape conv_output(const ConvCase& c) {
  return {c.input.h + c.padding.top + c.padding.bottom - 2, c.input.w + c.padding.left + c.padding.right - 2,
          c.out_channels};
}

/// The nearest number with 8 significant bits: one that every device's filters hold exactly.
float with_8_bits(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  return static_cast<float>(std::ldexp(std::round(mantissa * 256), exponent - 8));
}

std::shared_ptr<const ConvFilter> make_conv(OpBench& bench, const ConvCase& c) {
  // He's deviation keeps the outputs near 1 for any number of channels.
  const double deviation = std::sqrt(2.0 / static_cast<double>(9 * c.input.c));
  std::vector<float> filter, bias;
  for (const double v : make_values(Values::kNormal, {9, c.input.c, c.out_channels}, bench.seed() + 1000)) {
    filter.push_back(with_8_bits(v * deviation));
  }
  for (const double v : make_values(Values::kNormal, {1, 1, c.out_channels}, bench.seed() + 1001)) {
    bias.push_back(with_8_bits(0.1 * v));
  }
  return bench.backend().make_conv_filter({c.input.c, c.out_channels, filter, bias});
}

Call prepare_forward(OpBench& bench, const ConvCase& c, Relu relu) {
  Backend& device = bench.backend();
  const auto y = bench.output("y", Role::kActivation, conv_output(c));
  const auto x = bench.input("x", Role::kActivation, c.input, Values::kFeatures);
  const auto workspace =
      bench.workspace(device.traits().conv_workspace_bytes(c.input, c.out_channels, c.padding));
  return [=, &device, conv = make_conv(bench, c)] {
    device.conv2d_forward(y, x, *conv, c.padding, relu, workspace);
  };
}

Call prepare_backward(OpBench& bench, const ConvCase& c, Accumulate mode, bool masked) {
  Backend& device = bench.backend();
  const auto dx = bench.result("dx", Role::kActivation, c.input, mode);
  const auto dy = bench.input("dy", Role::kActivation, conv_output(c), Values::kNormal);
  const auto mask =
      masked ? bench.input("mask", Role::kActivation, c.input, Values::kFeatures) : ConstTensorView{};
  const auto workspace =
      bench.workspace(device.traits().conv_workspace_bytes(c.input, c.out_channels, c.padding));
  return [=, &device, conv = make_conv(bench, c)] {
    device.conv2d_backward_data(dx, dy, *conv, c.padding, mode, mask, workspace);
  };
}

void add_conv(Cases& cases) {
  std::vector<ConvCase> shapes = {
      {{1, 1, 3}, 64, {}},
      {{1, 9, 5}, 8, {}},
      {{7, 1, 8}, 5, {}},
      {{8, 8, 1}, 1, {}},
      {{5, 6, 3}, 64, {}},
      {{9, 7, 64}, 67, {}},
      {{13, 11, 67}, 64, {}},
      {{33, 47, 3}, 64, {}},
      {{4, 5, 64}, 3, {}},
      {{24, 40, 64}, 64, {}},
      {{17, 19, 128}, 128, {}},
      {{6, 10, 512}, 512, {}},
      {{3, 3, 64}, 64, {0, 0, 0, 0}},
      {{21, 30, 64}, 128, {0, 0, 1, 1}},
      {{1, 8, 64}, 64, {1, 1, 1, 1}},
  };
  for (int bits = 0; bits < 15; ++bits) {
    const Padding padding{bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3 & 1};
    shapes.push_back({{5, 7, 8}, 16, padding});
    if (bits % 4 == 1 || bits % 4 == 2) shapes.push_back({{14, 13, 64}, 64, padding});
  }
  for (const ConvCase& c : shapes) {
    const std::string text = to_string(c.input) + " to " + std::to_string(c.out_channels) + name(c.padding);
    // The widest layer's filters take long to make: one forward, one backward.
    const bool one = c.out_channels >= 512;
    for (const Relu relu : {Relu::kNo, Relu::kYes}) {
      if (one && relu == Relu::kNo) continue;
      cases.push_back({"conv2d_forward", text + name(relu),
                       [=](OpBench& bench) { return prepare_forward(bench, c, relu); }});
    }
    for (const Accumulate mode : kModes) {
      for (const bool masked : {false, true}) {
        if (one && (mode == Accumulate::kAdd || !masked)) continue;
        cases.push_back({"conv2d_backward_data", text + name(mode) + (masked ? " mask" : ""),
                         [=](OpBench& bench) { return prepare_backward(bench, c, mode, masked); }});
      }
    }
  }
}

// --- pixels, ReLU, pooling

void add_pointwise(Cases& cases) {
  for (const Shape shape : {Shape{1, 1, 3}, Shape{7, 13, 3}, Shape{48, 65, 3}}) {
    cases.push_back({"picture_to_input", to_string(shape), [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto y =
                           bench.output("input", Role::kActivation, shape, device.traits().input_channels);
                       const auto x = bench.input("picture", Role::kReal, shape, Values::kPixels);
                       return [=, &device] { device.picture_to_input(y, x); };
                     }});
    for (const Accumulate mode : kModes) {
      cases.push_back({"input_to_picture", to_string(shape) + name(mode), [=](OpBench& bench) -> Call {
                         Backend& device = bench.backend();
                         const auto y = bench.result("dpicture", Role::kReal, shape, mode);
                         const auto x = bench.input("dinput", Role::kActivation, shape, Values::kNormal,
                                                    device.traits().input_channels);
                         return [=, &device] { device.input_to_picture(y, x, 0.25, mode); };
                       }});
    }
  }
  for (const Shape shape : {Shape{1, 1, 1}, Shape{1, 17, 5}, Shape{9, 11, 67}, Shape{32, 48, 64}}) {
    for (const bool in_place : {false, true}) {
      const std::string text = to_string(shape) + (in_place ? " in place" : "");
      cases.push_back({"relu_forward", text, [=](OpBench& bench) -> Call {
                         Backend& device = bench.backend();
                         if (in_place) {
                           const auto x = bench.in_out("x", Role::kActivation, shape, Values::kTies);
                           return [=, &device] { device.relu_forward(x, x); };
                         }
                         const auto y = bench.output("y", Role::kActivation, shape);
                         const auto x = bench.input("x", Role::kActivation, shape, Values::kTies);
                         return [=, &device] { device.relu_forward(y, x); };
                       }});
      cases.push_back({"relu_backward", text + " overwrite", [=](OpBench& bench) -> Call {
                         Backend& device = bench.backend();
                         const auto y = bench.input("y", Role::kActivation, shape, Values::kTies);
                         const auto dx = in_place
                                             ? bench.in_out("dx", Role::kActivation, shape, Values::kNormal)
                                             : bench.output("dx", Role::kActivation, shape);
                         const ConstTensorView dy =
                             in_place ? dx : bench.input("dy", Role::kActivation, shape, Values::kNormal);
                         return [=, &device] { device.relu_backward(dx, dy, y, Accumulate::kOverwrite); };
                       }});
    }
    cases.push_back({"relu_backward", to_string(shape) + " add", [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto dx = bench.in_out("dx", Role::kActivation, shape, Values::kNormal);
                       const auto dy = bench.input("dy", Role::kActivation, shape, Values::kNormal);
                       const auto y = bench.input("y", Role::kActivation, shape, Values::kTies);
                       return [=, &device] { device.relu_backward(dx, dy, y, Accumulate::kAdd); };
                     }});
  }
}

void add_pool(Cases& cases) {
  for (const Shape shape : {Shape{1, 1, 3}, Shape{1, 7, 5}, Shape{7, 1, 5}, Shape{2, 2, 1}, Shape{3, 3, 3},
                            Shape{9, 9, 8}, Shape{5, 7, 64}, Shape{8, 6, 67}, Shape{34, 51, 64}}) {
    const Shape half{shape.h / 2, shape.w / 2, shape.c};
    for (const Pooling pooling : kPoolings) {
      for (const Values values : {Values::kTies, Values::kFeatures}) {
        const std::string text = to_string(shape) + name(pooling) + name(values);
        cases.push_back({"pool_forward", text, [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const auto y = bench.output("y", Role::kActivation, half);
                           const auto x = bench.input("x", Role::kActivation, shape, values);
                           return [=, &device] { device.pool_forward(y, x, pooling); };
                         }});
        for (const Accumulate mode : kModes) {
          for (const Relu mask : {Relu::kNo, Relu::kYes}) {
            cases.push_back({"pool_backward", text + name(mode) + name(mask), [=](OpBench& bench) -> Call {
                               Backend& device = bench.backend();
                               const auto dx = bench.result("dx", Role::kActivation, shape, mode);
                               const auto dy = bench.input("dy", Role::kActivation, half, Values::kNormal);
                               const auto x = bench.input("x", Role::kActivation, shape, values);
                               return [=, &device] { device.pool_backward(dx, dy, x, pooling, mode, mask); };
                             }});
          }
        }
      }
    }
  }
}

// --- losses

// 4099 is prime: positions that no device can split into equal parts.
void add_gram(Cases& cases) {
  for (const Shape shape :
       {Shape{1, 1, 3}, Shape{5, 7, 1}, Shape{9, 11, 5}, Shape{1, 40, 8}, Shape{16, 16, 64},
        Shape{13, 17, 67}, Shape{1, 4099, 8}, Shape{96, 128, 64}, Shape{7, 9, 512}, Shape{500, 1000, 8}}) {
    const double scale = 1.0 / static_cast<double>(shape.positions());
    for (const Accumulate mode : kModes) {
      cases.push_back({"gram", to_string(shape) + name(mode), [=](OpBench& bench) -> Call {
                         Backend& device = bench.backend();
                         const Shape square{1, shape.c, shape.c};
                         const auto g = mode == Accumulate::kAdd
                                            ? bench.in_out("g", Role::kReal, square, Values::kSymmetric)
                                            : bench.output("g", Role::kReal, square);
                         const auto f = bench.input("f", Role::kActivation, shape, Values::kFeatures);
                         const auto workspace = bench.workspace(device.traits().gram_workspace_bytes(shape));
                         return [=, &device] { device.gram(g, f, scale, mode, workspace); };
                       }});
      if (shape.positions() > 100000) continue;
      cases.push_back(
          {"gram_backward", to_string(shape) + name(mode), [=](OpBench& bench) -> Call {
             Backend& device = bench.backend();
             const auto df = bench.result("df", Role::kActivation, shape, mode);
             const auto f = bench.input("f", Role::kActivation, shape, Values::kFeatures);
             const auto dg = bench.input("dg", Role::kActivation, {1, shape.c, shape.c}, Values::kSymmetric);
             const auto workspace = bench.workspace(device.traits().gram_workspace_bytes(shape));
             return [=, &device] { device.gram_backward(df, f, dg, 0.37, mode, workspace); };
           }});
    }
  }
}

void add_gram_loss(Cases& cases) {
  for (const std::int64_t c : {1, 3, 5, 64, 67, 512}) {
    const Shape square{1, c, c};
    cases.push_back({"gram_loss", to_string(square), [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto loss = bench.output("loss", Role::kSlot, {1, 1, 1});
                       const auto d = bench.output("d", Role::kActivation, square);
                       const auto g = bench.input("g", Role::kReal, square, Values::kSymmetric);
                       const auto target = bench.input("target", Role::kReal, square, Values::kSymmetric);
                       return [=, &device] { device.gram_loss(loss, d, g, target, {0.013, 0.7}); };
                     }});
  }
}

void add_style_loss(Cases& cases) {
  for (const Shape shape : {Shape{1, 1, 3}, Shape{9, 11, 5}, Shape{16, 16, 64}, Shape{13, 17, 67},
                            Shape{1, 4099, 8}, Shape{96, 128, 64}, Shape{7, 9, 512}}) {
    cases.push_back(
        {"style_loss", to_string(shape), [=](OpBench& bench) -> Call {
           Backend& device = bench.backend();
           const Shape square{1, shape.c, shape.c};
           const double scale = 1.0 / static_cast<double>(shape.positions());
           const auto loss = bench.output("loss", Role::kSlot, {1, 1, 1});
           const auto d = bench.output("d", Role::kActivation, square);
           const auto f = bench.input("f", Role::kActivation, shape, Values::kFeatures);
           const auto target = bench.input("target", Role::kReal, square, Values::kSymmetric);
           const auto scratch =
               bench.workspace(static_cast<std::size_t>(square.elements()) * size_of(device.traits().real));
           const auto workspace = bench.workspace(device.traits().gram_workspace_bytes(shape));
           const TensorView g{scratch.data, square, device.traits().real};
           return [=, &device] { device.style_loss(loss, d, g, f, target, scale, {0.013, 0.7}, workspace); };
         }});
  }
}

enum class Gradient : std::uint8_t { kNone, kOverwrite, kAdd };
std::string name(Gradient gradient) {
  return gradient == Gradient::kNone
             ? " value only"
             : name(gradient == Gradient::kAdd ? Accumulate::kAdd : Accumulate::kOverwrite);
}

void add_losses(Cases& cases) {
  constexpr Shape kSlot{1, 1, 1};
  for (const Gradient gradient : {Gradient::kNone, Gradient::kOverwrite, Gradient::kAdd}) {
    const Accumulate mode = gradient == Gradient::kAdd ? Accumulate::kAdd : Accumulate::kOverwrite;
    for (const Role role : {Role::kActivation, Role::kReal}) {
      for (const Shape shape : {Shape{1, 1, 1}, Shape{7, 9, 5}, Shape{1, 67, 67}, Shape{60, 80, 64}}) {
        const std::string text =
            to_string(shape) + (role == Role::kReal ? " real" : " activation") + name(gradient);
        cases.push_back({"squared_error", text, [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const auto loss = bench.output("loss", Role::kSlot, kSlot);
                           const auto d = gradient == Gradient::kNone ? TensorView{}
                                                                      : bench.result("d", role, shape, mode);
                           const auto x = bench.input("x", role, shape, Values::kFeatures);
                           const auto target = bench.input("target", role, shape, Values::kFeatures);
                           return [=, &device] {
                             device.squared_error(loss, d, x, target, {0.013, 0.7}, mode);
                           };
                         }});
      }
    }
    if (gradient == Gradient::kOverwrite) continue;  // total_variation always adds
    for (const auto& [kind, kind_name] : {std::pair{TotalVariation::kL2, "l2"},
                                          {TotalVariation::kL1, "l1"},
                                          {TotalVariation::kHalfSum, "half-sum"}}) {
      for (const Shape shape :
           {Shape{1, 1, 3}, Shape{1, 8, 3}, Shape{8, 1, 3}, Shape{17, 23, 3}, Shape{96, 131, 3}}) {
        for (const Values values : {Values::kPixels, Values::kTies}) {
          cases.push_back(
              {"total_variation", kind_name + (" " + to_string(shape)) + name(values) + name(gradient),
               [=, kind = kind](OpBench& bench) -> Call {
                 Backend& device = bench.backend();
                 const auto loss = bench.output("loss", Role::kSlot, kSlot);
                 // Starts at 0, so that the gradient is not lost beside what it is added to.
                 const auto d =
                     gradient == Gradient::kNone
                         ? TensorView{}
                         : bench.in_out("d", Role::kReal, shape,
                                        std::vector<double>(static_cast<std::size_t>(shape.elements())));
                 const auto x = bench.input("x", Role::kReal, shape, values);
                 return [=, &device] { device.total_variation(loss, d, x, kind, 3.5); };
               }});
        }
      }
    }
  }
}

// --- optimisers

void add_vectors(Cases& cases) {
  constexpr Shape kSlot{1, 1, 1};
  for (const Shape shape : {Shape{1, 1, 3}, Shape{7, 13, 3}, Shape{200, 301, 3}}) {
    const std::string text = to_string(shape);
    const Shape halved{(shape.h + 1) / 2, (shape.w + 1) / 2, shape.c};
    cases.push_back({"momentum_step", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto x = bench.in_out("x", Role::kReal, shape, Values::kNormal);
                       const auto v = bench.in_out("v", Role::kReal, shape, Values::kNormal);
                       const auto g = bench.input("g", Role::kReal, shape, Values::kNormal);
                       return [=, &device] { device.momentum_step(x, v, g, 0.3, 0.9); };
                     }});
    for (const double steps : {0.0, 7.0, 999.0}) {
      cases.push_back({"adam_step", text + " after " + std::to_string(static_cast<int>(steps)),
                       [=](OpBench& bench) -> Call {
                         Backend& device = bench.backend();
                         const auto x = bench.in_out("x", Role::kReal, shape, Values::kNormal);
                         const auto m = bench.in_out("m", Role::kReal, shape, Values::kNormal);
                         // As large as the squares of gradients that m could come from.
                         std::vector<double> squares = make_values(Values::kNormal, shape, bench.seed() + 2);
                         for (double& value : squares) value = value * value + 0.1;
                         const auto v = bench.in_out("v", Role::kReal, shape, squares);
                         const auto step =
                             bench.in_out("step", Role::kSlot, kSlot, std::vector<double>{steps});
                         const auto g = bench.input("g", Role::kReal, shape, Values::kNormal);
                         return [=, &device] { device.adam_step(x, m, v, step, g, {0.02, 0.9, 0.99, 1e-8}); };
                       }});
    }
    cases.push_back({"halve", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto x = bench.input("x", Role::kReal, shape, Values::kNormal);
                       const auto y = bench.output("y", Role::kReal, halved);
                       return [=, &device] { device.halve(y, x); };
                     }});
    cases.push_back({"halve_transposed_add", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto x = bench.in_out("x", Role::kReal, shape, Values::kNormal);
                       const auto y = bench.input("y", Role::kReal, halved, Values::kNormal);
                       return [=, &device] { device.halve_transposed_add(x, y, 1.5); };
                     }});
    cases.push_back({"clamp", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto x = bench.in_out("x", Role::kReal, shape, Values::kPixels);
                       return [=, &device] { device.clamp(x, {-100, -50.5, 0}, {100, 60.25, 5}); };
                     }});
    cases.push_back({"average_channels", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto x = bench.in_out("x", Role::kReal, shape, Values::kNormal);
                       return [=, &device] { device.average_channels(x); };
                     }});
    for (const bool in_place : {false, true}) {
      cases.push_back({"add_scaled", text + (in_place ? " in place" : ""), [=](OpBench& bench) -> Call {
                         Backend& device = bench.backend();
                         const auto scale = bench.input("scale", Role::kSlot, kSlot, Values::kNormal);
                         const auto b = bench.input("b", Role::kReal, shape, Values::kNormal);
                         const auto out = in_place ? bench.in_out("out", Role::kReal, shape, Values::kNormal)
                                                   : bench.output("out", Role::kReal, shape);
                         const ConstTensorView a =
                             in_place ? out : bench.input("a", Role::kReal, shape, Values::kNormal);
                         return [=, &device] { device.add_scaled(out, a, scale, b); };
                       }});
    }
    // Features, so that the sum does not cancel and its relative error means something.
    cases.push_back({"dot", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto out = bench.output("out", Role::kSlot, kSlot);
                       const auto a = bench.input("a", Role::kReal, shape, Values::kFeatures);
                       const auto b = bench.input("b", Role::kReal, shape, Values::kFeatures);
                       return [=, &device] { device.dot(out, a, b); };
                     }});
    for (const std::int64_t rows : {1, 4, 22}) {
      if (rows == 22 && shape.elements() > 10000) continue;
      cases.push_back(
          {"lincomb", text + " rows " + std::to_string(rows), [=](OpBench& bench) -> Call {
             Backend& device = bench.backend();
             const Shape all{rows, 1, shape.elements()};
             std::vector<double> values = make_values(Values::kNormal, all, bench.seed());
             std::vector<double> weights = make_values(Values::kNormal, {1, 1, rows + 1}, bench.seed() + 1);
             if (rows > 1) {  // a row with coefficient 0 may hold anything
               weights[1] = 0;
               for (std::int64_t i = 0; i < all.c; ++i) {
                 values[static_cast<std::size_t>(all.c + i)] = std::numeric_limits<double>::quiet_NaN();
               }
             }
             const auto out = bench.output("out", Role::kReal, shape);
             const auto coefficients = bench.input("coefficients", Role::kSlot, {1, 1, rows + 1}, weights);
             const auto r = bench.input("rows", Role::kReal, all, values);
             const auto g = bench.input("g", Role::kReal, shape, Values::kNormal);
             return [=, &device] { device.lincomb(out, coefficients, r, g); };
           }});
      cases.push_back(
          {"lincomb_step", text + " rows " + std::to_string(rows), [=](OpBench& bench) -> Call {
             Backend& device = bench.backend();
             const Shape all{rows, 1, shape.elements()};
             const auto x = bench.in_out("x", Role::kReal, shape, Values::kNormal);
             const auto d = bench.output("d", Role::kReal, shape);
             const auto t = bench.input("t", Role::kSlot, kSlot, {-0.7});
             const auto weights = bench.input("coefficients", Role::kSlot, {1, 1, rows + 1}, Values::kNormal);
             const auto r = bench.input("rows", Role::kReal, all, Values::kNormal);
             const auto g = bench.input("g", Role::kReal, shape, Values::kNormal);
             return [=, &device] { device.lincomb_step(x, d, t, weights, r, g); };
           }});
    }
  }
}

/// The state with `count` pairs before the spare slot, and nothing yet in the matrices.
std::vector<double> lbfgs_state(std::int64_t slots, std::int64_t count, std::int64_t spare, double calls) {
  std::vector<double> state(static_cast<std::size_t>(LbfgsState::size(slots)));
  state[LbfgsState::kCount] = static_cast<double>(count);
  state[LbfgsState::kSpare] = static_cast<double>(spare);
  state[LbfgsState::kStep] = 0.6;
  state[LbfgsState::kCalls] = calls;
  return state;
}

struct DirectionCase {
  const char* name;
  std::int64_t slots, count, spare;
  double calls;
  bool positive;  ///< y.s of the pair in the spare slot
};

/// State and dots of random pairs y = D s with a positive diagonal D, as a convex function would give them.
/// What belongs to slots not in use is NaN: it must not matter.
Call prepare_direction(OpBench& bench, const DirectionCase& c) {
  constexpr std::int64_t kLength = 50;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const std::int64_t rows = 2 * c.slots;
  std::vector<double> history = make_values(Values::kNormal, {rows, 1, kLength}, bench.seed());
  const std::vector<double> g = make_values(Values::kNormal, {1, 1, kLength}, bench.seed() + 1);
  for (std::int64_t i = 0; i < c.slots; ++i) {
    // 0: the spare slot itself, which holds no pair at the first call.
    const bool used = c.calls > 0 && (c.spare - i + c.slots) % c.slots <= c.count;
    for (std::int64_t k = 0; k < kLength; ++k) {
      double& s = history[at(i * kLength + k)];
      const double sign = i == c.spare && !c.positive ? -1 : 1;
      history[at((c.slots + i) * kLength + k)] = used ? sign * (0.5 + 0.1 * static_cast<double>(k)) * s : nan;
      if (!used) s = nan;
    }
  }
  const auto dot = [&](std::int64_t a, const double* b) {
    double sum = 0;
    for (std::int64_t k = 0; k < kLength; ++k) sum += history[at(a * kLength + k)] * b[k];
    return sum;
  };
  const auto row = [&](std::int64_t r) -> const double* { return history.data() + r * kLength; };
  std::vector<double> state = lbfgs_state(c.slots, c.count, c.spare, c.calls), dots;
  for (std::int64_t i = 0; i < c.slots; ++i) {
    for (std::int64_t j = 0; j < c.slots; ++j) {
      const bool known = i != c.spare && j != c.spare;
      state[at(LbfgsState::kMatrices + i * c.slots + j)] = known ? dot(i, row(c.slots + j)) : 0;
      state[at(LbfgsState::kMatrices + (c.slots + i) * c.slots + j)] =
          known ? dot(c.slots + i, row(c.slots + j)) : 0;
    }
  }
  for (const double* with : {row(c.spare), row(c.slots + c.spare), g.data()}) {
    for (std::int64_t r = 0; r < rows; ++r) dots.push_back(dot(r, with));
  }
  double sum = 0, squares = 0;
  for (const double value : g) sum += std::abs(value), squares += value * value;
  dots.push_back(sum);
  dots.push_back(squares);
  // The state of slots not in use is 0 at the start.
  for (double& value : state) value = std::isnan(value) ? 0 : value;

  Backend& device = bench.backend();
  const auto coefficients = bench.output("coefficients", Role::kSlot, {1, 1, rows + 1});
  const auto state_view = bench.in_out("state", Role::kSlot, {1, 1, LbfgsState::size(c.slots)}, state);
  const auto dots_view = bench.input("dots", Role::kSlot, {1, 1, LbfgsState::num_dots(c.slots)}, dots);
  return [=, &device] { device.lbfgs_direction(coefficients, state_view, dots_view, 0.8); };
}

void add_lbfgs(Cases& cases) {
  for (const std::int64_t slots : {2, 5, 11}) {
    for (const std::int64_t n : {3, 1001, 60000}) {
      const std::int64_t spare = slots / 2;
      const std::string text = "slots " + std::to_string(slots) + " length " + std::to_string(n);
      const Shape all{2 * slots, 1, n}, one{1, n / 3, 3};
      const std::vector<double> state = lbfgs_state(slots, slots - 1, spare, 3);  // all slots in use
      const Shape state_shape{1, 1, LbfgsState::size(slots)};
      cases.push_back(
          {"lbfgs_push", text, [=](OpBench& bench) -> Call {
             Backend& device = bench.backend();
             const auto history = bench.in_out("history", Role::kReal, all, Values::kNormal);
             const auto previous = bench.in_out("g_previous", Role::kReal, {1, 1, n}, Values::kNormal);
             const auto s = bench.input("state", Role::kSlot, state_shape, state);
             const auto d = bench.input("d", Role::kReal, {1, 1, n}, Values::kNormal);
             const auto g = bench.input("g", Role::kReal, {1, 1, n}, Values::kNormal);
             return [=, &device] { device.lbfgs_push(history, previous, s, d, g); };
           }});
      cases.push_back(
          {"lbfgs_dots", text, [=](OpBench& bench) -> Call {
             Backend& device = bench.backend();
             const auto dots = bench.output("dots", Role::kSlot, {1, 1, LbfgsState::num_dots(slots)});
             const auto history = bench.input("history", Role::kReal, all, Values::kFeatures);
             const auto s = bench.input("state", Role::kSlot, state_shape, state);
             const auto g =
                 bench.input("g", Role::kReal, n % 3 == 0 ? one : Shape{1, 1, n}, Values::kFeatures);
             return [=, &device] { device.lbfgs_dots(dots, history, s, g); };
           }});
    }
  }
  for (const DirectionCase& c : {DirectionCase{"first call", 5, 0, 0, 0, true},
                                 {"second call", 5, 0, 0, 1, true},
                                 {"second call, rejected", 5, 0, 0, 1, false},
                                 {"growing", 5, 2, 2, 3, true},
                                 {"full, wraps round", 5, 4, 4, 9, true},
                                 {"full, spare in the middle", 5, 4, 2, 12, true},
                                 {"full, rejected", 5, 4, 1, 12, false},
                                 {"history of one", 2, 1, 1, 5, true}}) {
    cases.push_back({"lbfgs_direction", c.name, [=](OpBench& bench) { return prepare_direction(bench, c); }});
  }
}

}  // namespace

std::vector<OpCase> make_op_cases() {
  Cases cases;
  add_conv(cases);
  add_pointwise(cases);
  add_pool(cases);
  add_gram(cases);
  add_gram_loss(cases);
  add_style_loss(cases);
  add_losses(cases);
  add_vectors(cases);
  add_lbfgs(cases);
  for (OpCase& op_case : cases) {
    for (const Bound& bound : kBounds) {
      if (op_case.operation == bound.operation) {
        op_case.bound_fp32 = bound.bound;
        op_case.bound_exact = bound.direct != 0 ? bound.direct : bound.bound;
      }
    }
  }
  return cases;
}

}  // namespace impasto
