#include "apps/declare.h"

#include "engine/network/weights.h"

namespace impasto::apps {
// The words stand in the place of CLI11's type name, which help does not show.
void offer(CLI::Option& option, const std::vector<Choice>& choices) {
  std::string words;
  for (const Choice& choice : choices) {
    if (choice.typed == Choice::Typed::kWord) words += (words.empty() ? "" : " ") + choice.word;
  }
  option.type_name(words);
}
std::string offered_words(const CLI::Option& option) { return option.get_type_name(); }

CLI::Option* declare(CLI::App& app, const Declaration& row,
                     const std::function<void(const std::string&)>& set) {
  CLI::Option* option = nullptr;
  if (row.value_name.empty()) {
    option = app.add_flag_function(
        row.names, [set](std::int64_t count) { set(count > 0 ? "true" : "false"); }, row.help);
  } else {
    option = app.add_option_function<std::string>(row.names, set, row.help)->option_text(row.value_name);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    offer(*option, row.choices);
  }
  return option->group(row.group);
}

std::vector<Choice> weight_names() {
  std::vector<Choice> names;
  for (const KnownWeights& known : known_weights()) {
    if (names.empty() || names.back().word != known.name) names.push_back({known.name});
  }
  return names;
}

}  // namespace impasto::apps
