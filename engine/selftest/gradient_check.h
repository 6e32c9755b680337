#pragma once
// A gradient held against differences of the function's own values, along a few directions, at any size and
// in any precision; what such differences can be off by is measured beside them.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/precision.h"
#include "engine/core/tensor.h"

namespace impasto {

/// A function of a picture in grey levels (0..255 units), and the gradient that it is said to have.
class Differentiable {
 public:
  virtual ~Differentiable() = default;
  [[nodiscard]] virtual double value(std::span<const double> x) = 0;
  /// At the x of the last value().
  [[nodiscard]] virtual std::vector<double> gradient() = 0;
};

/// How the differences are taken.
struct GradientSteps {
  DType real = DType::kFloat32;  ///< x is rounded to it, and differences are over what is left
  /// Root mean square of a move to either side, in grey levels: differences over `wide`, `wide` / 2 and
  /// `wide` / 8. A quotient of the first two is off by kinks and curvature, of the last by J's rounding.
  double wide = 0;
  /// What the gradient itself may be off by, relative: uphill, and along any direction.
  double own_uphill = 0, own_random = 0;
};
/// As a precision needs them.
[[nodiscard]] GradientSteps gradient_steps(Precision precision, DType real);

/// Kinds of directions. Uphill: each pixel in the direction of its gradient, by a random share of up to twice
/// the step: J changes as much as it can, but what is at random in a gradient's error adds up to nothing.
/// Random: +-1 at random, which sees every error, and along which J of a large picture hardly changes.
enum class Directions : std::uint8_t { kUphill, kRandom };

/// Errors are root mean squares over the directions, divided by that of the slopes <g, d>, or of the
/// quotients where that is greater.
struct GradientRow {
  std::string term;
  Directions directions = Directions::kUphill;
  double slope = 0;     ///< root mean square of <g, d> over a step of one grey level
  double rounding = 0;  ///< of a quotient: J's own rounding, as found over the shortest step
  double kinks = 0;     ///< the same: units that switch on the way, and curvature, as found over the widest
  double own = 0;       ///< of the gradient, by the precision
  double bound = 0;     ///< three times both errors of the quotient, and `own`
  double found = 0;     ///< quotient less <g, d>
  /// Small enough a bound to tell a gradient from a wrong one.
  [[nodiscard]] bool is_sound() const { return bound <= kLargestBound; }
  [[nodiscard]] bool is_off() const { return !(found <= bound); }
  static constexpr double kLargestBound = 0.4;
};

/// At x, along `directions` of each kind: a row uphill, a row at random. Evaluates 1 + 12 * directions times.
[[nodiscard]] std::vector<GradientRow> check_gradient(const std::string& term, Differentiable& f,
                                                      std::span<const double> x, const GradientSteps& steps,
                                                      int directions);

}  // namespace impasto
