// impasto selftest: every primitive against the reference backend, on the user's own device; or the gradient
// of an objective against its values.
#include "engine/selftest/selftest.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/gradient_selftest.h"
#include "apps/render_arguments.h"
#include "apps/text.h"
#include "engine/core/message.h"
#include "engine/options/option_table.h"

namespace impasto::apps {
namespace {

/// The worst case of an operation.
struct Summary {
  std::string operation;
  int cases = 0, failed = 0;
  double max_error = 0, bound = 0;  // of the case that is nearest to its bound
};

std::vector<Summary> summarise(const std::vector<SelftestRow>& rows) {
  std::vector<Summary> summaries;
  for (const SelftestRow& row : rows) {
    auto at = std::find_if(summaries.begin(), summaries.end(),
                           [&](const Summary& s) { return s.operation == row.operation; });
    if (at == summaries.end()) at = summaries.insert(at, {row.operation, 0, 0, 0, row.bound});
    ++at->cases;
    at->failed += row.ok ? 0 : 1;
    if (row.max_error * at->bound > at->max_error * row.bound) {
      at->max_error = row.max_error;
      at->bound = row.bound;
    }
  }
  return summaries;
}

struct SelftestArguments {
  GradientArguments of_gradient;
  bool all = false, gradient = false;
};

/// Error(kUsage) for what says something of a gradient where none is asked for, and the other way round.
void check(const SelftestArguments& a) {
  const GradientArguments defaults;
  const GradientArguments& given = a.of_gradient;
  if (a.gradient && a.all) throw Error(ErrorCode::kUsage, "option --all: expected without --gradient");
  if (a.gradient) return;
  std::string odd;
  for (const auto& [name, value] : given.style_options) {
    if (find_option(name).scope != OptionScope::kDevice) odd = "option --" + name;
  }
  if (given.weights != defaults.weights) odd = "option --weights";
  if (given.directions != defaults.directions) odd = "option --directions";
  if (!given.pictures.empty()) odd = "pictures";
  if (!odd.empty()) throw Error(ErrorCode::kUsage, odd + ": expected with --gradient, found without");
}

int run(const SelftestArguments& a) {
  check(a);
  if (a.gradient) return run_gradient_selftest(a.of_gradient);
  const auto backend = open_device(make_options(a.of_gradient.style_options));
  std::printf("%s: %s\n", backend->info().name.c_str(), backend->info().description.c_str());
  std::fflush(stdout);
  const std::vector<SelftestRow> rows = run_selftest(*backend);
  Table table(1);
  const auto number = [](double value) { return format_significant(value, 2); };
  if (a.all) {
    table = Table(2);
    table.add({"operation", "case", "99 % error", "max error", "bound", ""});
    for (const SelftestRow& r : rows) {
      table.add({r.operation, r.name, number(r.percentile99_error), number(r.max_error), number(r.bound),
                 r.ok ? "ok" : "FAILED"});
    }
  } else {
    table.add({"operation", "cases", "max error", "bound", ""});
    for (const Summary& s : summarise(rows)) {
      table.add({s.operation, std::to_string(s.cases), number(s.max_error), number(s.bound),
                 s.failed == 0 ? "ok" : fmt::format("{} FAILED", s.failed)});
    }
  }
  std::fputs(table.text().c_str(), stdout);
  std::ptrdiff_t failed = 0;
  for (const SelftestRow& r : rows) {
    if (r.ok) continue;
    ++failed;
    std::printf("FAILED %s %s: %s\n", r.operation.c_str(), r.name.c_str(), r.problem.c_str());
  }
  std::printf("%zu cases, %td failed\n", rows.size(), failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

void add_selftest(CLI::App& root, int& exit_code) {
  CLI::App* const app = root.add_subcommand(
      "selftest", "Hold a device against the slow reference, or a gradient against differences of its loss");
  const auto a = std::make_shared<SelftestArguments>();
  using Of = OptionValues<SelftestArguments>;
  offer(*app->add_option("PICTURE", a->of_gradient.pictures,
                         "with --gradient: a photograph, then paintings; generated ones without"),
        {});
  const std::vector<Option<SelftestArguments>> rows{
      {"all", kOptions, "", "show every case, not only each operation's worst",
       Of::boolean(&SelftestArguments::all)},
      {"gradient", kOptions, "", "check the gradient of each loss term and of the whole objective",
       Of::boolean(&SelftestArguments::gradient)},
      {"directions", kOptions, "N", "of each kind to check a gradient along",
       integer<SelftestArguments>(
           [](auto& s) -> auto& { return s.of_gradient.directions; }, 1, 1000)},
      {"weights", kOptions, "FILE|NAME",
       "a weight file, random:SEED or random-vgg16:SEED, or as `impasto weights` finds them",
       Of::text(
           [](auto& s) -> auto& { return s.of_gradient.weights; }, weight_names())},
  };
  declare(*app, rows, *a);
  add_objective_options(*app, a->of_gradient.style_options, "; here 64");
  app->footer(
      "With --gradient, (J(x + e d) - J(x - e d)) / 2e is held against <g, d> along random directions d:\n"
      "uphill, where J changes most, and +-1 at random. Such a quotient is off by the rounding of J and\n"
      "by units that switch within e (kinks); both are measured, over other e. Three times these and what\n"
      "the precision allows the gradient itself are the bound; above 0.4 a row cannot tell right from\n"
      "wrong. Without --gradient only the device's options can be given.\n"
      "Exit code 0: all is well; 1: a case failed, or no row of a term can tell.");
  app->callback([a, &exit_code] { exit_code = run(*a); });
}

}  // namespace impasto::apps
