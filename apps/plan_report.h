#pragma once
// A RenderPlan as a table for people and as JSON for programs.
#include <nlohmann/json.hpp>
#include <string>

#include "apps/forecast.h"
#include "engine/style/stylizer.h"

namespace impasto::apps {

[[nodiscard]] std::string plan_table(const RenderPlan& plan, const Forecast& forecast);
[[nodiscard]] nlohmann::ordered_json plan_json(const RenderPlan& plan, const Forecast& forecast);

/// "at once, 482 MiB of 21.0 GiB; 1.9 s an iteration, at most 6 min".
[[nodiscard]] std::string plan_line(const RenderPlan& plan, const Forecast& forecast);

}  // namespace impasto::apps
