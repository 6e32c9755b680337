#pragma once
// Which plan each convolution runs: what a resumed render says, else what was timed (autotune), now when it
// is prepared or before, else the planner's first. Asking for a plan times nothing and needs no GPU.
#include <map>
#include <string>

#include "engine/backend/choice_cache.h"
#include "engine/backend/cuda/context.h"
#include "engine/backend/cuda/conv_plans.h"

namespace impasto::cuda {

class ConvChoices final : public Tuning {
 public:
  ConvChoices(Context& context, ConvPlanner& planner, bool autotune);

  /// Makes the choice that plan() is to take: times it where no one did and autotune asks for it.
  void prepare(const ConvKey& key);
  /// What was prepared, else what prepare() would choose without timing. The reference stays as long as the
  /// planner.
  [[nodiscard]] const ConvPlan& plan(const ConvKey& key) const;

  /// Of all that was prepared, a line each: "KEY = ENGINE" under a line that names GPU, library and
  /// precision.
  [[nodiscard]] std::string text() const override;
  /// Error(kBadInput) if the first line is another's.
  void add(const std::string& text, const std::string& source) override;
  void forget() override;
  /// "timed 24 convolutions"; empty without autotune.
  [[nodiscard]] std::string activity() const;

 private:
  /// What a resumed render says or was timed before; null: neither.
  [[nodiscard]] const ConvPlan* known(const ConvKey& key) const;
  [[nodiscard]] std::string time(const ConvKey& key);

  Context& context_;
  ConvPlanner& planner_;
  ChoiceCache cache_;  // its title names GPU, library and precision
  int num_timed_ = 0;
  std::map<ConvKey, const ConvPlan*> chosen_;
};

}  // namespace impasto::cuda
