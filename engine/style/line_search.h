#pragma once
// A line search for the strong Wolfe conditions, one evaluation at a time: numbers in, numbers out.
#include <array>
#include <cstdint>
#include <span>

namespace impasto {

/// Looks for a step length t with
///     f(t) <= f(0) + c1 t f'(0)   and   |f'(t)| <= c2 |f'(0)|,      c1 = 1e-4, c2 = 0.9,
/// first outwards, then inside a bracket, by cubic interpolation (Nocedal, Wright: Numerical Optimization,
/// 2nd edition, algorithms 3.5 and 3.6, eq. 3.59). Two things beyond the book:
///   - no point is accepted that is worse than another one tried, so that a run never loses ground;
///     a decrease demanded that is smaller than the rounding of f counts as made by any point that is not
///     worse;
///   - a value or slope that is not finite is an upper end of the bracket, and the step is halved.
class WolfeSearch {
 public:
  enum class Verdict : std::uint8_t {
    kTry,     ///< evaluate at trial()
    kAccept,  ///< the point just judged is the result
    kReturn,  ///< the search was long enough: best_length() is the result
    kFail,    ///< the search was long enough, and no point was better than the start
  };

  /// slope < 0; first in (0, longest]. A point at `longest` need not have a flat slope.
  void begin(double value, double slope, double first, double longest);
  [[nodiscard]] double trial() const { return trial_; }
  /// f and f' at trial(). Moves trial() if the verdict is kTry.
  [[nodiscard]] Verdict judge(double value, double slope);
  /// The lowest value tried so far lies here; 0: nothing was below the start.
  [[nodiscard]] double best_length() const { return best_length_; }

  static constexpr std::size_t kStateSize = 14;
  [[nodiscard]] std::array<double, kStateSize> state() const;
  /// Can a search have got there? Values and slopes may be anything.
  [[nodiscard]] static bool is_state(std::span<const double, kStateSize> state);
  /// Of a state that is_state.
  void restore(std::span<const double, kStateSize> state);

 private:
  struct Point {
    double t = 0, value = 0, slope = 0;
  };
  [[nodiscard]] bool decreases_enough(const Point& point) const;
  [[nodiscard]] double interpolate();

  Point start_, low_, high_;  ///< high_.t infinite: no upper end yet; high_.value NaN: not finite there
  double best_length_ = 0, best_value_ = 0;
  double trial_ = 0, longest_ = 0;
  double width_ = 0;  ///< of the bracket at the last interpolation
  double evaluations_ = 0;
};

}  // namespace impasto
