#include "engine/selftest/op_cases.h"

#include "engine/selftest/case_lists.h"

namespace impasto {
namespace {

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
    {"gram_loss", 8e-7, 4.6e-7},
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
    {"lbfgs_dots", 5e-7, 3.4e-14},  // of four elements some devices add up the products in float
    {"lbfgs_direction", 1e-12, 1.6e-16},
    {"lbfgs_pair_dots", 1e-13, 1.0e-15},
    {"lbfgs_condition", 1e-15, 0},
    {"lbfgs_decide", 0, 0},
    {"descent_decide", 0, 0},
    {"weighted_sum", 0, 0},
};

}  // namespace

namespace op_cases {

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

}  // namespace op_cases

std::vector<OpCase> make_op_cases() {
  using namespace op_cases;
  Cases cases;
  add_conv(cases);
  add_pointwise(cases);
  add_pool(cases);
  add_gram(cases);
  add_gram_loss(cases);
  add_style_loss(cases);
  add_losses(cases);
  add_steps(cases);
  add_sums(cases);
  add_lbfgs(cases);
  add_descent(cases);
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
