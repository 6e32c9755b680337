#pragma once
#include <cstdint>

namespace impasto::cpu {

/// lbfgs_direction of kernels/ops.h. coefficients (2 * slots + 1),
/// state (LbfgsState::size(slots)), dots (LbfgsState::num_dots(slots)).
void lbfgs_direction(double* coefficients, double* state, const double* dots, std::int64_t slots,
                     double learning_rate);

}  // namespace impasto::cpu
