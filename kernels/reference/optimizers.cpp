#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/reference.h"

namespace impasto::reference {

void momentum_step(double* x, double* v, const double* g, std::int64_t n, double learning_rate,
                   double momentum) {
  for (std::int64_t i = 0; i < n; ++i) {
    v[i] = momentum * v[i] + g[i];
    x[i] -= learning_rate * v[i];
  }
}

void adam_step(double* x, double* m, double* v, double* step, const double* g, std::int64_t n,
               const AdamParameters& p) {
  *step += 1;
  const double rate = p.learning_rate / (1 - std::pow(p.beta1, *step));
  const double root = std::sqrt(1 - std::pow(p.beta2, *step));
  for (std::int64_t i = 0; i < n; ++i) {
    m[i] = p.beta1 * m[i] + (1 - p.beta1) * g[i];
    v[i] = p.beta2 * v[i] + (1 - p.beta2) * g[i] * g[i];
    x[i] -= rate * m[i] / (std::sqrt(v[i]) / root + p.epsilon);
  }
}

void clamp(double* x, std::int64_t positions, const double* lower, const double* upper) {
  for (std::int64_t i = 0; i < 3 * positions; ++i)
    x[i] = std::min(std::max(x[i], lower[i % 3]), upper[i % 3]);
}

void average_channels(double* x, std::int64_t positions) {
  for (std::int64_t i = 0; i < 3 * positions; i += 3)
    x[i] = x[i + 1] = x[i + 2] = (x[i] + x[i + 1] + x[i + 2]) / 3;
}

namespace {

/// visit(of y, of x, weight) for every product of D, as its definition has them.
template <class Visit>
void for_each_of_halve(std::int64_t h, std::int64_t w, std::int64_t c, Visit visit) {
  constexpr double kWeights[] = {1.0 / 8, 3.0 / 8, 3.0 / 8, 1.0 / 8};
  const std::int64_t out_h = (h + 1) / 2, out_w = (w + 1) / 2;
  for (std::int64_t i = 0; i < out_h * out_w; ++i) {
    for (std::int64_t tap = 0; tap < 16; ++tap) {
      const auto row = std::clamp<std::int64_t>(2 * (i / out_w) - 1 + tap / 4, 0, h - 1);
      const auto column = std::clamp<std::int64_t>(2 * (i % out_w) - 1 + tap % 4, 0, w - 1);
      for (std::int64_t k = 0; k < c; ++k) {
        visit(i * c + k, (row * w + column) * c + k, kWeights[tap / 4] * kWeights[tap % 4]);
      }
    }
  }
}

}  // namespace

void halve(double* y, const double* x, std::int64_t h, std::int64_t w, std::int64_t c) {
  std::fill_n(y, (h + 1) / 2 * ((w + 1) / 2) * c, 0.0);
  for_each_of_halve(h, w, c, [&](std::int64_t i, std::int64_t j, double weight) { y[i] += weight * x[j]; });
}

void halve_transposed_add(double* x, const double* y, double scale, std::int64_t h, std::int64_t w,
                          std::int64_t c) {
  for_each_of_halve(h, w, c,
                    [&](std::int64_t i, std::int64_t j, double weight) { x[j] += scale * weight * y[i]; });
}

void add_scaled(double* out, const double* a, double scale, const double* b, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = a[i] + scale * b[i];
}

// Four sums, because one is bound by the latency of its additions.
double dot(const double* a, const double* b, std::int64_t n) {
  double sums[4] = {};
  for (std::int64_t i = 0; i + 4 <= n; i += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (std::int64_t i = n / 4 * 4; i < n; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void lincomb(double* out, const double* coefficients, const double* rows, const double* g,
             std::int64_t num_rows, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = coefficients[num_rows] * g[i];
  for (std::int64_t r = 0; r < num_rows; ++r) {
    if (coefficients[r] == 0) continue;
    for (std::int64_t i = 0; i < n; ++i) out[i] += coefficients[r] * rows[r * n + i];
  }
}

void lbfgs_push(double* history, double* g_previous, const double* state, const double* d, const double* g,
                std::int64_t slots, std::int64_t n) {
  const auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);
  double* s = history + spare * n;
  double* y = history + (slots + spare) * n;
  for (std::int64_t i = 0; i < n; ++i) {
    s[i] = state[LbfgsState::kStep] * d[i];
    y[i] = g[i] - g_previous[i];
    g_previous[i] = g[i];
  }
}

void lbfgs_dots(double* dots, const double* history, const double* state, const double* g, std::int64_t slots,
                std::int64_t n, LbfgsDots of) {
  const auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);
  const std::int64_t rows = 2 * slots;
  for (std::int64_t r = 0; r < rows; ++r) {
    if (of == LbfgsDots::kOfPairAndGradient) dots[r] = dot(history + r * n, history + (slots + spare) * n, n);
    dots[rows + r] = dot(history + r * n, g, n);
  }
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += std::abs(g[i]);
  dots[2 * rows] = sum;
  dots[2 * rows + 1] = dot(g, g, n);
}

void lbfgs_direction(double* coefficients, double* state, const double* dots, std::int64_t slots,
                     const LbfgsDirectionParameters& parameters) {
  const std::int64_t rows = 2 * slots;
  const double* with_y = dots;         // <row, y> of the spare slot
  const double* with_g = dots + rows;  // <row, g>
  const double sum_abs_g = dots[2 * rows], gg = dots[2 * rows + 1];
  double* sy = state + LbfgsState::kMatrices;  // <s_i, y_j> at i * slots + j
  double* yy = sy + slots * slots;             // <y_i, y_j>
  auto count = static_cast<std::int64_t>(state[LbfgsState::kCount]);
  auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);
  const bool first = state[LbfgsState::kCalls] == 0;

  if (!first && with_y[spare] > 1e-10) {
    for (std::int64_t i = 0; i < slots; ++i) {
      sy[i * slots + spare] = with_y[i];
      yy[i * slots + spare] = yy[spare * slots + i] = with_y[slots + i];
    }
    count = std::min(count + 1, slots - 1);
    spare = (spare + 1) % slots;
  }
  // The pairs in use, oldest first: the ring's slots before the spare one.
  std::vector<std::int64_t> order;
  for (std::int64_t age = count; age >= 1; --age) order.push_back((spare + slots - age) % slots);

  // The two-loop recursion, with every vector known by its coefficients. q = -g - sum_j alpha_j y_j.
  std::vector<double> alpha(static_cast<std::size_t>(slots), 0.0),
      s_part(static_cast<std::size_t>(slots), 0.0);
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    double sq = -with_g[*i];
    for (auto j = order.rbegin(); j != i; ++j)
      sq -= alpha[static_cast<std::size_t>(*j)] * sy[*i * slots + *j];
    alpha[static_cast<std::size_t>(*i)] = sq / sy[*i * slots + *i];
  }
  double h0 = 0;
  const std::int64_t num_newest = std::min(count, parameters.h0_pairs);
  for (std::int64_t k = 0; k < num_newest; ++k) {
    const std::int64_t i = order[order.size() - 1 - static_cast<std::size_t>(k)];
    h0 += sy[i * slots + i] / yy[i * slots + i] / static_cast<double>(num_newest);
  }
  h0 = order.empty() ? 1 : parameters.h0_factor * h0;
  // r = h0 q + sum_j s_part_j s_j.
  for (auto i = order.begin(); i != order.end(); ++i) {
    double yq = -with_g[slots + *i], yr = 0;
    for (const std::int64_t j : order) yq -= alpha[static_cast<std::size_t>(j)] * yy[*i * slots + j];
    for (auto j = order.begin(); j != i; ++j)
      yr += s_part[static_cast<std::size_t>(*j)] * sy[*j * slots + *i];
    const double beta = (h0 * yq + yr) / sy[*i * slots + *i];
    s_part[static_cast<std::size_t>(*i)] = alpha[static_cast<std::size_t>(*i)] - beta;
  }

