#pragma once
// One option of something that can be told things: how it is named and explained, and how its text is made
// and read. A table of these rows is all that a command line, its help, its manual page, its completion and a
// description are made from.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/options/option_values.h"

namespace impasto {

/// How an option's text is made from an Owner (a struct of options) and read into it.
template <class Owner>
struct OptionValue {
  std::vector<Choice> choices;  ///< the words that it takes, in the order in which people are told of them
  bool others = false;          ///< beside the words it takes other values: numbers, layers
  std::function<std::string(const Owner&)> get;
  /// Throws Error(kUsage) "WHAT: expected ..., found ..." for a text that is none of its values.
  std::function<void(Owner&, const std::string& what, const std::string& text)> set;
};

/// What an option changes.
enum class OptionScope : std::uint8_t {
  kResult,   ///< the result: descriptions hold it
  kMachine,  ///< speed and rounding, not the objective
  kDevice,   ///< the same; it says which device is opened, and how
};

template <class Owner>
struct Option {
  std::string name;        ///< "content-weight"; typed with "--" in front
  std::string group;       ///< heading that it stands under
  std::string value_name;  ///< what help calls its value; empty: a flag, whose values are true and false
  std::string help;        ///< without the choices and the default
  OptionValue<Owner> value;
  OptionScope scope = OptionScope::kResult;
  std::string off{};  ///< what a description from before this option means; empty: all have it
  char letter = 0;    ///< a short name: 'o' for -o
  /// Of the weight of a loss: the option of its layers, "" for a loss of the picture. One must be above 0.
  std::optional<std::string> weighs{};

  [[nodiscard]] bool is_flag() const { return value_name.empty(); }
};

/// Builders of values. `at` maps an Owner, const or not, to its member: a pointer to a member, or a function.
template <class Owner>
struct OptionValues {
  using Value = OptionValue<Owner>;

  template <class At>
  static Value number(At at, Range range) {
    using T = std::remove_cvref_t<decltype(std::invoke(at, std::declval<Owner&>()))>;
    return {{},
            true,
            [at](const Owner& o) { return format_value(std::invoke(at, o)); },
            [at, range](Owner& o, const std::string& what, const std::string& text) {
              std::invoke(at, o) = parse_number<T>(what, text, range);
            }};
  }

  /// A number in range, or a word that stands for the number `means`.
  template <class At, class T>
  static Value number_or(Choice word, T means, At at, Range range) {
    return {{word},
            true,
            [at, word = word.word, means](const Owner& o) {
              return std::invoke(at, o) == means ? word : format_value(std::invoke(at, o));
            },
            [at, word = word.word, means, range](Owner& o, const std::string& what, const std::string& text) {
              std::invoke(at, o) = text == word ? means : parse_number<T>(what, text, range);
            }};
  }

  /// `names` must outlive the value.
  template <class E, class At>
  static Value choice(const Names<E>& names, At at) {
    return {choices_of(names), false,
            [at, &names](const Owner& o) { return name_of(names, std::invoke(at, o)); },
            [at, &names](Owner& o, const std::string& what, const std::string& text) {
              std::invoke(at, o) = parse_name(what, names, text);
            }};
  }

  template <class At>
  static Value boolean(At at) {
    return choice(booleans(), at);
  }

  /// Any text; `choices` are those that can be named, `unset` is what an empty one means to people.
  template <class At>
  static Value text(At at, std::vector<Choice> choices = {}, const std::string& unset = "") {
    return {
        std::move(choices), false,
        [at, unset](const Owner& o) { return std::invoke(at, o).empty() ? unset : std::invoke(at, o); },
        [at](Owner& o, const std::string& /*what*/, const std::string& text) { std::invoke(at, o) = text; }};
  }

  /// One of the choices, kept as text.
  template <class At>
  static Value word(At at, std::vector<Choice> choices) {
    const std::vector<std::string> allowed = words_of(choices);
    return {std::move(choices), false, [at](const Owner& o) { return std::invoke(at, o); },
            [at, allowed](Owner& o, const std::string& what, const std::string& text) {
              std::invoke(at, o) = require_word(what, allowed, text);
            }};
  }
};

}  // namespace impasto
