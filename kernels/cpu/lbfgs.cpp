#include "kernels/cpu/lbfgs.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops.h"

namespace impasto::cpu {

void lbfgs_dots(const Kernels& kernels, const Runs& runs, double* dots, const float* history,
                const double* state, const float* g, std::int64_t slots, std::int64_t n, LbfgsDots of) {
  const std::int64_t num_rows = 2 * slots, run = Runs::run_of_sum(n), num_runs = divide_up(n, run);
  const auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);
  // What the rows are multiplied with: a piece of a row stays in the cache for both.
  const float* const with[] = {g, history + (slots + spare) * n};
  double* const to[] = {dots + num_rows, dots};
  const int num_with = of == LbfgsDots::kOfPairAndGradient ? 2 : 1;
  constexpr std::int64_t kRowsAtOnce = Runs::kPartials / Runs::kMostSums / 2;
  double* const partials = runs.partials();
  for (int k = 0; k < num_with; ++k) std::fill_n(to[k], num_rows, 0.0);
  // Until the ring has filled, slots after the spare one have never been written.
  const auto count_in_use = static_cast<std::int64_t>(state[LbfgsState::kCount]);
  const std::int64_t used = count_in_use == spare ? spare + 1 : slots;
  const auto dot_rows = [&](std::int64_t row, std::int64_t count) {
    runs.pool().parallel_for(num_runs, [&](std::int64_t item, int) {
      const std::int64_t first = item * run;
      double* sum = partials + item * count * num_with;
      for (std::int64_t r = 0; r < count; ++r) {
        for (int k = 0; k < num_with; ++k) {
          *sum++ = kernels.dot(history + (row + r) * n + first, with[k] + first, std::min(run, n - first));
        }
      }
    });
    for (std::int64_t i = 0; i < count * num_with; ++i) {
      double total = 0;
      for (std::int64_t item = 0; item < num_runs; ++item) total += partials[item * count * num_with + i];
      to[i % num_with][row + i / num_with] = total;
    }
  };
  for (std::int64_t row = 0; row < used; row += kRowsAtOnce) {
    dot_rows(row, std::min(kRowsAtOnce, used - row));
    dot_rows(slots + row, std::min(kRowsAtOnce, used - row));
  }
  dots[2 * num_rows] =
      runs.sum(n, [&](std::int64_t first, std::int64_t count) { return kernels.sum_abs(g + first, count); });
  dots[2 * num_rows + 1] = runs.sum(
      n, [&](std::int64_t first, std::int64_t count) { return kernels.dot(g + first, g + first, count); });
}

/// The two-loop recursion on inner products alone (Chen, Wang, Zhou, "Large-scale L-BFGS using MapReduce",
/// NIPS 2014): every vector in it is a combination of s_i, y_i and g, so its products with s_i and y_i are
/// sums of known products.
void lbfgs_direction(double* coefficients, double* state, const double* dots, std::int64_t slots,
                     const LbfgsDirectionParameters& parameters) {
  const std::int64_t num_rows = 2 * slots;
  double* const sy = state + LbfgsState::kMatrices;  // sy[i * slots + j] = <s_i, y_j>
  double* const yy = sy + slots * slots;
  const double *with_y = dots, *with_g = dots + num_rows;
  const double sum_abs_g = dots[2 * num_rows], g_g = dots[2 * num_rows + 1];
  auto count = static_cast<std::int64_t>(state[LbfgsState::kCount]);
  auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);
  const bool first_call = state[LbfgsState::kCalls] == 0;

  // The first call has no pair: nothing was pushed.
  if (!first_call && with_y[spare] > 1e-10) {
    for (std::int64_t i = 0; i < slots; ++i) {
      sy[i * slots + spare] = with_y[i];
      yy[i * slots + spare] = yy[spare * slots + i] = with_y[slots + i];
    }
    count = std::min(count + 1, slots - 1);
    spare = (spare + 1) % slots;
  }

  // The k-th newest pair is in slot(k).
  const auto slot = [&](std::int64_t k) { return (spare - 1 - k + slots) % slots; };
  double* const of_s = coefficients;
  double* const of_y = coefficients + slots;
  std::fill(coefficients, coefficients + num_rows + 1, 0.0);
  // q = -g - sum of alpha_j y_j; -alpha_j is kept in of_y.
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t i = slot(k);
    double s_q = -with_g[i];
    for (std::int64_t newer = 0; newer < k; ++newer) s_q += of_y[slot(newer)] * sy[i * slots + slot(newer)];
    of_y[i] = -s_q / sy[i * slots + i];
  }
  double scale = 0;
  const std::int64_t num_newest = std::min(count, parameters.h0_pairs);
  for (std::int64_t k = 0; k < num_newest; ++k) {
    const std::int64_t diagonal = slot(k) * (slots + 1);
    scale += sy[diagonal] / yy[diagonal];
  }
  scale = count == 0 ? 1 : parameters.h0_factor * scale / static_cast<double>(num_newest);
  // r = scale * q + sum of (alpha_i - beta_i) s_i, oldest first.
  for (std::int64_t k = count - 1; k >= 0; --k) {
    const std::int64_t i = slot(k);
    double y_r = -scale * with_g[slots + i];
    for (std::int64_t j = 0; j < count; ++j) y_r += scale * of_y[slot(j)] * yy[i * slots + slot(j)];
    for (std::int64_t older = k + 1; older < count; ++older)
      y_r += of_s[slot(older)] * sy[slot(older) * slots + i];
    of_s[i] = -of_y[i] - y_r / sy[i * slots + i];
  }
  for (std::int64_t k = 0; k < count; ++k) of_y[slot(k)] *= scale;
  coefficients[num_rows] = -scale;

  double slope = -scale * g_g;
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t i = slot(k);
    slope += of_s[i] * with_g[i] + of_y[i] * with_g[slots + i];
  }
  state[LbfgsState::kCount] = static_cast<double>(count);
  state[LbfgsState::kSpare] = static_cast<double>(spare);
  state[LbfgsState::kStep] = (first_call ? std::min(1.0, 1 / sum_abs_g) : 1) * parameters.learning_rate;
  state[LbfgsState::kCalls] += 1;
  state[LbfgsState::kSlope] = slope;
}

void lbfgs_condition(double* dots, double* with_previous, const double* products, std::int64_t slots) {
  double* const with_y = dots;
  const double* const with_g = dots + 2 * slots;
  for (std::int64_t row = 0; row < 2 * slots; ++row) {
    const double before = with_previous[row];
    with_previous[row] = with_g[row];
    with_y[row] = with_g[row] - before;
  }
  double* const sums = dots + 4 * slots;
  if (sums[1] > 0) sums[0] *= std::sqrt(products[0] / sums[1]);
  sums[1] = products[1];
}

}  // namespace impasto::cpu
