#include "engine/style/convergence.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "engine/core/message.h"

namespace impasto {
namespace {

constexpr std::size_t kWindow = Convergence::kSpan + 1;

}  // namespace

void Convergence::add(double loss) {
  if (!watches()) return;
  const double before = best_.empty() ? std::numeric_limits<double>::infinity() : best_.back();
  best_.push_back(std::isfinite(loss) ? std::min(before, loss) : before);
  if (best_.size() > kWindow) best_.erase(best_.begin());
}

bool Convergence::reached() const {
  // Never from infinity (no finite loss yet): infinity and NaN are not below infinity.
  return best_.size() == kWindow && best_.front() - best_.back() < tolerance_ * best_.front();
}

bool Convergence::may_be_next() const {
  // The lowest loss, of the next evaluation too, is at most today's.
  if (!watches() || best_.size() + 1 < kWindow) return false;
  const double first = best_[best_.size() + 1 - kWindow];
  return first - best_.back() < tolerance_ * first;
}

void Convergence::restore(std::span<const double> best, std::int64_t evaluations) {
  const auto expected = watches() ? std::min(static_cast<std::size_t>(evaluations), kWindow) : 0;
  const bool falls = std::none_of(best.begin(), best.end(), [](double loss) { return std::isnan(loss); }) &&
                     std::is_sorted(best.begin(), best.end(), std::greater<>());
  if (best.size() != expected || !falls) {
    throw make_error(ErrorCode::kBadInput,
                     "checkpoint: expected {} lowest losses that do not rise, found {}{}", expected,
                     best.size(), falls ? "" : " others");
  }
  best_.assign(best.begin(), best.end());
}

}  // namespace impasto
