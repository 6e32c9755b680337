#include "engine/selftest/case_lists.h"

#include <cmath>
#include <memory>

namespace impasto::op_cases {
namespace {

struct ConvCase {
  Shape input;
  std::int64_t out_channels;
  Padding padding;
};

ConvTask task_of(const ConvCase& c, ConvOp op) { return {op, c.input, c.out_channels, c.padding}; }

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
  const ConvTask task = task_of(c, conv_op(relu));
  const auto y = bench.output("y", Role::kActivation, task.output());
  const auto x = bench.input("x", Role::kActivation, c.input, Values::kFeatures);
  device.prepare_conv(task);
  const auto workspace = bench.workspace(device.traits().conv_workspace_bytes(task));
  return [=, &device, conv = make_conv(bench, c)] {
    device.conv2d_forward(y, x, *conv, c.padding, relu, workspace);
  };
}

Call prepare_backward(OpBench& bench, const ConvCase& c, Accumulate mode, bool masked) {
  Backend& device = bench.backend();
  const ConvTask task = task_of(c, conv_op(mode));
  const auto dx = bench.result("dx", Role::kActivation, c.input, mode);
  const auto dy = bench.input("dy", Role::kActivation, task.output(), Values::kNormal);
  const auto mask =
      masked ? bench.input("mask", Role::kActivation, c.input, Values::kFeatures) : ConstTensorView{};
  device.prepare_conv(task);
  const auto workspace = bench.workspace(device.traits().conv_workspace_bytes(task));
  return [=, &device, conv = make_conv(bench, c)] {
    device.conv2d_backward_data(dx, dy, *conv, c.padding, mode, mask, workspace);
  };
}

}  // namespace

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

}  // namespace impasto::op_cases
