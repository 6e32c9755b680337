// impasto plan: what a render would take, without running it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/forecast.h"
#include "apps/places.h"
#include "apps/plan_report.h"
#include "apps/render_arguments.h"

namespace impasto::apps {
namespace {

struct PlanArguments {
  RenderArguments render;
  bool json = false;
};

void run_plan(const RenderArguments& a, bool json) {
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
  app->callback([a] { run_plan(a->render, a->json); });
}

}  // namespace impasto::apps