  std::fill_n(coefficients, rows + 1, 0.0);
  coefficients[rows] = -h0;
  double slope = -h0 * gg;
  for (const std::int64_t i : order) {
    coefficients[i] = s_part[static_cast<std::size_t>(i)];
    coefficients[slots + i] = -h0 * alpha[static_cast<std::size_t>(i)];
    slope += coefficients[i] * with_g[i] + coefficients[slots + i] * with_g[slots + i];
  }
  state[LbfgsState::kCount] = static_cast<double>(count);
  state[LbfgsState::kSpare] = static_cast<double>(spare);
  state[LbfgsState::kStep] = (first ? std::min(1.0, 1.0 / sum_abs_g) : 1) * parameters.learning_rate;
  state[LbfgsState::kSlope] = slope;
  state[LbfgsState::kCalls] += 1;
}

void lbfgs_pair_dots(double* with_previous, const double* history, const double* state, const double* v,
                     std::int64_t slots, std::int64_t n) {
  const auto spare = static_cast<std::int64_t>(state[LbfgsState::kSpare]);
  with_previous[spare] = dot(history + spare * n, v, n);
  with_previous[slots + spare] = dot(history + (slots + spare) * n, v, n);
}

void lbfgs_condition(double* dots, double* with_previous, const double* products, std::int64_t slots) {
  const std::int64_t rows = 2 * slots;
  double *with_y = dots, *with_g = dots + rows;
  for (std::int64_t row = 0; row < rows; ++row) {
    with_y[row] = with_g[row] - with_previous[row];
    with_previous[row] = with_g[row];
  }
  double &sum_abs = dots[2 * rows], &square = dots[2 * rows + 1];
  if (square > 0) sum_abs *= std::sqrt(products[0] / square);
  square = products[1];
}

double weighted_sum(const double* weights, const double* values, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += weights[i] * values[i];
  return sum;
}

}  // namespace impasto::reference
