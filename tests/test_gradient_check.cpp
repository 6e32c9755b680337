// The check of gradients by differences: what it lets pass, what it finds, and of what it cannot tell.
#include "engine/selftest/gradient_check.h"

#include <cmath>
#include <functional>

#include "tests/support/catch.h"

using namespace impasto;

namespace {

/// sum_i a_i cos(x_i / 20) + kinks |x_i - x0_i - 0.001 i| / 50, rounded; the gradient as `change` leaves it.
class Sample final : public Differentiable {
 public:
  using Change = std::function<double(std::size_t i, double g)>;
  explicit Sample(Change change, double rounding = 0, double kinks = 1)
      : change_(std::move(change)), rounding_(rounding), kinks_(kinks) {}
  [[nodiscard]] double value(std::span<const double> x) override {
    gradient_.resize(x.size());
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double a = 1 + static_cast<double>(i % 7),
                   kink = x[i] - start()[i] - 1e-3 * static_cast<double>(i);
      sum += a * std::cos(x[i] / 20) + kinks_ * std::abs(kink) / 50;
      gradient_[i] = -a / 20 * std::sin(x[i] / 20) + kinks_ * (kink > 0 ? 1 : -1) / 50;
    }
    return rounding_ > 0 ? std::round(sum / rounding_) * rounding_ : sum;
  }
  [[nodiscard]] std::vector<double> gradient() override {
    std::vector<double> changed = gradient_;
    for (std::size_t i = 0; i < changed.size(); ++i) changed[i] = change_(i, changed[i]);
    return changed;
  }
  [[nodiscard]] static std::vector<double> start() {
    std::vector<double> x(300);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 100 * std::sin(static_cast<double>(i * i));
    return x;
  }

 private:
  Change change_;
  double rounding_, kinks_;
  std::vector<double> gradient_;
};

std::vector<GradientRow> check(Sample sample, Precision precision = Precision::kFp64) {
  const DType real = precision == Precision::kFp64 ? DType::kFloat64 : DType::kFloat32;
  return check_gradient("sample", sample, Sample::start(), gradient_steps(precision, real), 6);
}

double as_it_is(std::size_t /*i*/, double g) { return g; }

}  // namespace

TEST_CASE("a right gradient passes in every precision, and the bound is small") {
  for (const Precision precision : {Precision::kFp64, Precision::kExact, Precision::kFp32}) {
    const auto rows = check(Sample(as_it_is), precision);
    REQUIRE(rows.size() == 2);
    for (const GradientRow& row : rows) {
      INFO(to_string(precision) << " bound " << row.bound << " found " << row.found);
      CHECK(row.term == "sample");
      CHECK(row.slope > 0);
      CHECK_FALSE(row.is_off());
      CHECK(row.bound < 0.05);
    }
  }
}

TEST_CASE("a gradient that is scaled, of another sign in a part, or of its neighbour is found") {
  const auto off = [](const Sample::Change& change) {
    const auto rows = check(Sample(change));
    return rows[0].is_off() && rows[1].is_off();
  };
  CHECK(off([](std::size_t, double g) { return 1.05 * g; }));
  CHECK(off([](std::size_t i, double g) { return i % 50 == 0 ? -g : g; }));
  CHECK(off([](std::size_t, double) { return std::nan(""); }));
  const auto zero = check(Sample([](std::size_t, double) { return 0.0; }));
  CHECK_FALSE(zero[0].is_sound());  // nowhere is uphill
  CHECK(zero[1].is_off());
  // What has no part along the gradient is for random directions to find.
  CHECK(check(Sample([](std::size_t i, double g) { return g + (i % 2 == 0 ? 0.01 : -0.01); }))[1].is_off());
}

TEST_CASE("a gradient of zero is right where nothing changes the value") {
  class Constant final : public Differentiable {
    [[nodiscard]] double value(std::span<const double> x) override { return size_ = x.size(), 3; }
    [[nodiscard]] std::vector<double> gradient() override { return std::vector<double>(size_); }
    std::size_t size_ = 0;
  } constant;
  for (const GradientRow& row :
       check_gradient("", constant, Sample::start(), gradient_steps(Precision::kBf16, DType::kFloat32), 2)) {
    CHECK(row.is_sound());
    CHECK_FALSE(row.is_off());
  }
}

TEST_CASE("values that are rounded too coarsely make a row that cannot tell, not one that fails") {
  const auto rows = check(Sample(as_it_is, 1.0), Precision::kFp32);
  for (const GradientRow& row : rows) {
    INFO("bound " << row.bound << " found " << row.found);
    CHECK_FALSE(row.is_sound());
  }
}

TEST_CASE("kinks within the steps are seen as such, one at the very point too") {
  const auto rows = check(Sample(as_it_is, 0, 40), Precision::kFp32);
  for (const GradientRow& row : rows) {
    INFO("kinks " << row.kinks << " rounding " << row.rounding << " found " << row.found);
    CHECK(row.kinks > 3 * row.rounding);
    CHECK_FALSE(row.is_off());
  }
}
