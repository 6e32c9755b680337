// impasto selftest: every primitive against the reference backend, on the user's own device.
#include "engine/selftest/selftest.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/render_arguments.h"
#include "apps/text.h"
#include "engine/core/message.h"

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
  GivenOptions style_options;
  bool all = false;
};

int run(const SelftestArguments& a) {
  const auto backend = open_device(make_options(a.style_options));
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
  CLI::App* const app =
      root.add_subcommand("selftest", "Hold a device against the slow reference, operation by operation");
  const auto a = std::make_shared<SelftestArguments>();
  add_device_options(*app, a->style_options);
  declare(*app,
          Option<SelftestArguments>{"all", kOptions, "", "show every case, not only each operation's worst",
                                    OptionValues<SelftestArguments>::boolean(&SelftestArguments::all)},
          *a);
  app->footer("Exit code 0: all is well; 1: a case failed.");
  app->callback([a, &exit_code] { exit_code = run(*a); });
}

}  // namespace impasto::apps
