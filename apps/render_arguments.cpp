#include "apps/render_arguments.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "apps/declare.h"
#include "apps/text.h"
#include "engine/backend/devices.h"
#include "engine/core/message.h"
#include "engine/options/option_table.h"
#include "engine/style/machine.h"

namespace impasto::apps {
namespace {

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const ImageFormat& format : image_formats()) names.push_back(format.name);
  return names;
}

/// Of the formats that `take` is true for.
template <class Take>
std::vector<std::string> suffixes(Take take) {
  std::vector<std::string> all;
  for (const ImageFormat& format : image_formats()) {
    if (take(format)) all.insert(all.end(), format.suffixes.begin(), format.suffixes.end());
  }
  return all;
}

const Names<int>& sample_bits() {
  static const std::string deep = any_of(suffixes([](const ImageFormat& f) { return f.keeps_16_bits; }));
  static const Names<int> names{{8, {"8"}}, {16, {"16", "with " + deep}}};
  return names;
}

using A = RenderArguments;
using Of = OptionValues<A>;

Option<A> row(std::string name, std::string value_name, std::string help, OptionValue<A> value,
              char letter = 0) {
  return {.name = std::move(name),
          .group = kOutputAndProgress,
          .value_name = std::move(value_name),
          .help = std::move(help),
          .value = std::move(value),
          .letter = letter};
}

Option<A> output_row() {
  const std::string endings = any_of(suffixes([](const ImageFormat&) { return true; }));
  return row("output", "FILE", "the result; its suffix says the format: " + endings, Of::text(&A::output),
             'o');
}

