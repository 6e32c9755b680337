#pragma once
// Which plan each convolution runs: what a resumed render says, else what was timed before or is timed now
// (autotune), else the planner's first.
#include <map>
#include <string>

#include "engine/backend/choice_cache.h"
#include "engine/backend/cuda/context.h"
#include "engine/backend/cuda/conv_plans.h"

namespace impasto::cuda {

/// One planner for each GPU of the process: plans are shared by all backends on it.
[[nodiscard]] std::shared_ptr<ConvPlanner> shared_planner(const DeviceProperties& device);

class ConvChoices {
 public:
  ConvChoices(Context& context, std::shared_ptr<ConvPlanner> planner, bool autotune);

  /// The reference stays valid.
  [[nodiscard]] const ConvPlan& plan(const ConvKey& key);

  /// The choices of all plans used so far, a line each: "KEY =
  /// ENGINE" under a line that names GPU, library and precision.
  [[nodiscard]] std::string text() const;
  /// Error(kBadInput) if the first line is another's. Before the first plan().
  void set(const std::string& text);
  /// "timed 24 convolutions"; empty without autotune.
  [[nodiscard]] std::string activity() const;

 private:
  [[nodiscard]] const ConvPlan& choose(const ConvKey& key);
  [[nodiscard]] std::string time(const ConvKey& key);

  Context& context_;
  std::shared_ptr<ConvPlanner> planner_;
  ChoiceCache cache_;  // its title names GPU, library and precision
  int num_timed_ = 0;
  std::map<ConvKey, const ConvPlan*> chosen_;
};

}  // namespace impasto::cuda
