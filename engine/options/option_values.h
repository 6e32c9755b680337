#pragma once
// The values of options as text, and back: numbers in a range, words, lists of layers and of weights, bytes.
// What cannot be read is Error(kUsage) "WHAT: expected ..., found 'TEXT'"; what was read is written so that
// it reads back exactly.
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include "engine/core/text.h"
#include "engine/options/options.h"

namespace impasto {

[[noreturn]] void refuse_value(const std::string& what, const std::string& expected,
                               const std::string& found);

/// A word that an option takes, as people are told of it.
struct Choice {
  enum class Typed : std::uint8_t {
    kWord,     ///< as it stands
    kPattern,  ///< a word of this form: cuda:N
    kFile,     ///< the name of a file is typed in its place; `meaning` says of what
  };
  std::string word;
  std::string meaning{};  ///< empty: the word says it
  Typed typed = Typed::kWord;
};

[[nodiscard]] std::vector<Choice> to_choices(const std::vector<std::string>& words);
[[nodiscard]] std::vector<std::string> words_of(const std::vector<Choice>& choices);

/// The help and what it says of the words: "total variation: l2, l1 or half-sum"; where they stand beside
/// other values each is explained: "weights of the styles; equal: as much of each".
[[nodiscard]] std::string help_text(const std::string& help, const std::vector<Choice>& choices, bool others);

/// The values of an enumeration with their words.
template <class E>
struct Named {
  E value;
  Choice choice;
};
template <class E>
using Names = std::vector<Named<E>>;

[[nodiscard]] const Names<bool>& booleans();

template <class E>
std::vector<Choice> choices_of(const Names<E>& names) {
  std::vector<Choice> choices;
  for (const Named<E>& name : names) choices.push_back(name.choice);
  return choices;
}

/// "?" for a value that has no name.
template <class E>
std::string name_of(const Names<E>& names, E value) {
  for (const Named<E>& name : names) {
    if (name.value == value) return name.choice.word;
  }
  return "?";
}

template <class E>
E parse_name(const std::string& what, const Names<E>& names, const std::string& text) {
  for (const Named<E>& name : names) {
    if (name.choice.word == text) return name.value;
  }
  refuse_value(what, any_of(words_of(choices_of(names))), text);
}

/// The text, if it is one of `allowed`.
[[nodiscard]] const std::string& require_word(const std::string& what,
                                              const std::vector<std::string>& allowed,
                                              const std::string& text);

/// Numbers from `least` (left out if `open_below`) to `most` (left out if `open_above`).
struct Range {
  double least = 0, most = std::numeric_limits<double>::infinity();
  bool open_below = false, open_above = false;

  [[nodiscard]] bool has(double value) const;
  [[nodiscard]] std::string describe(const std::string& kind) const;
};
inline constexpr Range kAtLeastZero{};
/// Weights of losses and layers: what float32 can still hold as a gradient, and many together as a sum.
inline constexpr Range kWeight{.least = 0, .most = 1e36};
inline constexpr Range kPositive{.least = 0, .open_below = true};
inline constexpr Range kBelowOne{.least = 0, .most = 1, .open_above = true};

/// The whole text as one finite number.
template <class T>
bool read_number(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return false;
  if constexpr (std::is_floating_point_v<T>) return std::isfinite(value);
  return true;
}

template <class T>
T parse_number(const std::string& what, const std::string& text, const Range& range) {
  T value{};
  if (!read_number(text, value) || !range.has(static_cast<double>(value))) {
    refuse_value(what, range.describe(std::is_integral_v<T> ? "a whole number" : "a number"), text);
  }
  return value;
}

template <class T>
std::string format_value(T value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

/// "auto": none; else a number above 0.
[[nodiscard]] std::optional<double> parse_rate(const std::string& what, const std::string& text);
[[nodiscard]] std::string format_rate(const std::optional<double>& rate);

/// "relu4_2" or "relu1_1=1,relu2_1=0.5,..." (weight 1 where none is given), or "none". Names are checked in
/// form only (reluX_Y, convX_Y), each may stand once.
[[nodiscard]] std::vector<LayerWeight> parse_layers(const std::string& what, const std::string& text);
[[nodiscard]] std::string format_layers(const std::vector<LayerWeight>& layers);

/// "equal": none; else weights between commas.
[[nodiscard]] std::vector<double> parse_blend(const std::string& what, const std::string& text);
[[nodiscard]] std::string format_blend(const std::vector<double>& weights);

/// "500M", "4.5G": suffix K, M or G (powers of 1024), or none.
[[nodiscard]] std::int64_t parse_bytes(const std::string& what, const std::string& text);

}  // namespace impasto
