#include "engine/selftest/gradient_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/core/random.h"

namespace impasto {
namespace {

constexpr std::array<double, 3> kShares{1, 0.5, 0.125};  // of the wide step
constexpr double kSafety = 3;                            // over errors that a few directions tell

/// Direction `number`, its root mean square 1 but for uphill's zeros.
std::vector<double> make_direction(Directions kind, int number, std::span<const double> gradient) {
  constexpr double kUphillNorm = 0.8660254037844386;  // of u uniform in 0..2: 1 / sqrt(4 / 3)
  const std::uint64_t key =
      splitmix64(2 * static_cast<std::uint64_t>(number) + static_cast<std::uint64_t>(kind));
  std::vector<double> d(gradient.size());
  for (std::size_t i = 0; i < d.size(); ++i) {
    const std::uint64_t bits = splitmix64(key + i);
    if (kind == Directions::kRandom) {
      d[i] = (bits >> 63) != 0 ? 1 : -1;
    } else {
      const double sign = gradient[i] > 0 ? 1 : gradient[i] < 0 ? -1 : 0;
      d[i] = kUphillNorm * sign * 2 * unit_interval(bits);
    }
  }
  return d;
}

double rounded(double value, DType real) {
  return real == DType::kFloat64 ? value : static_cast<double>(static_cast<float>(value));
}

struct Quotient {
  double slope = 0;  ///< <g, d>, of the move as it was made
  double error = 0;  ///< of the quotient from it
  double asymmetry =
      0;  ///< between the two one-sided quotients, half of it: jumps of the slope, and curvature
};

/// `at_x`: the value there.
Quotient quotient(Differentiable& f, double at_x, std::span<const double> x, std::span<const double> gradient,
                  std::span<const double> direction, double step, DType real) {
  std::vector<double> at(x.size());
  double moved = 0, tilt = 0;  // by the gradient: of the difference of the two moves, of their sum
  const auto move = [&](double sign) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      at[i] = rounded(x[i] + sign * step * direction[i], real);
      moved += sign * gradient[i] * (at[i] - x[i]);
      tilt += gradient[i] * (at[i] - x[i]);
    }
    return f.value(at);
  };
  const double above = move(1), below = move(-1);
  return {moved / (2 * step), (above - below - moved) / (2 * step),
          (above + below - 2 * at_x - tilt) / (2 * step)};
}

double root_mean_square(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return values.empty() ? 0 : std::sqrt(sum / static_cast<double>(values.size()));
}

GradientRow check_along(Directions kind, Differentiable& f, double at_x, std::span<const double> x,
                        std::span<const double> gradient, const GradientSteps& steps, int directions) {
  std::vector<double> slopes, quotients, errors, of_width, of_rounding, of_jumps;
  for (int number = 0; number < directions; ++number) {
    const std::vector<double> direction = make_direction(kind, number, gradient);
    std::array<Quotient, kShares.size()> q;
    for (std::size_t i = 0; i < q.size(); ++i)
      q[i] = quotient(f, at_x, x, gradient, direction, kShares[i] * steps.wide, steps.real);
    slopes.push_back(q[1].slope);
    quotients.push_back(q[1].slope + q[1].error);
    errors.push_back(q[1].error);
    of_width.push_back(q[0].error - q[1].error);
    of_rounding.push_back(q[2].error - q[1].error);
    of_jumps.push_back(2 * q[1].asymmetry - q[0].asymmetry);  // without curvature
  }
  GradientRow row;
  row.directions = kind;
  row.slope = root_mean_square(slopes);
  const double largest = std::max(row.slope, root_mean_square(quotients));
  const double unit = largest > 0 ? largest : 1;
  // A quotient's error from rounding is inverse to its step. Of kinks tells how quotients differ, but for
  // what rounding has in that, and how asymmetries do, which alone see a kink at x itself.
  row.rounding = root_mean_square(of_rounding) * kShares[2] / kShares[1] / unit;
  const double width = root_mean_square(of_width) / unit, jumps = root_mean_square(of_jumps) / unit;
  row.kinks = std::sqrt(std::max(width * width - 1.25 * row.rounding * row.rounding, 0.0) + jumps * jumps);
  row.own = kind == Directions::kUphill ? steps.own_uphill : steps.own_random;
  row.bound = kSafety * std::hypot(row.rounding, row.kinks) + row.own;
  row.found = root_mean_square(errors) / unit;
  return row;
}

}  // namespace

GradientSteps gradient_steps(Precision precision, DType real) {
  switch (precision) {
    case Precision::kFp64: return {real, 1e-3, 1e-7, 1e-6};
    case Precision::kTf32:
    case Precision::kFp16: return {real, 1, 2e-3, 3e-2};
    case Precision::kBf16: return {real, 3, 1e-2, 1e-1};
    default: return {real, 0.03, 1e-4, 1e-3};
  }
}

std::vector<GradientRow> check_gradient(const std::string& term, Differentiable& f, std::span<const double> x,
                                        const GradientSteps& steps, int directions) {
  std::vector<double> from(x.begin(), x.end());
  for (double& v : from) v = rounded(v, steps.real);
  const double at_x = f.value(from);
  const std::vector<double> gradient = f.gradient();
  std::vector<GradientRow> rows;
  for (const Directions kind : {Directions::kUphill, Directions::kRandom}) {
    rows.push_back(check_along(kind, f, at_x, from, gradient, steps, directions));
    rows.back().term = term;
  }
  // Nowhere is uphill where the gradient is zero, which is right where nothing changes J.
  if (rows[0].slope == 0 && rows[1].found != 0) rows[0].bound = std::numeric_limits<double>::infinity();
  return rows;
}

}  // namespace impasto
