#include "apps/completion.h"

#include <vector>

#include "apps/declare.h"
#include "apps/help.h"

namespace impasto::apps {
namespace {

/// What follows is the same for every program: the command is found among the words before the current one;
/// then come the values of options, options, and commands or operands. `words` left empty means names of
/// files.
constexpr const char* kBegin = R"(# Bash completion of impasto, as `impasto completion bash` prints it.
_impasto() {
  local current=$2 previous=$3 command= word words=
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$command $word" in
)";
constexpr const char* kValues = R"() command=${command:+$command }$word ;;
    esac
  done
  case "$command $previous" in
)";
constexpr const char* kNames = R"(    *)
      case "$command/${current:0:1}" in
)";
constexpr const char* kEnd = R"(      esac
      ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -o bashdefault -F _impasto impasto
)";

/// A command as it is typed, without the program's name: "weights fetch".
struct Command {
  std::string words;
  const CLI::App* app;
};

void add_commands(std::vector<Command>& all, const std::string& words, const CLI::App& app) {
  all.push_back({words, &app});
  for (const CLI::App* sub : subcommands(app)) {
    add_commands(all, words + (words.empty() ? "" : " ") + sub->get_name(), *sub);
  }
}

std::string in_quotes(const std::string& text) { return '"' + text + '"'; }

void append(std::string& list, const std::string& item, const std::string& separator) {
  if (!item.empty()) list += (list.empty() ? "" : separator) + item;
}

/// "--output FILE" and "-o FILE": the words of such an option, or none, which leaves names of files.
std::string value_cases(const Command& command) {
  std::string cases;
  for (const CLI::Option* option : command.app->get_options()) {
    if (!option->nonpositional() || option->get_option_text().empty()) continue;
    std::string patterns;
    for (const std::string& name : option->get_snames()) {
      append(patterns, in_quotes(command.words + " -" + name), " | ");
    }
    for (const std::string& name : option->get_lnames()) {
      append(patterns, in_quotes(command.words + " --" + name), " | ");
    }
    cases += "    " + patterns + ") words=" + in_quotes(offered_words(*option)) + " ;;\n";
  }
  return cases;
}

/// The options where a hyphen was begun; else subcommands and what operands take.
std::string name_cases(const Command& command) {
  std::string options, names;
  for (const CLI::Option* option : command.app->get_options()) {
    for (const std::string& name : option->get_lnames()) append(options, "--" + name, " ");
    if (option->get_positional()) append(names, offered_words(*option), " ");
  }
  for (const CLI::App* sub : subcommands(*command.app)) append(names, sub->get_name(), " ");
  std::string cases =
      "        " + in_quotes(command.words + "/-") + ") words=" + in_quotes(options) + " ;;\n";
  if (!names.empty())
    cases += "        " + in_quotes(command.words + "/") + "*) words=" + in_quotes(names) + " ;;\n";
  return cases;
}

}  // namespace

std::string bash_completion(const CLI::App& root) {
  std::vector<Command> commands;
  add_commands(commands, "", root);
  std::string paths, values, names;
  for (const Command& command : commands) {
    const std::string above = command.words.find(' ') == std::string::npos ? " " : "";
    if (!command.words.empty()) append(paths, in_quotes(above + command.words), " | ");
    values += value_cases(command);
    names += name_cases(command);
  }
  return kBegin + ("      " + paths) + kValues + values + kNames + names + kEnd;
}

}  // namespace impasto::apps