/// What stands beside StyleOptions.
std::vector<Option<A>> file_rows() {
  return {
      row("overwrite", "", "replace output, trace and checkpoint files that exist",
          Of::boolean(&A::overwrite)),
      row("output-bits", "BITS", "bits a channel",
          Of::choice(
              sample_bits(), [](auto& a) -> auto& { return a.write.bits; })),
      row("quality", "Q", "of JPEG and WebP, 1 to 100",
          integer<A>(
              [](auto& a) -> auto& { return a.write.quality; }, 1, 100)),
      row("save-every", "N",
          "also write the picture after every N iterations, as OUTPUT-000050.png; 0: never",
          integer<A>(&A::save_every, 0, 1'000'000'000)),
      row("checkpoint", "FILE",
          "keep the state of the render in FILE: every --save-every iterations (50 without it) and when "
          "interrupted",
          Of::text(&A::checkpoint, {}, "none")),
      row("resume", "FILE", "go on from a checkpoint; pictures, weights and options must be the same",
          Of::text(&A::resume, {}, "none")),
      row("trace", "FILE", "write one JSON object a line for each iteration; appended to when resuming",
          Of::text(&A::trace, {}, "none")),
      row("resume-inexact", "",
          "go on also where device, instruction set, precision or version are others than the checkpoint's: "
          "the "
          "result is that of neither",
          Of::boolean(&A::resume_inexact)),
      row("no-metadata", "", "keep names, options and weights out of the pictures",
          Of::boolean(&A::no_metadata)),
      row("progress", "KIND", "on standard error", Of::choice(progress_kinds(), &A::progress)),
      row("verbose", "", "say sizes, memory and device before the work", Of::boolean(&A::verbose), 'v'),
      row("quiet", "", "say nothing but errors", Of::boolean(&A::quiet), 'q'),
  };
}

std::vector<Option<A>> input_rows() {
  return {
      {"weights", kMachineGroup, "FILE|NAME",
       "a weight file, random:SEED or random-vgg16:SEED for tests, or as `impasto weights` finds them",
       Of::text(&A::weights, weight_names(), "the first that is found")},
      {"max-pixels", kMachineGroup, "N", "refuse pictures with more pixels",
       integer<A>(&A::max_pixels, 1, 1'000'000'000'000)},
  };
}

/// The choice of an option that takes the name of a file; null: it takes none.
const Choice* file_choice(const StyleOption& row) {
  for (const Choice& choice : row.value.choices) {
    if (choice.typed == Choice::Typed::kFile) return &choice;
  }
  return nullptr;
}

/// Keeps what is given for a row of StyleOptions. Another text than the words of an option that takes a file
/// is the file's name.
void keep(const StyleOption& row, const std::string& text, GivenOptions& given, std::string* file) {
  const Choice* const of_file = file_choice(row);
  const auto is_word = [&](const Choice& c) { return c.typed == Choice::Typed::kWord && c.word == text; };
  const bool word = std::any_of(row.value.choices.begin(), row.value.choices.end(), is_word);
  given[row.name] = of_file == nullptr || word ? text : of_file->word;
  if (of_file != nullptr) *file = word ? "" : text;
}

/// `more` goes on with the help.
void add_style_option(CLI::App& app, const StyleOption& row, GivenOptions& given, std::string* file,
                      const std::string& more = "") {
  static const StyleOptions defaults = make_options({});
  Declaration declared = declaration(row, defaults);
  declared.help += more;
  declare(app, declared, [&row, &given, file](const std::string& text) { keep(row, text, given, file); });
}

/// Names of rows that belong to one run of `render`.
bool is_of_one_run(const std::string& name) {
  static const std::vector<std::string> names{"save-every",     "checkpoint", "resume",
                                              "resume-inexact", "verbose",    "trace"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Of the rows beside StyleOptions, those that a picture of many may have for itself.
bool is_of_one_picture(const std::string& name) {
  static const std::vector<std::string> names{"overwrite", "output-bits", "quality", "no-metadata",
                                              "max-pixels"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

void add_footer(CLI::App& app) {
  app.footer("Defaults in parentheses are those of --preset " + StyleOptions().preset + ".");
}

}  // namespace

CLI::Option* add_render_arguments(CLI::App& app, RenderArguments& a) {
  declare_operand(app, "CONTENT", a.content, "the photograph: " + any_of(format_names()));
  declare_operand(app, "STYLE", a.styles, "one or more paintings; several are blended");
  CLI::Option* const output = declare(app, output_row(), a);
  declare(app, file_rows(), a);
  for (const StyleOption& row : option_table()) add_style_option(app, row, a.style_options, &a.start_picture);
  declare(app, input_rows(), a);
  add_footer(app);
  return output;
}

void add_batch_render_options(CLI::App& app, RenderArguments& a) {
  for (const Option<A>& row : file_rows()) {
    if (!is_of_one_run(row.name)) declare(app, row, a);
  }
  for (const StyleOption& row : option_table()) {
    const bool several = row.name == "device";
    add_style_option(app, row, a.style_options, &a.start_picture,
                     several ? "; several between commas, or cuda:all for every GPU" : "");
  }
  declare(app, input_rows(), a);
  add_footer(app);
}

EntryOption find_entry_option(const std::string& name) {
  std::vector<Option<A>> rows = file_rows(), inputs = input_rows();
  rows.insert(rows.end(), inputs.begin(), inputs.end());
  for (const Option<A>& row : rows) {
    if (row.name != name) continue;
    if (is_of_one_picture(name)) {
      return {row.is_flag(),
              [row](A& a, const std::string& text) { row.value.set(a, "option '" + row.name + "'", text); }};
    }
    throw make_error(ErrorCode::kUsage, "option '{}': expected one that an entry can have, found one of {}",
                     name, is_of_one_run(name) ? "`impasto render` alone" : "the whole batch");
  }
  const std::vector<std::string> names = option_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw make_error(ErrorCode::kUsage, "'{}': expected content, style, output or an option of a render",
                     name);
  }
  const StyleOption& row = find_option(name);
  if (row.scope == OptionScope::kDevice) {
    throw make_error(ErrorCode::kUsage,
                     "option '{}': expected one that an entry can have, found one of the whole batch", name);
  }
  return {row.is_flag(),
          [&row](A& a, const std::string& text) { keep(row, text, a.style_options, &a.start_picture); }};
}

void add_device_options(CLI::App& app, GivenOptions& given) {
  for (const StyleOption& row : option_table()) {
    if (row.scope == OptionScope::kDevice) add_style_option(app, row, given, nullptr);
  }
}

void add_objective_options(CLI::App& app, GivenOptions& given, const std::string& size_here) {
  static const std::vector<std::string> others{"size", "style-size", "style-scale", "memory"};
  for (const StyleOption& row : option_table()) {
    if (row.group == kObjectiveGroup || row.scope == OptionScope::kDevice ||
        std::find(others.begin(), others.end(), row.name) != others.end()) {
      add_style_option(app, row, given, nullptr, row.name == "size" ? size_here : "");
    }
  }
}

StyleOptions resolve_options(const RenderArguments& a) {
  StyleOptions options = make_options(a.style_options);
  validate(options);
  if (!a.output.empty()) options.most_side = most_writable_side(a.output);
  return options;
}

void print_warning(const std::string& message) { print_one_line(stderr, {"impasto: warning: ", message}); }

std::unique_ptr<Backend> open_device(const StyleOptions& options) {
  OpenedDevice device = impasto::open_device(backend_options(options));
  if (!device.note.empty()) print_warning(device.note);
  return std::move(device.backend);
}

std::string repeat_command(const RenderArguments& a, const StyleOptions& options, const Weights& weights) {
  const auto base = [](const std::string& path) {
    const std::string name = std::filesystem::path(path).filename().string();
    return shell_quote(name.starts_with('-') ? "./" + name : name);
  };
  std::string command = "impasto render " + base(a.content);
  for (const std::string& style : a.styles) command += " " + base(style);
  for (const auto& [name, value] : describe(options)) {
    const Choice* const file = file_choice(find_option(name));
    command += " --" + name + "=" + (file && file->word == value ? base(a.start_picture) : value);
  }
  return command + " --weights " + shell_quote(weights.name) + " -o " + base(a.output);
}

}  // namespace impasto::apps
