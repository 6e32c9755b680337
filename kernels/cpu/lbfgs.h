#pragma once
#include <cstdint>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/runs.h"
#include "kernels/ops.h"

namespace impasto::cpu {

/// lbfgs_dots of kernels/ops.h. dots (LbfgsState::num_dots(slots)), history (2 * slots, n).
void lbfgs_dots(const Kernels& kernels, const Runs& runs, double* dots, const float* history,
                const double* state, const float* g, std::int64_t slots, std::int64_t n, LbfgsDots of);

/// lbfgs_direction of kernels/ops.h. coefficients (2 * slots + 1),
/// state (LbfgsState::size(slots)), dots (LbfgsState::num_dots(slots)).
void lbfgs_direction(double* coefficients, double* state, const double* dots, std::int64_t slots,
                     const LbfgsDirectionParameters& parameters);

/// lbfgs_condition of kernels/ops.h. dots (LbfgsState::num_dots(slots)), with_previous (2 * slots),
/// products (2).
void lbfgs_condition(double* dots, double* with_previous, const double* products, std::int64_t slots);

}  // namespace impasto::cpu
