#pragma once
// A RenderPlan as a table for people and as JSON for programs.
#include <nlohmann/json.hpp>
#include <string>

#include "engine/style/stylizer.h"

namespace impasto::apps {

/// Arithmetic that the device does, measured; 0: not known, times are left out.
struct Speed {
  double flops_per_second = 0;
};

[[nodiscard]] std::string plan_table(const RenderPlan& plan, Speed speed);
[[nodiscard]] nlohmann::ordered_json plan_json(const RenderPlan& plan, Speed speed);

}  // namespace impasto::apps
