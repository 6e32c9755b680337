#pragma once
// Which plan each convolution runs: what a resumed render says, else what was timed before or is timed now
// (autotune), else the planner's first.
#include <filesystem>
#include <map>
#include <string>

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

  /// The choices of all plans used so far, a line each: "KEY = ENGINE" under a line that names GPU, library
  /// and precision.
  [[nodiscard]] std::string text() const;
  /// Error(kBadInput) if the first line is another's. Before the first plan().
  void set(const std::string& text);
  /// "timed 24 convolutions"; empty without autotune.
  [[nodiscard]] std::string activity() const;

 private:
  [[nodiscard]] std::string header() const;
  [[nodiscard]] std::filesystem::path cache_file() const;
  [[nodiscard]] const ConvPlan& choose(const ConvKey& key);
  [[nodiscard]] std::string time(const ConvKey& key);
  void save_cache() const;

  Context& context_;
  std::shared_ptr<ConvPlanner> planner_;
  bool autotune_;
  int num_timed_ = 0;
  std::map<ConvKey, const ConvPlan*> chosen_;
  std::map<std::string, std::string> given_, cached_;  // text of the key -> engine
};

}  // namespace impasto::cuda
