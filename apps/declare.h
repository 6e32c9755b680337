#pragma once
// Rows of option tables as options of a command line. Help, manual page and completion are made from what is
// declared here.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/text.h"
#include "engine/options/option.h"

namespace impasto::apps {

/// The group of options in a command that has no other; --help is one of them.
inline constexpr const char* kOptions = "Options";

/// What a command line has to know of a row.
struct Declaration {
  std::string names;  ///< "-o,--output"
  std::string group;
  std::string value_name;  ///< empty: a flag
  std::string help;        ///< with choices and default
  std::vector<Choice> choices;
};

/// The default is what `owner` holds; in help a flag is on or off.
template <class Owner>
Declaration declaration(const Option<Owner>& row, const Owner& owner) {
  const std::string letter = row.letter == 0 ? "" : std::string("-") + row.letter + ",";
  std::string value = row.value.get(owner);
  if (row.is_flag()) value = value == "true" ? "on" : "off";
  std::string help =
      help_text(row.help, row.is_flag() ? std::vector<Choice>{} : row.value.choices, row.value.others);
  if (!value.empty()) help += " (" + value + ")";
  return {letter + "--" + row.name, row.group, row.value_name, help, row.value.choices};
}

/// Keeps the words that can be given, for completion.
void offer(CLI::Option& option, const std::vector<Choice>& choices);
/// These words, between blanks.
[[nodiscard]] std::string offered_words(const CLI::Option& option);

/// `set` gets the text that was given, the last one where it was given more than once; "true" or "false" of a
/// flag.
CLI::Option* declare(CLI::App& app, const Declaration& row,
                     const std::function<void(const std::string&)>& set);

/// What is given is read into `owner`, which must outlive the parse.
template <class Owner>
CLI::Option* declare(CLI::App& app, const Option<Owner>& row, Owner& owner) {
  return declare(app, declaration(row, owner),
                 [&owner, set = row.value.set, what = "option --" + row.name](const std::string& text) {
                   set(owner, what, text);
                 });
}
template <class Owner>
void declare(CLI::App& app, const std::vector<Option<Owner>>& rows, Owner& owner) {
  for (const Option<Owner>& row : rows) declare(app, row, owner);
}

/// An operand that must be there: a string, or several where `value` is a vector. What is none of the choices
/// is left to the command.
template <class T>
void declare_operand(CLI::App& app, const std::string& name, T& value, const std::string& help,
                     const std::vector<Choice>& choices = {}) {
  offer(*app.add_option(name, value, help_text(help, choices, false))->required(), choices);
}

/// The names of published weights.
[[nodiscard]] std::vector<Choice> weight_names();

/// An integer from `lower` to `upper`, as parse_integer() reads it.
template <class Owner, class At>
OptionValue<Owner> integer(At at, std::int64_t lower, std::int64_t upper) {
  return {{},
          true,
          [at](const Owner& o) { return std::to_string(std::invoke(at, o)); },
          [at, lower, upper](Owner& o, const std::string& what, const std::string& text) {
            using T = std::remove_cvref_t<decltype(std::invoke(at, o))>;
            std::invoke(at, o) = static_cast<T>(parse_integer(what, text, lower, upper));
          }};
}

}  // namespace impasto::apps
