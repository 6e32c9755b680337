// impasto weights: what is known and where it is, fetching and converting it, and what a file holds.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/text.h"
#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/impasto.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

void list() {
  for (const KnownWeights& known : known_weights()) {
    std::printf("%-10s %s\n           %s, %s\n           %s\n           found: %s\n", known.name.c_str(),
                known.description.c_str(), known.file_name.c_str(),
                format_bytes(static_cast<double>(known.bytes)).c_str(), known.licence.c_str(),
                known.found ? known.found->c_str() : "no");
  }
  std::puts(
      "\nSearched: --weights, $IMPASTO_WEIGHTS (a file or a folder), $XDG_DATA_HOME/impasto\n"
      "(~/.local/share/impasto), the installation. To get one: impasto weights fetch NAME");
}

/// A tool of this installation; of the source tree where the program lies as it was built. Who has an
/// installed program need not own that tree's place.
fs::path tool_program(const char* name) {
  std::error_code ignored;
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  const fs::path tools = folder == fs::path(IMPASTO_BUILT_IN)
                             ? fs::path(IMPASTO_SOURCE_TOOLS)
                             : folder.parent_path() / IMPASTO_DATA_FOLDER / "weights_tools";
  if (fs::is_regular_file(tools / name, ignored)) return tools / name;
  throw make_error(ErrorCode::kBadInput, "{}: expected in '{}', found none; install impasto again", name,
                   tools.string());
}

/// Does not come back: the tool takes this program's place, exit code included.
[[noreturn]] void run_tool(const char* name, const std::vector<std::string>& options,
                           const std::vector<std::string>& operands) {
  std::vector<std::string> words{"python3", tool_program(name).string()};
  words.insert(words.end(), options.begin(), options.end());
  words.emplace_back("--");
  words.insert(words.end(), operands.begin(), operands.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp(arguments.front(), arguments.data());
  throw make_error(ErrorCode::kBadInput, "python3: expected on the PATH to run {}, found: {}", name,
                   std::strerror(errno));
}

void inspect(const std::string& name_or_path) {
  const Weights weights = fs::exists(name_or_path) ? load_weights(name_or_path) : find_weights(name_or_path);
  const auto line = [](const char* what, const std::string& text) {
    if (!text.empty()) std::printf("%-10s %s\n", what, text.c_str());
  };
  line("name", weights.name);
  line("note", weights.note);
  line("network", weights.network);
  line("layout", weights.layout);
  line("source", weights.source);
  line("licence", weights.licence);
  line("digest", weights.digest);
  const Preprocessing& p = weights.preprocessing;
  const auto triple = [](const std::array<double, 3>& v) {
    return fmt::format("{} {} {}", format_number(v[0]), format_number(v[1]), format_number(v[2]));
  };
  line("input",
       fmt::format("{} 0..255, less {}, times {}", p.bgr ? "BGR" : "RGB", triple(p.mean), triple(p.scale)));
  Table table(2);
  table.add({"layer", "filter (h,w,in,out)", "bias", "parameters"});
  for (const ConvWeights& layer : weights.layers) {
    table.add({layer.name, fmt::format("(3,3,{},{})", layer.in_channels, layer.out_channels),
               std::to_string(layer.bias.size()), std::to_string(layer.filter.size() + layer.bias.size())});
  }
  std::fputs(("\n" + table.text()).c_str(), stdout);
}

struct Fetch {
  std::string name, to, from;
};
struct Convert {
  std::string from, to, network, source;
  bool overwrite = false;
};

std::vector<Option<Fetch>> fetch_rows() {
  using Of = OptionValues<Fetch>;
  return {
      {"to", kOptions, "FOLDER", "folder to put it in",
       Of::text(&Fetch::to, {}, "the user's data folder, where it is found")},
      {"from", kOptions, "FILE|URL", "take it from here, checked as ever",
       Of::text(&Fetch::from, {}, "where it was published")},
  };
}

/// Their values are the tool's to check.
std::vector<Option<Convert>> convert_rows() {
  using Of = OptionValues<Convert>;
  return {
      {"network", kOptions, "NAME", "",
       Of::text(&Convert::network, {{"vgg16"}, {"vgg19"}}, "told by the layers")},
      {"source", kOptions, "NAME", "how a picture is prepared",
       Of::text(&Convert::source, {{"torchvision"}, {"caffe"}, {"caffe-rgb"}},
                "told by the file where it shows it")},
      {"overwrite", kOptions, "", "replace OUT if it exists", Of::boolean(&Convert::overwrite)},
  };
}

/// The options that differ from their defaults, as a tool of the same options takes them.
template <class Owner>
std::vector<std::string> given(const std::vector<Option<Owner>>& rows, const Owner& owner) {
  std::vector<std::string> words;
  for (const Option<Owner>& row : rows) {
    const std::string value = row.value.get(owner);
    if (value == row.value.get(Owner())) continue;
    words.push_back("--" + row.name + (row.is_flag() ? "" : "=" + value));
  }
  return words;
}

}  // namespace

void add_weights(CLI::App& root, int& /*exit_code*/) {
  CLI::App* const app = root.add_subcommand("weights", "List, fetch, convert and inspect network weights");
  app->require_subcommand(1);
  CLI::App* const list_app =
      app->add_subcommand("list", "Say which weight files are known and where they were found");
  list_app->callback(list);

  CLI::App* const fetch_app =
      app->add_subcommand("fetch", "Download published weights, with python3, and check them");
  const auto fetch = std::make_shared<Fetch>();
  declare_operand(*fetch_app, "NAME", fetch->name, "", weight_names());
  declare(*fetch_app, fetch_rows(), *fetch);
  fetch_app->callback([fetch] { run_tool("fetch.py", given(fetch_rows(), *fetch), {fetch->name}); });

  CLI::App* const convert_app = app->add_subcommand(
      "convert",
      "Make a weight file of a PyTorch, safetensors, Keras, ONNX, MatConvNet, NumPy or Caffe file");
  const auto convert = std::make_shared<Convert>();
  declare_operand(*convert_app, "IN", convert->from, "the file to read, with python3");
  declare_operand(*convert_app, "OUT", convert->to, "the HDF5 file to write");
  declare(*convert_app, convert_rows(), *convert);
  convert_app->callback([convert] {
    run_tool("convert.py", given(convert_rows(), *convert), {convert->from, convert->to});
  });

  CLI::App* const inspect_app =
      app->add_subcommand("inspect", "Show layout, layers, shapes and digest of a weight file");
  const auto file = std::make_shared<std::string>();
  declare_operand(*inspect_app, "FILE", *file, "an HDF5 file, or a name as --weights takes it");
  inspect_app->callback([file] { inspect(*file); });
}

}  // namespace impasto::apps
