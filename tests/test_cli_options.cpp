// Help, completion and messages say what the option tables hold: the program is run, its completion is
// sourced in bash.
#include <algorithm>
#include <iterator>
#include <map>
#include <regex>

#include "engine/network/weights.h"
#include "engine/options/option_table.h"
#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto;
using namespace impasto::testing;

namespace {

using Words = std::vector<std::string>;

const std::vector<Words> kCommands{{"render"},
                                   {"batch"},
                                   {"plan"},
                                   {"weights", "list"},
                                   {"weights", "fetch"},
                                   {"weights", "convert"},
                                   {"weights", "inspect"},
                                   {"devices"},
                                   {"bench"},
                                   {"selftest"}};

/// An option as help shows it.
struct Entry {
  std::string value_name, text;
};

/// Help of a command by the names of its options.
std::map<std::string, Entry> help_of(const CliFolder& folder, Words command) {
  static const std::regex heading("  (?:-[a-z], )?--([a-z0-9-]+)(?: (\\S+))?(?:  +(.*))?");
  command.emplace_back("--help");
  std::map<std::string, Entry> entries;
  Entry* last = nullptr;
  for (const std::string& line : lines_of(folder.run(command).out)) {
    CHECK(line.size() <= 100);
    std::smatch parts;
    if (std::regex_match(line, parts, heading)) {
      last = &entries[parts[1]];
      *last = {parts[2], parts[3]};
    } else if (last != nullptr && line.starts_with("     ")) {
      last->text += (last->text.empty() ? "" : " ") + line.substr(line.find_first_not_of(' '));
    } else {
      last = nullptr;
    }
  }
  return entries;
}

/// What bash completes with the program's script, sorted.
class Completion {
 public:
  explicit Completion(const CliFolder& folder) : folder_(folder) {
    const ProcessResult result = folder.run({"completion", "bash"});
    CHECK(result.exit_code == 0);
    std::ofstream(folder / "completion") << result.out;
  }
  /// `words` after the program's name; the last is the one that is begun.
  [[nodiscard]] Words operator()(Words words) const {
    words.insert(words.begin(), {"bash", "-uc",
                                 "source ./completion; COMP_WORDS=(impasto \"$@\"); COMP_CWORD=$#; "
                                 "_impasto impasto \"${COMP_WORDS[COMP_CWORD]}\" "
                                 "\"${COMP_WORDS[COMP_CWORD-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"",
                                 "bash"});
    const ProcessResult result = run_process(words, folder_.options());
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    Words found = lines_of(result.out);
    std::erase(found, "");
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  const CliFolder& folder_;
};

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Words sorted(Words words) {
  std::sort(words.begin(), words.end());
  return words;
}

/// What is typed as it stands.
Words typed_words(const StyleOption& option) {
  Words words;
  for (const Choice& choice : option.value.choices) {
    if (choice.typed == Choice::Typed::kWord) words.push_back(choice.word);
  }
  return words;
}

/// Every option of every command.
std::set<std::string> all_options(const CliFolder& folder) {
  std::set<std::string> names{"version"};
  for (const Words& command : kCommands) {
    for (const auto& [name, entry] : help_of(folder, command)) names.insert(name);
  }
  return names;
}

}  // namespace

TEST_CASE("help of render and plan shows every option with its words and what the default preset says") {
  const CliFolder folder;
  const StyleOptions defaults = make_preset("impasto");
  for (const char* command : {"render", "plan"}) {
    const std::map<std::string, Entry> help = help_of(folder, {command});
    for (const StyleOption& option : option_table()) {
      INFO(command << " --" << option.name);
      REQUIRE(help.contains(option.name));
      const Entry& entry = help.at(option.name);
      INFO(entry.text);
      CHECK(entry.value_name == option.value_name);
      std::string value = option.value.get(defaults);
      if (option.is_flag()) value = value == "true" ? "on" : "off";
      CHECK(entry.text.ends_with(" (" + value + ")"));
      CHECK(entry.text.starts_with(option.help));
      if (option.is_flag()) continue;
      for (const Choice& choice : option.value.choices) {
        const bool file = choice.typed == Choice::Typed::kFile;
        CHECK_THAT(entry.text, ContainsSubstring(file ? choice.meaning : choice.word));
        CHECK_THAT(entry.text, ContainsSubstring(choice.meaning));
      }
    }
  }
}

TEST_CASE("completion knows every command, option and word, and nothing that help does not know") {
  const CliFolder folder;
  const Completion complete(folder);
  CHECK(complete({""}) == Words{"batch", "bench", "devices", "plan", "render", "selftest", "weights"});
  CHECK(complete({"weights", ""}) == Words{"convert", "fetch", "inspect", "list"});
  CHECK(complete({"--"}) == Words{"--help", "--version"});
  for (const Words& command : kCommands) {
    Words names;
    const std::map<std::string, Entry> help = help_of(folder, command);
    for (const auto& [name, entry] : help) names.push_back("--" + name);
    INFO(command.back());
    CHECK(complete(with(command, {"--"})) == sorted(names));
    for (const StyleOption& option : option_table()) {
      if (!help.contains(option.name) || option.is_flag()) continue;
      INFO("--" << option.name);
      CHECK(complete(with(command, {"--" + option.name, ""})) == sorted(typed_words(option)));
    }
  }
}

TEST_CASE("completion goes on from what was begun, wherever the command stands") {
  const CliFolder folder;
  const Completion complete(folder);
  CHECK(complete({"render", "a.png", "b.png", "--optimizer", ""}) == Words{"adam", "gd", "lbfgs"});
  CHECK(complete({"render", "--optimizer", "l"}) == Words{"lbfgs"});
  CHECK(complete({"render", "--sc"}) == Words{"--scales", "--scaling"});
  CHECK(complete({"render", "--init", "plan", "--line-search", ""}) == Words{"none", "wolfe"});
  CHECK(complete({"pl"}) == Words{"plan"});
  Words published;
  for (const KnownWeights& known : known_weights()) published.push_back(known.name);
  published = sorted(published);
  published.erase(std::unique(published.begin(), published.end()), published.end());
  CHECK(complete({"weights", "fetch", ""}) == published);
  CHECK(complete({"weights", "fetch", "--to", ""}).empty());  // names of files
  CHECK(complete({"plan", "--weights", ""}) == published);
  CHECK(complete({"render", "-o", ""}).empty());
  CHECK(complete({"render", ""}).empty());
  CHECK(complete({"render", "a[*", "$(false)", "--progress", ""}) == Words{"auto", "bar", "json", "none"});
  require_failure(folder, {"completion", "fish"}, 2, "SHELL: expected bash, found 'fish'");
}

TEST_CASE("every word that completion offers for the program's own options is taken") {
  const CliFolder folder;
  const Completion complete(folder);
  int words = 0;
  for (const auto& [name, entry] : help_of(folder, {"plan"})) {
    const Words names = option_names();
    if (name == "weights" || std::count(names.begin(), names.end(), name) > 0) continue;
    for (const std::string& word : complete({"plan", "--" + name, ""})) {
      INFO("--" << name << " " << word);
      ++words;
      Words arguments = CliFolder::render({"--" + name, word});
      arguments.front() = "plan";
      CHECK(folder.run(arguments).exit_code == 0);
    }
  }
  CHECK(words == 6);
  std::ofstream(folder / "page.pth") << "<!DOCTYPE html>";
  for (const char* option : {"--network", "--source"}) {
    const Words offered = complete({"weights", "convert", option, ""});
    CHECK(offered.size() >= 2);
    for (const std::string& word : with(offered, {"unheard-of"})) {
      INFO(option << " " << word);
      const int expected = word == "unheard-of" ? 2 : 3;
      CHECK(folder.run({"weights", "convert", "page.pth", "out.h5", option, word}).exit_code == expected);
    }
  }
  for (const std::string& word : complete({"bench", "--network", ""})) {
    require_failure(folder, {"bench", "--network", word, "--sizes", "16", "--repeats", "0"}, 2, "--repeats");
  }
}

TEST_CASE("every option that a message or a help text names is one") {
  const CliFolder folder;
  const std::set<std::string> known = all_options(folder);
  const std::regex literal("\"(?:[^\"\\\\]|\\\\.)*\""), name("(^|[^-a-z])--([a-z][a-z0-9-]*)");
  int found = 0;
  for (const char* room : {"engine", "apps"}) {
    const std::filesystem::path top = std::filesystem::path(IMPASTO_TEST_DATA) / "../.." / room;
    for (const auto& file : std::filesystem::recursive_directory_iterator(top)) {
      if (file.path().extension() != ".cpp" && file.path().extension() != ".h") continue;
      if (file.path().parent_path().filename() == "demo") continue;  // another program
      std::ifstream in(file.path());
      for (std::string line; std::getline(in, line);) {
        for (std::sregex_iterator text(line.begin(), line.end(), literal), end; text != end; ++text) {
          const std::string words = text->str();
          for (std::sregex_iterator at(words.begin(), words.end(), name); at != end; ++at) {
            INFO(file.path().string() << ": " << line);
            CHECK(known.contains((*at)[2]));
            ++found;
          }
        }
      }
    }
  }
  CHECK(found > 20);
}
