#include "engine/style/line_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace impasto {
namespace {

constexpr double kDecrease = 1e-4;   // c1
constexpr double kCurvature = 0.9;   // c2
constexpr double kRounding = 1e-7;   // of a loss made of float32 sums, relative
constexpr double kMargin = 0.05;     // of a bracket, kept from its ends
constexpr double kMinShrink = 0.66;  // a bracket that shrinks less than to this is halved
constexpr double kMinGrowth = 2, kMaxGrowth = 10;
// Evaluations of one search. A good point in hand is worth more than a perfect one later.
constexpr double kMaxEvaluations = 20, kMaxEvaluationsWithBetter = 8;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Where the cubic through two points with their slopes has
/// its minimum (eq. 3.59); not finite if it has none.
double cubic_minimum(double a, double fa, double da, double b, double fb, double db) {
  const double d1 = da + db - 3 * (fa - fb) / (a - b);
  const double d2 = std::copysign(std::sqrt(d1 * d1 - da * db), b - a);
  return b - (b - a) * (db + d2 - d1) / (db - da + 2 * d2);
}

}  // namespace

void WolfeSearch::begin(double value, double slope, double first, double longest) {
  start_ = low_ = {0, value, slope};
  high_ = {kInfinity, 0, 0};
  best_length_ = 0;
  best_value_ = value;
  longest_ = longest;
  trial_ = std::min(first, longest);
  width_ = kInfinity;
  evaluations_ = 0;
}

bool WolfeSearch::decreases_enough(const Point& point) const {
  const double demanded = -kDecrease * point.t * start_.slope;
  if (point.value <= start_.value - demanded) return true;
  return point.value <= start_.value && demanded <= kRounding * std::abs(start_.value);
}

WolfeSearch::Verdict WolfeSearch::judge(double value, double slope) {
  const Point point{trial_, value, slope};
  Point before = low_;
  evaluations_ += 1;
  if (!std::isfinite(value) || !std::isfinite(slope)) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    high_ = {trial_, nan, nan};
  } else {
    const bool flat = std::abs(slope) <= -kCurvature * start_.slope || (trial_ >= longest_ && slope < 0);
    const bool enough = decreases_enough(point);
    if (enough && flat && value <= best_value_) return Verdict::kAccept;
    if (value < best_value_) {
      best_value_ = value;
      best_length_ = trial_;
    }
    if (!enough || value >= low_.value) {
      high_ = point;
    } else {
      if (slope * (high_.t - low_.t) >= 0) high_ = low_;
      low_ = point;
    }
  }
  if (evaluations_ >= (best_length_ > 0 ? kMaxEvaluationsWithBetter : kMaxEvaluations)) {
    if (best_length_ == 0) return Verdict::kFail;
    return best_length_ == trial_ ? Verdict::kAccept : Verdict::kReturn;
  }
  if (std::isfinite(high_.t)) {
    trial_ = interpolate();
  } else {  // outwards, from the two points that slope down
    const double guess = cubic_minimum(before.t, before.value, before.slope, low_.t, low_.value, low_.slope);
    const double least = kMinGrowth * low_.t, most = kMaxGrowth * low_.t;
    trial_ = std::min(longest_, guess > low_.t ? std::clamp(guess, least, most) : most);
  }
  return Verdict::kTry;
}

double WolfeSearch::interpolate() {
  const double from = std::min(low_.t, high_.t), to = std::max(low_.t, high_.t), width = to - from;
  const double middle = from + width / 2;
  const bool shrinks = width <= kMinShrink * width_;
  width_ = width;
  if (!shrinks) return middle;
  const double guess = cubic_minimum(low_.t, low_.value, low_.slope, high_.t, high_.value, high_.slope);
  return std::isfinite(guess) ? std::clamp(guess, from + kMargin * width, to - kMargin * width) : middle;
}

std::array<double, WolfeSearch::kStateSize> WolfeSearch::state() const {
  return {start_.value, start_.slope, low_.t,      low_.value, low_.slope, high_.t, high_.value,
          high_.slope,  best_length_, best_value_, trial_,     longest_,   width_,  evaluations_};
}

bool WolfeSearch::is_state(std::span<const double, kStateSize> s) {
  const std::array<double, 7> lengths_and_count{s[2], s[5], s[8], s[10], s[11], s[12], s[13]};
  return std::all_of(lengths_and_count.begin(), lengths_and_count.end(), [](double v) { return v >= 0; });
}

void WolfeSearch::restore(std::span<const double, kStateSize> s) {
  start_ = {0, s[0], s[1]};
  low_ = {s[2], s[3], s[4]};
  high_ = {s[5], s[6], s[7]};
  best_length_ = s[8];
  best_value_ = s[9];
  trial_ = s[10];
  longest_ = s[11];
  width_ = s[12];
  evaluations_ = s[13];
}

}  // namespace impasto
