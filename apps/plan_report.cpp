#include "apps/plan_report.h"

#include <vector>

#include "apps/text.h"
#include "engine/core/message.h"
#include "engine/core/text.h"

namespace impasto::apps {
namespace {

std::string format_seconds(double seconds) {
  return seconds < 1 ? fmt::format("{} ms", format_significant(1000 * seconds, 3))
                     : fmt::format("{} s", format_significant(seconds, 3));
}

/// Of L-BFGS; empty for others.
std::string history_note(const ScalePlan& scale) {
  if (scale.history == 0) return "";
  return fmt::format(", a history of {} pair{}", scale.history, scale.history == 1 ? "" : "s");
}

std::size_t scale_bytes(const ScalePlan& s) {
  return s.activation_bytes + s.workspace_bytes + s.target_bytes + s.optimizer_bytes;
}

}  // namespace

std::string plan_table(const RenderPlan& plan, const Forecast& forecast) {
  Table scales;
  scales.add({"scale", "size", "style", "activations", "workspace", "targets", "optimiser", "sum",
              "GFLOP/iteration", "time/iteration"});
  for (std::size_t i = 0; i < plan.scales.size(); ++i) {
    const ScalePlan& s = plan.scales[i];
    std::string styles;
    for (const PixelSize& size : s.style_sizes) styles += (styles.empty() ? "" : ",") + to_string(size);
    const auto bytes = [](std::size_t b) { return format_bytes(static_cast<double>(b)); };
    scales.add({std::to_string(i), to_string(s.size), styles, bytes(s.activation_bytes),
                bytes(s.workspace_bytes), bytes(s.target_bytes), bytes(s.optimizer_bytes),
                bytes(scale_bytes(s)), format_significant(s.flops / 1e9, 4),
                forecast ? format_seconds(forecast.per_iteration[i]) : "?"});
  }
  Table totals(1);
  const auto total = [&](const std::string& what, double bytes, const std::string& note) {
    totals.add({what, format_bytes(bytes), fmt::format("{:.0f} bytes{}", bytes, note)});
  };
  total("filters", static_cast<double>(plan.filter_bytes), "");
  total("backend", static_cast<double>(plan.fixed_bytes), "");
  total("device peak", static_cast<double>(plan.device_bytes), "");
  total("device budget", static_cast<double>(plan.budget_bytes), "");
  total("host beside it", static_cast<double>(plan.host_bytes), ", an estimate");
  std::string text = fmt::format("device {}, precision {}\n\n{}\n{}", plan.device, plan.precision,
                                 scales.text(), totals.text());
  for (std::size_t i = 0; i < plan.scales.size(); ++i) {
    text += fmt::format("{}scale {}: {}{}\n", i == 0 ? "\n" : "", i, plan.scales[i].way,
                        history_note(plan.scales[i]));
  }
  if (forecast) {
    text += fmt::format("\nat most {} for all iterations, by convolutions timed now\n",
                        format_duration(forecast.total));
  }
  return text;
}

nlohmann::ordered_json plan_json(const RenderPlan& plan, const Forecast& forecast) {
  nlohmann::ordered_json scales = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < plan.scales.size(); ++i) {
    const ScalePlan& s = plan.scales[i];
    nlohmann::ordered_json styles = nlohmann::ordered_json::array();
    for (const auto& [w, h] : s.style_sizes) styles.push_back({{"width", w}, {"height", h}});
    nlohmann::ordered_json scale{{"width", s.size.width},
                                 {"height", s.size.height},
                                 {"styles", styles},
                                 {"activation_bytes", s.activation_bytes},
                                 {"workspace_bytes", s.workspace_bytes},
                                 {"target_bytes", s.target_bytes},
                                 {"optimizer_bytes", s.optimizer_bytes},
                                 {"way", s.way},
                                 {"history", s.history},
                                 {"flops", s.flops}};
    if (forecast) scale["seconds"] = forecast.per_iteration[i];
    scales.push_back(std::move(scale));
  }
  nlohmann::ordered_json json{{"device", plan.device},
                              {"precision", plan.precision},
                              {"scales", scales},
                              {"filter_bytes", plan.filter_bytes},
                              {"fixed_bytes", plan.fixed_bytes},
                              {"device_bytes", plan.device_bytes},
                              {"host_bytes", plan.host_bytes},
                              {"budget_bytes", plan.budget_bytes}};
  if (forecast) json["seconds"] = forecast.total;
  return json;
}

std::string plan_line(const RenderPlan& plan, const Forecast& forecast) {
  const ScalePlan& last = plan.scales.back();
  std::string text =
      fmt::format("{}, {} of {}", last.way, format_bytes(static_cast<double>(plan.device_bytes)),
                  format_bytes(static_cast<double>(plan.budget_bytes)));
  if (!forecast) return text;
  return text + fmt::format("; {} an iteration, at most {}", format_seconds(forecast.per_iteration.back()),
                            format_duration(forecast.total));
}

std::string budgets_table(const std::vector<BudgetPlan>& plans) {
  Table table;
  table.add({"budget", "size", "device peak", "history", "time/iteration", "all iterations", "network"});
  for (const auto& [plan, forecast] : plans) {
    const ScalePlan& last = plan.scales.back();
    table.add({format_bytes(static_cast<double>(plan.budget_bytes)), to_string(last.size),
               format_bytes(static_cast<double>(plan.device_bytes)),
               last.history > 0 ? std::to_string(last.history) : "-",
               forecast ? format_seconds(forecast.per_iteration.back()) : "-",
               forecast ? format_duration(forecast.total) : "does not fit", last.way});
  }
  return table.text();
}

nlohmann::ordered_json budgets_json(const std::vector<BudgetPlan>& plans) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const auto& [plan, forecast] : plans) all.push_back(plan_json(plan, forecast));
  return all;
}

}  // namespace impasto::apps
