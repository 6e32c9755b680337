// The rule that ends a scale early, on sequences written by hand.
#include "engine/style/convergence.h"

#include <cmath>
#include <limits>
#include <random>

#include "engine/core/error.h"
#include "tests/support/catch.h"

using namespace impasto;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// The evaluation, from 1, after which the scale has converged first; 0: after none.
int ends_after(double tolerance, const std::vector<double>& losses) {
  Convergence convergence(tolerance);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    convergence.add(losses[i]);
    if (convergence.reached()) return static_cast<int>(i) + 1;
  }
  return 0;
}

std::vector<double> repeated(double loss, int count) {
  return std::vector<double>(static_cast<std::size_t>(count), loss);
}
std::vector<double> joined(std::vector<double> losses, const std::vector<double>& more) {
  losses.insert(losses.end(), more.begin(), more.end());
  return losses;
}

/// Falls by 5 % an evaluation.
std::vector<double> falling(int count) {
  std::vector<double> losses;
  for (int i = 0; i < count; ++i) losses.push_back(100 * std::pow(0.95, i));
  return losses;
}

}  // namespace

TEST_CASE("a loss that stands still ends a scale after its eleventh evaluation, not before") {
  CHECK(ends_after(0.01, repeated(3, 40)) == 11);
  CHECK(ends_after(0.01, repeated(3, 10)) == 0);
  CHECK(ends_after(0.999, repeated(3, 10)) == 0);
}

TEST_CASE("a scale ends where the loss has fallen by less than the tolerance over ten evaluations") {
  const std::vector<double> ten = joined({100}, repeated(95, 9));
  CHECK(ends_after(0.125, joined(ten, {87.75, 1})) == 11);       // fallen by 12.25, less than 12.5
  CHECK(ends_after(0.125, joined(ten, {87.5, 1, 1})) == 0);      // by 12.5: not less
  CHECK(ends_after(0.125, joined(ten, {87.5, 87.5, 1})) == 12);  // from 95 by 7.5 of 11.875
  // 0.95^10 = 0.599: a fall of 40.1 % at every evaluation.
  CHECK(ends_after(0.4, falling(60)) == 0);
  CHECK(ends_after(0.41, falling(60)) == 11);
  // Twenty that fall, then a plateau: the window's first is best(20 - n), and 1 - 0.95^n < 0.1 from n = 2 on.
  CHECK(ends_after(0.1, joined(falling(20), repeated(falling(20).back(), 20))) == 28);
}

TEST_CASE("the trials of a line search, which raise the loss for a moment, end nothing") {
  std::vector<double> losses = falling(60);
  for (std::size_t i = 2; i < losses.size(); i += 3) losses[i] = 1e6;
  CHECK(ends_after(0.3, losses) == 0);
  // Nor do they keep a scale going: ten evaluations before the last is a trial.
  CHECK(ends_after(0.01, joined(joined(repeated(3, 1), {1e6}), repeated(3, 20))) == 11);
}

TEST_CASE("a scale never ends by a loss of which it was said that it cannot end it") {
  std::mt19937 random(3);
  int may = 0, ends = 0, evaluations = 0;
  for (int run = 0; run < 200; ++run) {
    Convergence convergence(0.1);
    double loss = 100;
    for (int i = 0; i < 200 && !convergence.reached(); ++i) {
      const bool may_end = convergence.may_be_next();
      loss *= 1 - 0.04 * static_cast<double>(random() % 100) / 100;
      convergence.add(random() % 8 == 0 ? 3 * loss : random() % 16 == 0 ? kInfinite : loss);
      if (convergence.reached()) CHECK(may_end);
      may += may_end;
      ++evaluations;
    }
    ends += convergence.reached();
  }
  CHECK(ends > 100);
  CHECK(may < evaluations / 2);  // and that it cannot is said often enough to be of use
  CHECK_FALSE(Convergence(0).may_be_next());
}

TEST_CASE("losses that are not finite are not the lowest") {
  std::vector<double> losses = falling(60);
  for (std::size_t i = 1; i < losses.size(); i += 4) {
    losses[i] = i % 8 == 1 ? std::numeric_limits<double>::quiet_NaN() : -kInfinite;
  }
  CHECK(ends_after(0.3, losses) == 0);
  CHECK(ends_after(0.3, joined(repeated(2, 1), repeated(kInfinite, 20))) == 11);
  CHECK(ends_after(0.3, joined({2, -kInfinite}, repeated(2, 20))) == 11);
  CHECK(ends_after(0.3, repeated(kInfinite, 40)) == 0);
  CHECK(ends_after(0.3, joined(repeated(NAN, 5), repeated(2, 40))) == 16);
}

TEST_CASE("without a tolerance, and where there is no loss, a scale does not converge") {
  CHECK(ends_after(0, repeated(3, 100)) == 0);
  CHECK(ends_after(0.5, repeated(0, 100)) == 0);
  Convergence convergence(0);
  CHECK(!convergence.watches());
  convergence.add(1);
  CHECK(convergence.best().empty());
}

TEST_CASE("a convergence restored after any evaluation decides as one that went on") {
  const std::vector<double> losses = joined(falling(20), repeated(30, 20));
  for (std::size_t split = 0; split <= losses.size(); ++split) {
    Convergence whole(0.1), first(0.1), second(0.1);
    for (std::size_t i = 0; i < split; ++i) {
      whole.add(losses[i]);
      first.add(losses[i]);
    }
    CHECK(first.best().size() == std::min<std::size_t>(split, 11));
    second.restore(first.best(), static_cast<std::int64_t>(split));
    CHECK(second.reached() == whole.reached());
    for (std::size_t i = split; i < losses.size(); ++i) {
      whole.add(losses[i]);
      second.add(losses[i]);
      CHECK(second.reached() == whole.reached());
    }
  }
}

TEST_CASE("a state that is none is refused") {
  Convergence convergence(0.1);
  const auto refused = [&](const std::vector<double>& best, std::int64_t evaluations) {
    try {
      convergence.restore(best, evaluations);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kBadInput);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK(refused({3, 2, 2}, 3) == "no error");
  CHECK(refused({kInfinite, 2}, 2) == "no error");
  CHECK(refused({}, 4) == "checkpoint: expected 4 lowest losses that do not rise, found 0");
  CHECK(refused({3, 2, 2}, 2) == "checkpoint: expected 2 lowest losses that do not rise, found 3");
  CHECK(refused(repeated(1, 12), 12) == "checkpoint: expected 11 lowest losses that do not rise, found 12");
  CHECK(refused({2, 3}, 2) == "checkpoint: expected 2 lowest losses that do not rise, found 2 others");
  CHECK_THAT(refused({2, NAN}, 2), ContainsSubstring("others"));
  CHECK(convergence.best() == std::vector<double>{kInfinite, 2});
  Convergence none(0);  // of a run without tolerance
  CHECK_NOTHROW(none.restore({}, 40));
}
