#pragma once
// When a scale has converged: its loss falls too little to go on. Pure.
#include <cstdint>
#include <span>
#include <vector>

namespace impasto {

/// Let best(k) be the lowest finite loss of a scale's first k evaluations. The scale has converged after
/// evaluation k, the 11th or a later one, if
///   best(k - 10) - best(k) < tolerance * best(k - 10)
/// The best is what counts, because a line search tries points that raise the loss for a moment. Losses are
/// not negative. With tolerance 0, or where no loss was finite by evaluation k - 10, a scale never converges.
class Convergence {
 public:
  static constexpr std::int64_t kSpan = 10;  ///< evaluations that the loss is given to fall

  explicit Convergence(double tolerance) : tolerance_(tolerance) {}

  /// Can a scale converge at all?
  [[nodiscard]] bool watches() const { return tolerance_ > 0; }
  /// The loss of the next evaluation.
  void add(double loss);
  [[nodiscard]] bool reached() const;
  /// Can it be reached by the loss of the next evaluation, whatever that is?
  [[nodiscard]] bool may_be_next() const;

  /// The state: best(k - 10) to best(k) after evaluation k,
  /// fewer where there are fewer; empty unless watches().
  [[nodiscard]] const std::vector<double>& best() const { return best_; }
  /// Goes on after `evaluations` (not negative) of them. Error(kBadInput) if `best` is no such state.
  void restore(std::span<const double> best, std::int64_t evaluations);

 private:
  double tolerance_;
  std::vector<double> best_;
};

}  // namespace impasto
