#pragma once
// Which plan each convolution runs: what a resumed render says, else what was timed (autotune), now when it
// is prepared or before, else the planner's first. Asking for a plan times nothing and needs no GPU.
#include <functional>
#include <string>

#include "engine/backend/cuda/context.h"
#include "engine/backend/cuda/conv_plans.h"
#include "engine/backend/tuned_choices.h"

namespace impasto::cuda {

/// Which of `count` things is fastest, the first one where they are equal: each is measured once a round, in
/// turn, so that a clock that changes changes for all, and its least time counts.
[[nodiscard]] std::size_t fastest_in_turn(std::size_t count, int rounds,
                                          const std::function<float(std::size_t)>& measure);

class ConvChoices final : public TunedChoices<ConvKey, const ConvPlan*> {
 public:
  /// An earlier run's text begins with GPU, library and precision.
  ConvChoices(Context& context, ConvPlanner& planner, bool autotune);

  /// Makes the choice that plan() is to take: times it where no one did and autotune asks for it.
  void prepare(const ConvKey& key);
  /// What was prepared, else what prepare() would choose without timing. The reference stays as long as the
  /// planner.
  [[nodiscard]] const ConvPlan& plan(const ConvKey& key) const;

 private:
  [[nodiscard]] std::string describe(const ConvPlan* const& plan) const override { return plan->engine; }
  /// What a resumed render says or was timed before; null: neither.
  [[nodiscard]] const ConvPlan* known(const ConvKey& key) const;
  [[nodiscard]] std::string time(const ConvKey& key);

  Context& context_;
  ConvPlanner& planner_;
};

}  // namespace impasto::cuda
