#pragma once
// How options are shown: --help, and the manual page from the same declarations.
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace impasto::apps {

/// Groups of options in two columns, wrapped at 100.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

/// The commands of a program, or of a command, that are shown: those whose group has a name.
[[nodiscard]] std::vector<const CLI::App*> subcommands(const CLI::App& app);

/// impasto.1 in man(7) macros: every subcommand and option of `root`.
[[nodiscard]] std::string man_page(const CLI::App& root, const std::string& version);

/// Is a command missing (of the program or of a subcommand that has some) and nothing else wrong? Then help
/// says more than an error.
[[nodiscard]] bool lacks_only_a_command(const CLI::App& root, const CLI::ParseError& error);

/// One line for what a parser found wrong: "--sice: expected an option of 'impasto render', found none of
/// that name (perhaps --size)".
[[nodiscard]] std::string explain(const CLI::App& root, const CLI::ParseError& error);

}  // namespace impasto::apps
