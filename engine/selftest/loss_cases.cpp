#include "engine/selftest/case_lists.h"

namespace impasto::op_cases {
namespace {

enum class Gradient : std::uint8_t { kNone, kOverwrite, kAdd };
std::string name_of(Gradient gradient) {
  return gradient == Gradient::kNone
             ? " value only"
             : name(gradient == Gradient::kAdd ? Accumulate::kAdd : Accumulate::kOverwrite);
}
std::string masked(Relu mask) { return mask == Relu::kYes ? " masked" : ""; }

}  // namespace

// 4099 is prime: positions that no device can split into equal parts.
void add_gram(Cases& cases) {
  for (const Shape shape : {Shape{1, 1, 3}, Shape{5, 7, 1}, Shape{9, 11, 5}, Shape{1, 40, 8},
                            Shape{16, 16, 64}, Shape{13, 17, 67}, Shape{1, 4099, 8}, Shape{96, 128, 64},
                            Shape{1, 65, 128}, Shape{3, 43, 256}, Shape{7, 9, 512}, Shape{500, 1000, 8}}) {
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
      for (const Relu mask : {Relu::kNo, Relu::kYes}) {
        cases.push_back(
            {"gram_backward", to_string(shape) + name(mode) + masked(mask), [=](OpBench& bench) -> Call {
               Backend& device = bench.backend();
               const auto df = bench.result("df", Role::kActivation, shape, mode);
               const auto f = bench.input("f", Role::kActivation, shape, Values::kFeatures);
               const auto dg =
                   bench.input("dg", Role::kActivation, {1, shape.c, shape.c}, Values::kSymmetric);
               const auto workspace = bench.workspace(device.traits().gram_workspace_bytes(shape));
               return [=, &device] { device.gram_backward(df, f, dg, 0.37, mode, mask, workspace); };
             }});
      }
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

void add_losses(Cases& cases) {
  constexpr Shape kSlot{1, 1, 1};
  for (const Gradient gradient : {Gradient::kNone, Gradient::kOverwrite, Gradient::kAdd}) {
    const Accumulate mode = gradient == Gradient::kAdd ? Accumulate::kAdd : Accumulate::kOverwrite;
    for (const Role role : {Role::kActivation, Role::kReal}) {
      const Relu mask = role == Role::kActivation && gradient != Gradient::kNone ? Relu::kYes : Relu::kNo;
      for (const Shape shape : {Shape{1, 1, 1}, Shape{7, 9, 5}, Shape{1, 67, 67}, Shape{60, 80, 64}}) {
        const std::string text = to_string(shape) + (role == Role::kReal ? " real" : " activation") +
                                 name_of(gradient) + masked(mask);
        cases.push_back({"squared_error", text, [=](OpBench& bench) -> Call {
                           Backend& device = bench.backend();
                           const auto loss = bench.output("loss", Role::kSlot, kSlot);
                           const auto d = gradient == Gradient::kNone ? TensorView{}
                                                                      : bench.result("d", role, shape, mode);
                           const auto x = bench.input("x", role, shape, Values::kFeatures);
                           const auto target = bench.input("target", role, shape, Values::kFeatures);
                           return [=, &device] {
                             device.squared_error(loss, d, x, target, {0.013, 0.7}, mode, mask);
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
              {"total_variation", kind_name + (" " + to_string(shape)) + name(values) + name_of(gradient),
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

}  // namespace impasto::op_cases
