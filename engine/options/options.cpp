#include "engine/options/options.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/options/option_table.h"

namespace impasto {
namespace {

bool has_weighted_layer(const StyleOptions& options, const std::string& option) {
  const std::string text = find_option(option).value.get(options);
  const std::vector<LayerWeight> layers = parse_layers("option --" + option, text);
  return std::any_of(layers.begin(), layers.end(), [](const LayerWeight& l) { return l.weight > 0; });
}

/// Error(kUsage) where no loss has a weight.
void require_a_loss(const StyleOptions& options) {
  std::string names, weights;
  for (const StyleOption& option : option_table()) {
    if (!option.weighs) continue;
    const std::string weight = option.value.get(options);
    const bool above = parse_number<double>("option --" + option.name, weight, {}) > 0;
    if (above && (option.weighs->empty() || has_weighted_layer(options, *option.weighs))) return;
    names += (names.empty() ? "options --" : ", --") + option.name;
    weights += (weights.empty() ? "" : ", ") + weight;
  }
  refuse_value(names, "at least one above 0 with a weighted layer", weights);
}

}  // namespace

int iterations_at(const StyleOptions& options, int scale, int num_scales) {
  const bool coarse = scale + 1 < num_scales && options.coarse_iterations > 0;
  return coarse ? options.coarse_iterations : options.iterations;
}

long long iterations_before(const StyleOptions& options, long long scale) {
  return scale * (options.coarse_iterations > 0 ? options.coarse_iterations : options.iterations);
}

bool takes_preconditioner(const OptimizerOptions& o) {
  return o.kind == OptimizerKind::kLbfgs && o.line_search == LineSearch::kWolfe && !o.clamp;
}

void set_option(StyleOptions& options, const std::string& name, const std::string& value) {
  find_option(name).value.set(options, "option --" + name, value);
}

StyleOptions make_options(const std::string& preset, const std::map<std::string, std::string>& given) {
  const auto is_given = [&](const std::string& name) { return given.contains(find_option(name).name); };
  const auto says = [&](const std::string& name, const std::string& other) {
    return is_given(name) && given.at(name) != other;
  };
  if (says("scales", "auto") && says("min-size", "0")) {
    throw Error(ErrorCode::kUsage, "options --scales, --min-size: expected one of them, found both");
  }
  StyleOptions options = make_preset(preset);
  const OptimizerKind own = options.optimizer.kind;
  for (const auto& [name, value] : given) set_option(options, name, value);
  if (options.optimizer.kind != own && !is_given("learning-rate")) options.optimizer.learning_rate.reset();
  if (options.objective.scaling == Scaling::kRelative && !is_given("line-search")) {
    options.optimizer.line_search = LineSearch::kWolfe;
  }
  const bool counted = is_given("iterations") || is_given("coarse-iterations");
  if (counted && !is_given("tolerance")) options.tolerance = 0;
  if (!takes_preconditioner(options.optimizer)) {
    if (options.optimizer.preconditioner != Preconditioner::kNone && is_given("preconditioner")) {
      refuse_value("option --preconditioner",
                   "none, or beside it --optimizer lbfgs, --line-search wolfe and no --clamp",
                   to_string(options.optimizer.preconditioner));
    }
    options.optimizer.preconditioner = Preconditioner::kNone;
  }
  return options;
}

StyleOptions make_options(std::map<std::string, std::string> given) {
  const auto preset = given.extract(find_option("preset").name);
  return make_options(preset ? preset.mapped() : StyleOptions().preset, given);
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const StyleOption& option : option_table()) names.push_back(option.name);
  return names;
}

std::map<std::string, std::string> describe(const StyleOptions& options) {
  std::map<std::string, std::string> described;
  for (const StyleOption& option : option_table()) {
    if (option.scope == OptionScope::kResult) described[option.name] = option.value.get(options);
  }
  return described;
}

std::map<std::string, std::string> with_later_options(std::map<std::string, std::string> described) {
  for (const StyleOption& option : option_table()) {
    if (!option.off.empty()) described.emplace(option.name, option.off);
  }
  return described;
}

void validate(const StyleOptions& options) {
  // A value is good if its own text can be read back: the ranges stand in one place.
  StyleOptions copy = options;
  for (const StyleOption& option : option_table()) {
    option.value.set(copy, "option --" + option.name, option.value.get(options));
  }

  const ObjectiveOptions& j = options.objective;
  require_a_loss(options);
  if (!j.style_blend.empty() &&
      std::none_of(j.style_blend.begin(), j.style_blend.end(), [](double w) { return w > 0; })) {
    refuse_value("option --style-blend", "at least one weight above 0", format_blend(j.style_blend));
  }
}

}  // namespace impasto
