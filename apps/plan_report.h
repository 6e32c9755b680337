#pragma once
// A RenderPlan as a table for people and as JSON for programs.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/forecast.h"
#include "engine/style/stylizer.h"

namespace impasto::apps {

[[nodiscard]] std::string plan_table(const RenderPlan& plan, const Forecast& forecast);
[[nodiscard]] nlohmann::ordered_json plan_json(const RenderPlan& plan, const Forecast& forecast);

/// "at once, 482 MiB of 21.0 GiB; 1.9 s an iteration, at most 6 min".
[[nodiscard]] std::string plan_line(const RenderPlan& plan, const Forecast& forecast);

/// Of one of several budgets.
struct BudgetPlan {
  RenderPlan plan;
  Forecast forecast;  ///< empty where it does not fit
};
[[nodiscard]] std::string budgets_table(const std::vector<BudgetPlan>& plans);
[[nodiscard]] nlohmann::ordered_json budgets_json(const std::vector<BudgetPlan>& plans);

}  // namespace impasto::apps
