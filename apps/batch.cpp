// impasto batch: many renders with one network, and what was done of them stays done.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/batch_entries.h"
#include "apps/batch_run.h"
#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/interruption.h"
#include "apps/places.h"
#include "apps/shard.h"
#include "engine/backend/devices.h"
#include "engine/core/message.h"
#include "engine/core/text.h"

namespace impasto::apps {
namespace {

constexpr const char* kBatch = "Batch";

struct BatchArguments {
  RenderArguments render;  ///< what entries have unless they say otherwise
  std::string manifest, contents, styles, shard, report, jobs = "auto";
  std::int64_t state_seconds = 60;
};

using A = BatchArguments;
using Of = OptionValues<A>;

std::vector<Option<A>> batch_rows() {
  const auto row = [](std::string name, std::string value_name, std::string help, OptionValue<A> value,
                      char letter = 0) {
    return Option<A>{.name = std::move(name),
                     .group = kBatch,
                     .value_name = std::move(value_name),
                     .help = std::move(help),
                     .value = std::move(value),
                     .letter = letter};
  };
  return {
      row("contents", "DIR", "instead of a manifest: every picture of this folder ...",
          Of::text(&A::contents)),
      row("styles", "DIR", "... in the style of every picture of this one", Of::text(&A::styles)),
      row("output", "NAME", "the results' names, with {content} and {style} for those of the pictures",
          Of::text([](auto& a) -> auto& { return a.render.output; }), 'o'),
      row("shard", "I/N",
          "do only the I-th of N parts, from 0; else as the task of an array of Slurm, PBS or "
          "Kubernetes",
          Of::text(&A::shard, {}, "all")),
      row("jobs", "L:R:S", "threads that load, renders at a time on each device, threads that save",
          Of::text(&A::jobs, {{"auto"}})),
      row("report", "FILE", "append one JSON object a line for each entry that ends",
          Of::text(&A::report, {}, "none")),
      row("checkpoint-every", "SECONDS",
          "keep the state of each render so often, in .OUTPUT.checkpoint; 0: after "
          "every iteration",
          integer<A>(&A::state_seconds, 0, 1'000'000'000)),
  };
}

/// Names between commas; cuda:all is every GPU that can be used.
std::vector<std::string> device_names(const std::string& text) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      throw make_error(ErrorCode::kUsage, "option --device: expected each device once, found {} twice", name);
    }
    names.push_back(name);
  };
  for (const std::string& name : split(text, ',')) {
    if (name != "cuda:all") {
      add(name == "cuda" ? "cuda:0" : name);
      continue;
    }
    const std::size_t before = names.size();
    for (const DeviceStatus& device : list_devices()) {
      if (device.info.name.starts_with("cuda:") && device.unusable_because.empty()) add(device.info.name);
    }
    if (names.size() == before) {
      throw Error(ErrorCode::kResources,
                  "option --device: expected a GPU for cuda:all, found none that can be used");
    }
  }
  if (names.size() > 1 && std::find(names.begin(), names.end(), "auto") != names.end()) {
    throw Error(ErrorCode::kUsage, "option --device: expected auto alone, found it beside others");
  }
  return names;
}

std::vector<BatchEntry> entries_of(const BatchArguments& a, const RenderArguments& defaults) {
  const bool folders = !a.contents.empty() || !a.styles.empty();
  if (folders == !a.manifest.empty()) {
    throw make_error(ErrorCode::kUsage, "MANIFEST: expected it, or --contents and --styles, found {}",
                     folders ? "both" : "neither");
  }
  if (!folders && !a.render.output.empty()) {
    throw Error(ErrorCode::kUsage,
                "option --output: expected it with --contents and --styles, found a manifest");
  }
  if (!folders) return read_manifest(a.manifest, defaults);
  for (const auto& [name, value] : {std::pair("contents", &a.contents), std::pair("styles", &a.styles),
                                    std::pair("output", &a.render.output)}) {
    if (value->empty()) throw make_error(ErrorCode::kUsage, "option --{}: expected it, found none", name);
  }
  return multiply_folders({a.contents, a.styles, a.render.output}, defaults);
}

/// The report is no file that is read or made.
void check_report(const BatchArguments& a, const std::vector<BatchEntry>& entries) {
  if (a.report.empty()) return;
  const Place report{"report", a.report};
  require_distinct({report}, {{"manifest", a.manifest}});
  for (const BatchEntry& entry : entries) {
    std::vector<Place> files{{"content picture", entry.arguments.content},
                             {"initial picture", entry.arguments.start_picture},
                             {"output", entry.arguments.output}};
    for (const std::string& style : entry.arguments.styles) files.push_back({"style picture", style});
    require_distinct({report}, files);
  }
  for (const std::filesystem::path& file : weight_files(a.render.weights)) {
    require_distinct({report}, {{"weights", file}});
  }
}

void run(const BatchArguments& a) {
  const Shard shard = find_shard(a.shard);
  BatchSettings settings;
  RenderArguments defaults = a.render;
  const auto device = defaults.style_options.extract("device");
  settings.devices = device_names(device.empty() ? "auto" : device.mapped());
  settings.machine = make_options(defaults.style_options);
  settings.weights = a.render.weights;
  settings.report = a.report;
  settings.jobs = parse_jobs(a.jobs);
  settings.state_seconds = static_cast<double>(a.state_seconds);
  settings.progress = a.render.quiet ? ProgressKind::kQuiet : a.render.progress;
  std::vector<BatchEntry> entries = entries_of(a, defaults);
  find_clashes(entries);
  check_report(a, entries);
  std::erase_if(entries, [&](const BatchEntry& entry) { return !shard.has(entry.index); });
  run_batch(settings, entries);
}

}  // namespace

void add_batch(CLI::App& root, int& /*exit_code*/) {
  CLI::App* const app = root.add_subcommand("batch", "Render many photographs; what is done is left out");
  const auto arguments = std::make_shared<BatchArguments>();
  offer(*app->add_option(
            "MANIFEST", arguments->manifest,
            "JSON lines: {\"content\": FILE, \"style\": FILE or [FILE, ...], \"output\": FILE, and "
            "options by their long names}"),
        {});
  declare(*app, batch_rows(), *arguments);
  add_batch_render_options(*app, arguments->render);
  app->callback([arguments] {
    install_interruption("batch");
    std::signal(SIGPIPE,
                SIG_IGN);  // whoever read the progress has gone: the pictures are wanted all the same
    run(*arguments);
  });
}

}  // namespace impasto::apps
