#pragma once
// Completion in shells, from the same declarations as --help.
#include <string>

namespace CLI {
class App;
}

namespace impasto::apps {

/// A script for bash: the commands of `root`, their options, and the words that operands and options take.
[[nodiscard]] std::string bash_completion(const CLI::App& root);

}  // namespace impasto::apps
