#include "engine/options/option_values.h"

#include <algorithm>
#include <regex>
#include <set>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace impasto {
void refuse_value(const std::string& what, const std::string& expected, const std::string& found) {
  throw Error(ErrorCode::kUsage, what + ": expected " + expected + ", found '" + found + "'");
}

std::vector<Choice> to_choices(const std::vector<std::string>& words) {
  std::vector<Choice> choices;
  for (const std::string& word : words) choices.push_back({word});
  return choices;
}

std::vector<std::string> words_of(const std::vector<Choice>& choices) {
  std::vector<std::string> words;
  for (const Choice& choice : choices) words.push_back(choice.word);
  return words;
}

std::string help_text(const std::string& help, const std::vector<Choice>& choices, bool others) {
  std::string text = help;
  if (others) {
    for (const Choice& choice : choices) text += "; " + choice.word + ": " + choice.meaning;
    return text;
  }
  std::vector<std::string> list;
  for (const Choice& choice : choices) {
    if (choice.typed == Choice::Typed::kFile) {
      list.push_back(choice.meaning);
    } else {
      list.push_back(choice.word + (choice.meaning.empty() ? "" : " (" + choice.meaning + ")"));
    }
  }
  if (!list.empty()) text += (text.empty() ? "" : ": ") + any_of(list);
  return text;
}

const Names<bool>& booleans() {
  static const Names<bool> names{{true, {"true"}}, {false, {"false"}}};
  return names;
}

const std::string& require_word(const std::string& what, const std::vector<std::string>& allowed,
                                const std::string& text) {
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
    refuse_value(what, any_of(allowed), text);
  }
  return text;
}

bool Range::has(double value) const {
  return (open_below ? value > least : value >= least) && (open_above ? value < most : value <= most);
}

std::string Range::describe(const std::string& kind) const {
  const std::string from = kind + (open_below ? " above " : " from ") + format_number(least);
  if (most < std::numeric_limits<double>::infinity()) {
    return from + (open_above ? " to below " : " to ") + format_number(most);
  }
  return open_below ? from : kind + " of at least " + format_number(least);
}

std::optional<double> parse_rate(const std::string& what, const std::string& text) {
  if (text == "auto") return {};
  double value = 0;
  if (!read_number(text, value) || !kPositive.has(value)) {
    refuse_value(what, "auto or " + kPositive.describe("a number"), text);
  }
  return value;
}

std::string format_rate(const std::optional<double>& rate) { return rate ? format_value(*rate) : "auto"; }

std::vector<LayerWeight> parse_layers(const std::string& what, const std::string& text) {
  static const std::regex form("(relu|conv)[1-9][0-9]?_[1-9][0-9]?");
  std::vector<LayerWeight> layers;
  if (text == "none") return layers;
  std::set<std::string> seen;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    LayerWeight layer{part.substr(0, equals), 1};
    if (!std::regex_match(layer.layer, form)) {
      refuse_value(what, "layers as relu4_2 or relu1_1=1,conv2_1=0.5", text);
    }
    if (equals != std::string::npos) {
      layer.weight = parse_number<double>(what + " " + layer.layer, part.substr(equals + 1), kWeight);
    }
    if (!seen.insert(layer.layer).second) refuse_value(what, "each layer once", text);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::string format_layers(const std::vector<LayerWeight>& layers) {
  std::string text;
  for (const LayerWeight& layer : layers) {
    text += (text.empty() ? "" : ",") + layer.layer + "=" + format_number(layer.weight);
  }
  return layers.empty() ? "none" : text;
}

std::vector<double> parse_blend(const std::string& what, const std::string& text) {
  std::vector<double> weights;
  if (text == "equal") return weights;
  for (const std::string& part : split(text, ',')) {
    weights.push_back(parse_number<double>(what, part, kWeight));
  }
  return weights;
}

std::string format_blend(const std::vector<double>& weights) {
  std::string text;
  for (const double weight : weights) text += (text.empty() ? "" : ",") + format_number(weight);
  return weights.empty() ? "equal" : text;
}

std::int64_t parse_bytes(const std::string& what, const std::string& text) {
  std::string digits = text;
  double unit = 1;
  const std::string suffixes = "KMG";
  const std::size_t at = text.size() - (text.ends_with("iB") ? 3 : 1);  // GiB: as plans say it
  if (const std::size_t power = at < text.size() ? suffixes.find(text[at]) : suffixes.npos;
      power != suffixes.npos) {
    unit = std::pow(1024.0, static_cast<double>(power + 1));
    digits.resize(at);
  }
  double value = 0;
  const bool whole = unit > 1 || digits.find_first_not_of("0123456789") == std::string::npos;
  if (!whole || !read_number(digits, value) || value < 0 || value * unit >= 0x1p62) {
    refuse_value(what, "bytes as 500M or 4.5G (suffix K, M, G or none)", text);
  }
  return static_cast<std::int64_t>(value * unit);
}

}  // namespace impasto
