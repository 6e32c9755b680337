#pragma once
// A line search for the strong Wolfe conditions, one evaluation at a time: numbers in, numbers out. One text
// for the host and for a device's kernel, so that both decide alike, to the last bit (built without fused
// multiply-add).
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#ifdef __CUDACC__
#define IMPASTO_ANYWHERE __host__ __device__ inline
#else
#define IMPASTO_ANYWHERE inline
#endif

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
  IMPASTO_ANYWHERE void begin(double value, double slope, double first, double longest);
  [[nodiscard]] IMPASTO_ANYWHERE double trial() const { return trial_; }
  /// f and f' at trial(). Moves trial() if the verdict is kTry.
  [[nodiscard]] IMPASTO_ANYWHERE Verdict judge(double value, double slope);
  /// The lowest value tried so far lies here; 0: nothing was below the start.
  [[nodiscard]] IMPASTO_ANYWHERE double best_length() const { return best_length_; }

  /// Everything, as doubles.
  static constexpr std::size_t kStateSize = 14, kBestLength = 8;
  IMPASTO_ANYWHERE void save(double* state) const;
  /// Of a state that is_state.
  IMPASTO_ANYWHERE void restore(const double* state);
  /// Can a search have got there? Values and slopes may be anything.
  [[nodiscard]] inline static bool is_state(const double* state);

 private:
  struct Point {
    double t = 0, value = 0, slope = 0;
  };
  [[nodiscard]] IMPASTO_ANYWHERE bool decreases_enough(const Point& point) const;
  IMPASTO_ANYWHERE void narrow(const Point& point);
  [[nodiscard]] IMPASTO_ANYWHERE double interpolate();
  [[nodiscard]] IMPASTO_ANYWHERE double beyond(const Point& before) const;

  Point start_, low_, high_;  ///< high_.t infinite: no upper end yet; high_.value NaN: not finite there
  double best_length_ = 0, best_value_ = 0;
  double trial_ = 0, longest_ = 0;
  double width_ = 0;  ///< of the bracket at the last interpolation
  double evaluations_ = 0;
};

namespace line_search {

constexpr double kDecrease = 1e-4;   // c1
constexpr double kCurvature = 0.9;   // c2
constexpr double kRounding = 1e-7;   // of a loss made of float32 sums, relative
constexpr double kMargin = 0.05;     // of a bracket, kept from its ends
constexpr double kMinShrink = 0.66;  // a bracket that shrinks less than to this is halved
constexpr double kMinGrowth = 2, kMaxGrowth = 10;
// Evaluations of one search. A good point in hand is worth more than a perfect one later.
constexpr double kMaxEvaluations = 20, kMaxEvaluationsWithBetter = 8;

IMPASTO_ANYWHERE bool is_finite(double x) { return x - x == 0; }
/// As std::min, std::max and std::clamp choose, NaN included.
IMPASTO_ANYWHERE double lesser(double a, double b) { return b < a ? b : a; }
IMPASTO_ANYWHERE double greater(double a, double b) { return a < b ? b : a; }
IMPASTO_ANYWHERE double clamped(double x, double low, double high) {
  return x < low ? low : high < x ? high : x;
}

/// Where the cubic through two points with their slopes has
/// its minimum (eq. 3.59); not finite if it has none.
IMPASTO_ANYWHERE double cubic_minimum(double a, double fa, double da, double b, double fb, double db) {
  const double d1 = da + db - 3 * (fa - fb) / (a - b);
  const double d2 = copysign(sqrt(d1 * d1 - da * db), b - a);
  return b - (b - a) * (db + d2 - d1) / (db - da + 2 * d2);
}

}  // namespace line_search

void WolfeSearch::begin(double value, double slope, double first, double longest) {
  start_ = low_ = {0, value, slope};
  high_ = {HUGE_VAL, 0, 0};
  best_length_ = 0;
  best_value_ = value;
  longest_ = longest;
  trial_ = line_search::lesser(first, longest);
  width_ = HUGE_VAL;
  evaluations_ = 0;
}

bool WolfeSearch::decreases_enough(const Point& point) const {
  const double demanded = -line_search::kDecrease * point.t * start_.slope;
  if (point.value <= start_.value - demanded) return true;
  return point.value <= start_.value && demanded <= line_search::kRounding * fabs(start_.value);
}

WolfeSearch::Verdict WolfeSearch::judge(double value, double slope) {
  using namespace line_search;
  const Point point{trial_, value, slope}, before = low_;
  evaluations_ += 1;
  if (!is_finite(value) || !is_finite(slope)) {
    high_ = {trial_, NAN, NAN};
  } else {
    const bool flat = fabs(slope) <= -kCurvature * start_.slope || (trial_ >= longest_ && slope < 0);
    if (decreases_enough(point) && flat && value <= best_value_) return Verdict::kAccept;
    if (value < best_value_) {
      best_value_ = value;
      best_length_ = trial_;
    }
    narrow(point);
  }
  if (evaluations_ >= (best_length_ > 0 ? kMaxEvaluationsWithBetter : kMaxEvaluations)) {
    if (best_length_ == 0) return Verdict::kFail;
    return best_length_ == trial_ ? Verdict::kAccept : Verdict::kReturn;
  }
  trial_ = is_finite(high_.t) ? interpolate() : beyond(before);
  return Verdict::kTry;
}

void WolfeSearch::narrow(const Point& point) {
  if (!decreases_enough(point) || point.value >= low_.value) {
    high_ = point;
    return;
  }
  if (point.slope * (high_.t - low_.t) >= 0) high_ = low_;
  low_ = point;
}

double WolfeSearch::interpolate() {
  using namespace line_search;
  const double from = lesser(low_.t, high_.t), to = greater(low_.t, high_.t), width = to - from;
  const double middle = from + width / 2;
  const bool shrinks = width <= kMinShrink * width_;
  width_ = width;
  if (!shrinks) return middle;
  const double guess = cubic_minimum(low_.t, low_.value, low_.slope, high_.t, high_.value, high_.slope);
  return is_finite(guess) ? clamped(guess, from + kMargin * width, to - kMargin * width) : middle;
}

/// Outwards, from the two points that slope down.
double WolfeSearch::beyond(const Point& before) const {
  using namespace line_search;
  const double guess = cubic_minimum(before.t, before.value, before.slope, low_.t, low_.value, low_.slope);
  const double least = kMinGrowth * low_.t, most = kMaxGrowth * low_.t;
  return lesser(longest_, guess > low_.t ? clamped(guess, least, most) : most);
}

void WolfeSearch::save(double* s) const {
  const double all[kStateSize] = {start_.value, start_.slope, low_.t,      low_.value,   low_.slope,
                                  high_.t,      high_.value,  high_.slope, best_length_, best_value_,
                                  trial_,       longest_,     width_,      evaluations_};
  for (std::size_t i = 0; i < kStateSize; ++i) s[i] = all[i];
}

void WolfeSearch::restore(const double* s) {
  start_ = {0, s[0], s[1]};
  low_ = {s[2], s[3], s[4]};
  high_ = {s[5], s[6], s[7]};
  best_length_ = s[kBestLength];
  best_value_ = s[9];
  trial_ = s[10];
  longest_ = s[11];
  width_ = s[12];
  evaluations_ = s[13];
}

inline bool WolfeSearch::is_state(const double* s) {
  for (const int length_or_count : {2, 5, 8, 10, 11, 12, 13}) {
    if (!(s[length_or_count] >= 0)) return false;
  }
  return true;
}

}  // namespace impasto
