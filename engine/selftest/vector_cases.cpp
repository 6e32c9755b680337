// Optimisers' vectors.
#include "engine/selftest/case_lists.h"

#include <limits>

namespace impasto::op_cases {
namespace {

constexpr Shape kSlot{1, 1, 1};
constexpr Shape kPictures[] = {{1, 1, 3}, {7, 13, 3}, {200, 301, 3}};

}  // namespace

void add_steps(Cases& cases) {
  for (const Shape shape : kPictures) {
    const std::string text = to_string(shape);
    const Shape half = halved(shape);
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
                       const auto y = bench.output("y", Role::kReal, half);
                       return [=, &device] { device.halve(y, x); };
                     }});
    cases.push_back({"halve_transposed_add", text, [=](OpBench& bench) -> Call {
                       Backend& device = bench.backend();
                       const auto x = bench.in_out("x", Role::kReal, shape, Values::kNormal);
                       const auto y = bench.input("y", Role::kReal, half, Values::kNormal);
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
  }
}

void add_sums(Cases& cases) {
  for (const Shape shape : kPictures) {
    const std::string text = to_string(shape);
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

}  // namespace impasto::op_cases
