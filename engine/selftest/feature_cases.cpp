// Pixels, ReLU, pooling.
#include "engine/selftest/case_lists.h"

namespace impasto::op_cases {
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
                         return [=, &device] { device.input_to_picture(y, x, mode); };
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

namespace {

/// Codes as pool_forward writes them, of any values.
std::vector<double> make_codes(Shape x, Pooling pooling, std::uint64_t seed) {
  const Shape windows = halved(x);
  std::vector<double> codes = make_values(Values::kPixels, windows, seed);
  std::int64_t i = 0;
  for (double& code : codes) {
    const int bits = static_cast<int>(code) + 128, signs = bits & 0xF0;
    const std::int64_t row = i / (windows.w * x.c), column = i / x.c % windows.w;
    const bool whole = row < x.h / 2 && column < x.w / 2;
    code = signs | (!whole ? 0 : pooling == Pooling::kAverage ? 15 : 1 << (bits & 3));
    ++i;
  }
  return codes;
}

}  // namespace

void add_pool(Cases& cases) {
  for (const Shape shape : {Shape{1, 1, 3}, Shape{1, 7, 5}, Shape{7, 1, 5}, Shape{2, 2, 1}, Shape{3, 3, 3},
                            Shape{9, 9, 8}, Shape{5, 7, 64}, Shape{8, 6, 67}, Shape{34, 51, 64}}) {
    const Shape half{shape.h / 2, shape.w / 2, shape.c}, windows = halved(shape);
    for (const Pooling pooling : {Pooling::kMax, Pooling::kAverage}) {
      for (const Values values : {Values::kTies, Values::kFeatures}) {
        const std::string text = to_string(shape) + name(pooling) + name(values);
        cases.push_back({"pool_forward", text + " y", [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const auto y = bench.output("y", Role::kActivation, half);
                           const auto x = bench.input("x", Role::kActivation, shape, values);
                           return [=, &device] { device.pool_forward(y, {}, x, pooling); };
                         }});
        cases.push_back({"pool_forward", text + " y and codes", [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const auto y = bench.output("y", Role::kActivation, half);
                           const auto codes = bench.output("codes", Role::kCodes, windows);
                           const auto x = bench.input("x", Role::kActivation, shape, values);
                           return [=, &device] { device.pool_forward(y, codes, x, pooling); };
                         }});
        cases.push_back({"pool_forward", text + " codes", [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const auto codes = bench.output("codes", Role::kCodes, windows);
                           const auto x = bench.input("x", Role::kActivation, shape, values);
                           return [=, &device] { device.pool_forward({}, codes, x, pooling); };
                         }});
      }
      for (const Accumulate mode : kModes) {
        for (const Relu mask : {Relu::kNo, Relu::kYes}) {
          const std::string text = to_string(shape) + name(pooling) + name(mode) + name(mask);
          cases.push_back({"pool_backward", text, [=](OpBench& bench) -> Call {
                             Backend& device = bench.backend();
                             const auto dx = bench.result("dx", Role::kActivation, shape, mode);
                             const auto dy = bench.input("dy", Role::kActivation, half, Values::kNormal);
                             const auto codes = bench.input("codes", Role::kCodes, windows,
                                                            make_codes(shape, pooling, bench.seed()));
                             return
                                 [=, &device] { device.pool_backward(dx, dy, codes, pooling, mode, mask); };
                           }});
        }
        cases.push_back({"pool_backward", to_string(shape) + " average without codes" + name(mode),
                         [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const auto dx = bench.result("dx", Role::kActivation, shape, mode);
                           const auto dy = bench.input("dy", Role::kActivation, half, Values::kNormal);
                           return [=, &device] {
                             device.pool_backward(dx, dy, {}, Pooling::kAverage, mode, Relu::kNo);
                           };
                         }});
      }
    }
  }
}

}  // namespace impasto::op_cases
