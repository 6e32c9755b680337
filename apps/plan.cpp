// impasto plan: what a render would take, without running it.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/forecast.h"
#include "apps/places.h"
#include "apps/plan_report.h"
#include "apps/render_arguments.h"
#include "engine/core/text.h"

namespace impasto::apps {
namespace {

struct PlanArguments {
  RenderArguments render;
  bool json = false;
  std::string budgets;  // between commas; empty: the one there is
};

std::vector<std::int64_t> parse_budgets(const std::string& text) {
  std::vector<std::int64_t> budgets;
  for (const std::string& part : split(text, ',')) budgets.push_back(parse_bytes("option --budgets", part));
  return budgets;
}

/// What each budget would make of the render.
void compare_budgets(Session& session, const StyleOptions& options, const RenderSizes& sizes,
                     const std::vector<std::int64_t>& budgets, bool json) {
  std::vector<BudgetPlan> plans;
  for (const std::int64_t budget : budgets) {
    StyleOptions within = options;
    within.memory_bytes = budget;
    const RenderPlan plan = session.plan(within, sizes);
    plans.push_back({plan, plan.fits() ? forecast(session.backend(), plan) : Forecast{}});
  }
  const std::string text = json ? budgets_json(plans).dump(2) + "\n" : budgets_table(plans);
  std::fputs(text.c_str(), stdout);
}

void run_plan(const PlanArguments& arguments) {
  const RenderArguments& a = arguments.render;
  const bool json = arguments.json;
  const std::vector<std::int64_t> budgets =
      arguments.budgets.empty() ? std::vector<std::int64_t>{} : parse_budgets(arguments.budgets);
  const StyleOptions options = resolve_options(a);
  std::vector<Place> inputs{{"content picture", a.content}};
  for (const std::string& style : a.styles) inputs.push_back({"style picture", style});
  require_inputs(inputs);
  const auto size_of_file = [&](const std::string& path) {
    std::vector<std::string> warnings;
    const PictureInfo picture = probe_image(path, a.max_pixels, &warnings);
    for (const std::string& warning : warnings) print_warning(warning);
    return picture.size;
  };
  RenderSizes sizes{size_of_file(a.content), {}};
  for (const std::string& style : a.styles) sizes.styles.push_back({size_of_file(style)});
  auto weights = std::make_shared<const Weights>(find_weights(a.weights));
  Session session(options, std::move(weights), SessionOptions::one_render());  // as the render will
  if (const std::string note = session.device_note(); !note.empty()) print_warning(note);
  if (!budgets.empty()) return compare_budgets(session, options, sizes, budgets, json);
  const RenderPlan plan = session.plan(options, sizes);
  const Forecast times = forecast(session.backend(), plan);
  const std::string text = json ? plan_json(plan, times).dump(2) + "\n" : plan_table(plan, times);
  std::fputs(text.c_str(), stdout);
  // Over the budget: the figures are what the user wants to see, and the error says that it does not fit.
  if (!plan.fits()) throw Error(ErrorCode::kResources, session.misfit(plan, options, sizes));
}

}  // namespace

void add_plan(CLI::App& root, int& /*exit_code*/) {
  CLI::App* const app =
      root.add_subcommand("plan", "Say sizes, memory and time of a render without running it");
  const auto a = std::make_shared<PlanArguments>();
  add_render_arguments(*app, a->render);
  declare(*app,
          Option<PlanArguments>{"json", kOutputAndProgress, "", "print JSON instead of tables",
                                OptionValues<PlanArguments>::boolean(&PlanArguments::json)},
          *a);
  declare(*app,
          Option<PlanArguments>{"budgets", kOutputAndProgress, "LIST",
                                "compare plans for several budgets of memory, between commas",
                                OptionValues<PlanArguments>::text(&PlanArguments::budgets)},
          *a);
  app->callback([a] { run_plan(*a); });
}

}  // namespace impasto::apps
