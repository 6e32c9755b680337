#include "engine/style/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <regex>
#include <set>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace impasto {
namespace {

constexpr std::int64_t kMaxSide = 1'000'000;  // pixels; keeps every element count far from overflow
constexpr int kMaxHistory = 1000;
constexpr double kNoLimit = std::numeric_limits<double>::infinity();

[[noreturn]] void fail(const std::string& what, const std::string& expected, const std::string& found) {
  throw Error(ErrorCode::kUsage, what + ": expected " + expected + ", found '" + found + "'");
}

template <class E>
using Names = std::vector<std::pair<E, std::string>>;

const Names<Scaling> kScalings{
    {Scaling::kRelative, "relative"}, {Scaling::kPaper, "paper"}, {Scaling::kMean, "mean"}};
const Names<TotalVariation> kTotalVariations{
    {TotalVariation::kL2, "l2"}, {TotalVariation::kL1, "l1"}, {TotalVariation::kHalfSum, "half-sum"}};
const Names<Pooling> kPoolings{{Pooling::kMax, "max"}, {Pooling::kAverage, "average"}};
const Names<Init> kInits{{Init::kContent, "content"}, {Init::kNoise, "noise"}, {Init::kPicture, "picture"}};
const Names<OptimizerKind> kOptimizers{{OptimizerKind::kLbfgs, "lbfgs"},
                                       {OptimizerKind::kAdam, "adam"},
                                       {OptimizerKind::kGradientDescent, "gd"}};
const Names<LineSearch> kLineSearches{{LineSearch::kNone, "none"}, {LineSearch::kWolfe, "wolfe"}};
const Names<Preconditioner> kPreconditioners{{Preconditioner::kNone, "none"},
                                             {Preconditioner::kPyramid, "pyramid"}};
const Names<Handover> kHandovers{{Handover::kPicture, "picture"}, {Handover::kChange, "change"}};
const Names<GrainSource> kGrains{{GrainSource::kResult, "result"}, {GrainSource::kStyle, "style"}};
const Names<bool> kBooleans{{true, "true"}, {false, "false"}};

template <class E>
std::string name_of(const Names<E>& names, E value) {
  for (const auto& [key, name] : names) {
    if (key == value) return name;
  }
  return "?";
}

template <class E>
E parse_name(const std::string& what, const Names<E>& names, const std::string& text) {
  std::vector<std::string> allowed;
  for (const auto& [key, name] : names) {
    if (name == text) return key;
    allowed.push_back(name);
  }
  fail(what, any_of(allowed), text);
}

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
std::string format(T value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

/// Numbers from `least` (left out if `open_below`) to `most` (left out if `open_above`).
struct Range {
  double least = 0, most = kNoLimit;
  bool open_below = false, open_above = false;

  [[nodiscard]] bool has(double value) const {
    return (open_below ? value > least : value >= least) && (open_above ? value < most : value <= most);
  }
  [[nodiscard]] std::string describe(const std::string& kind) const {
    std::string text = kind + (open_below ? " above " : " from ") + format_number(least);
    if (most == kNoLimit) return open_below ? text : kind + " of at least " + format_number(least);
    return text + (open_above ? " to below " : " to ") + format_number(most);
  }
};
constexpr Range kAtLeastZero{};
constexpr Range kPositive{.least = 0, .open_below = true};
constexpr Range kBelowOne{.least = 0, .most = 1, .open_above = true};

template <class T>
T parse_number(const std::string& what, const std::string& text, const Range& range) {
  T value{};
  if (!read_number(text, value) || !range.has(static_cast<double>(value))) {
    fail(what, range.describe(std::is_integral_v<T> ? "a whole number" : "a number"), text);
  }
  return value;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + 1) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<LayerWeight> parse_layers(const std::string& what, const std::string& text) {
  static const std::regex form("(relu|conv)[1-9][0-9]?_[1-9][0-9]?");
  std::vector<LayerWeight> layers;
  if (text == "none") return layers;
  std::set<std::string> seen;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    LayerWeight layer{part.substr(0, equals), 1};
    if (!std::regex_match(layer.layer, form)) {
      fail(what, "layers as relu4_2 or relu1_1=1,conv2_1=0.5", text);
    }
    if (equals != std::string::npos) {
      layer.weight = parse_number<double>(what + " " + layer.layer, part.substr(equals + 1), kAtLeastZero);
    }
    if (!seen.insert(layer.layer).second) fail(what, "each layer once", text);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<double> parse_blend(const std::string& what, const std::string& text) {
  std::vector<double> weights;
  if (text == "equal") return weights;
  for (const std::string& part : split(text, ',')) {
    weights.push_back(parse_number<double>(what, part, kAtLeastZero));
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
  if (const auto at = digits.empty() ? std::string::npos : suffixes.find(digits.back());
      at != std::string::npos) {
    unit = std::pow(1024.0, static_cast<double>(at + 1));
    digits.pop_back();
  }
  double value = 0;
  const bool whole = unit > 1 || digits.find_first_not_of("0123456789") == std::string::npos;
  if (!whole || !read_number(digits, value) || value < 0 || value * unit >= 0x1p62) {
    fail(what, "bytes as 500M or 4.5G (suffix K, M, G or none)", text);
  }
  return static_cast<std::int64_t>(value * unit);
}

std::optional<double> parse_rate(const std::string& what, const std::string& text) {
  if (text == "auto") return {};
  double value = 0;
  if (!read_number(text, value) || !kPositive.has(value)) {
    fail(what, "auto or " + kPositive.describe("a number"), text);
  }
  return value;
}

/// One option: how its text is made and read. Both describe() and set_option() are made from these alone.
struct Field {
  std::string name;
  std::function<std::string(const StyleOptions&)> get;
  std::function<void(StyleOptions&, const std::string& what, const std::string& text)> set;
  bool machine = false;  ///< changes speed and rounding, not the objective
  std::string off{};     ///< what a description from before this option means; empty: all have it
};

/// `at` maps options to the member, const or not.
template <class At>
Field number(const std::string& name, At at, Range range) {
  using T = std::remove_cvref_t<decltype(at(std::declval<StyleOptions&>()))>;
  return {name, [at](const StyleOptions& o) { return format(at(o)); },
          [at, range](StyleOptions& o, const std::string& what, const std::string& text) {
            at(o) = parse_number<T>(what, text, range);
          }};
}

template <class E, class At>
Field choice(const std::string& name, const Names<E>& names, At at) {
  return {name, [at, &names](const StyleOptions& o) { return name_of(names, at(o)); },
          [at, &names](StyleOptions& o, const std::string& what, const std::string& text) {
            at(o) = parse_name(what, names, text);
          }};
}

template <class At>
Field layers(const std::string& name, At at) {
  return {name, [at](const StyleOptions& o) { return to_string(at(o)); },
          [at](StyleOptions& o, const std::string& what, const std::string& text) {
            at(o) = parse_layers(what, text);
          }};
}

template <class At>
Field text_field(const std::string& name, At at, std::vector<std::string> allowed) {
  return {name, [at](const StyleOptions& o) { return at(o); },
          [at, allowed](StyleOptions& o, const std::string& what, const std::string& text) {
            if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
              fail(what, any_of(allowed), text);
            }
            at(o) = text;
          }};
}

Field on_machine(Field field) {
  field.machine = true;
  return field;
}

/// An option that came when checkpoints without it were about.
Field later(Field field, const std::string& off) {
  field.off = off;
  return field;
}

#define IMPASTO_AT(member) \
  [](auto& o) -> auto& { return o.member; }

std::vector<Field> make_fields() {
  const Range side{.least = 0, .most = kMaxSide};
  return {
      text_field("preset", IMPASTO_AT(preset), preset_names()),
      number("size", IMPASTO_AT(size), side),
      {"style-size", [](const StyleOptions& o) { return o.style_size == -1 ? "auto" : format(o.style_size); },
       [side](StyleOptions& o, const std::string& what, const std::string& text) {
         o.style_size = text == "auto" ? -1 : parse_number<std::int64_t>(what, text, side);
       }},
      number("style-scale", IMPASTO_AT(style_scale), {.least = 0, .most = 100, .open_below = true}),
      choice("scaling", kScalings, IMPASTO_AT(objective.scaling)),
      number("content-weight", IMPASTO_AT(objective.content_weight), kAtLeastZero),
      number("style-weight", IMPASTO_AT(objective.style_weight), kAtLeastZero),
      number("tv-weight", IMPASTO_AT(objective.tv_weight), kAtLeastZero),
      choice("tv", kTotalVariations, IMPASTO_AT(objective.tv)),
      layers("content-layers", IMPASTO_AT(objective.content_layers)),
      layers("style-layers", IMPASTO_AT(objective.style_layers)),
      choice("normalize-layer-weights", kBooleans, IMPASTO_AT(objective.normalize_layer_weights)),
      {"style-blend", [](const StyleOptions& o) { return format_blend(o.objective.style_blend); },
       [](StyleOptions& o, const std::string& what, const std::string& text) {
         o.objective.style_blend = parse_blend(what, text);
       }},
      choice("pooling", kPoolings, IMPASTO_AT(objective.pooling)),
      choice("init", kInits, IMPASTO_AT(init)),
      number("noise-deviation", IMPASTO_AT(noise_deviation), kAtLeastZero),
      number("seed", IMPASTO_AT(seed), kAtLeastZero),
      choice("optimizer", kOptimizers, IMPASTO_AT(optimizer.kind)),
      {"learning-rate",
       [](const StyleOptions& o) {
         return o.optimizer.learning_rate ? format(*o.optimizer.learning_rate) : "auto";
       },
       [](StyleOptions& o, const std::string& what, const std::string& text) {
         o.optimizer.learning_rate = parse_rate(what, text);
       }},
      number("history", IMPASTO_AT(optimizer.history), {.least = 1, .most = kMaxHistory}),
      choice("line-search", kLineSearches, IMPASTO_AT(optimizer.line_search)),
      choice("preconditioner", kPreconditioners, IMPASTO_AT(optimizer.preconditioner)),
      number("momentum", IMPASTO_AT(optimizer.momentum), kBelowOne),
      number("beta1", IMPASTO_AT(optimizer.beta1), kBelowOne),
      number("beta2", IMPASTO_AT(optimizer.beta2), kBelowOne),
      number("epsilon", IMPASTO_AT(optimizer.epsilon), kPositive),
      choice("clamp", kBooleans, IMPASTO_AT(optimizer.clamp)),
      number("iterations", IMPASTO_AT(iterations), {.least = 1, .most = 1e9}),
      {"coarse-iterations",
       [](const StyleOptions& o) { return o.coarse_iterations == 0 ? "auto" : format(o.coarse_iterations); },
       [](StyleOptions& o, const std::string& what, const std::string& text) {
         o.coarse_iterations = text == "auto" ? 0 : parse_number<int>(what, text, {.least = 1, .most = 1e9});
       }},
      later(number("tolerance", IMPASTO_AT(tolerance), kBelowOne), "0"),
      choice("handover", kHandovers, IMPASTO_AT(handover)),
      later(choice("grain", kGrains, IMPASTO_AT(grain)), "result"),
      {"scales", [](const StyleOptions& o) { return o.min_size > 0 ? "auto" : format(o.num_scales); },
       [](StyleOptions& o, const std::string& what, const std::string& text) {
         if (text == "auto") return;
         o.num_scales = parse_number<int>(what, text, {.least = 1, .most = 20});
         o.min_size = 0;
       }},
      {"min-size", [](const StyleOptions& o) { return format(o.min_size); },
       [side](StyleOptions& o, const std::string& what, const std::string& text) {
         o.min_size = parse_number<std::int64_t>(what, text, side);
         if (o.min_size > 0) o.num_scales = 1;
       }},
      on_machine(text_field("device", IMPASTO_AT(device), {})),  // names are the registry's to know
      on_machine(text_field("precision", IMPASTO_AT(precision),
                            {"auto", "exact", "fp32", "tf32", "bf16", "fp16", "fp64"})),
      on_machine(number("threads", IMPASTO_AT(threads), {.least = 0, .most = 4096})),
      on_machine(choice("autotune", kBooleans, IMPASTO_AT(autotune))),
      on_machine({"memory", [](const StyleOptions& o) { return format(o.memory_bytes); },
                  [](StyleOptions& o, const std::string& what, const std::string& text) {
                    o.memory_bytes = parse_bytes(what, text);
                  }}),
  };
}

#undef IMPASTO_AT

const std::vector<Field>& fields() {
  static const std::vector<Field> all = make_fields();
  return all;
}

bool has_weight(const std::vector<LayerWeight>& layers) {
  return std::any_of(layers.begin(), layers.end(), [](const LayerWeight& l) { return l.weight > 0; });
}

}  // namespace

int iterations_at(const StyleOptions& options, int scale, int num_scales) {
  const bool coarse = scale + 1 < num_scales && options.coarse_iterations > 0;
  return coarse ? options.coarse_iterations : options.iterations;
}

long long iterations_before(const StyleOptions& options, long long scale) {
  return scale * (options.coarse_iterations > 0 ? options.coarse_iterations : options.iterations);
}

void set_option(StyleOptions& options, const std::string& name, const std::string& value) {
  for (const Field& field : fields()) {
    if (field.name == name) return field.set(options, "option --" + name, value);
  }
  fail("option --" + name, any_of(option_names()), name);
}

bool takes_preconditioner(const OptimizerOptions& o) {
  return o.kind == OptimizerKind::kLbfgs && o.line_search == LineSearch::kWolfe && !o.clamp;
}

StyleOptions make_options(const std::string& preset, const std::map<std::string, std::string>& given) {
  StyleOptions options = make_preset(preset);
  const OptimizerKind own = options.optimizer.kind;
  for (const auto& [name, value] : given) set_option(options, name, value);
  if (options.optimizer.kind != own && !given.contains("learning-rate")) {
    options.optimizer.learning_rate.reset();
  }
  if (options.objective.scaling == Scaling::kRelative && !given.contains("line-search")) {
    options.optimizer.line_search = LineSearch::kWolfe;
  }
  const bool counted = given.contains("iterations") || given.contains("coarse-iterations");
  if (counted && !given.contains("tolerance")) options.tolerance = 0;
  if (!takes_preconditioner(options.optimizer)) {
    if (options.optimizer.preconditioner != Preconditioner::kNone && given.contains("preconditioner")) {
      fail("option --preconditioner",
           "none, or beside it --optimizer lbfgs, --line-search wolfe and no --clamp",
           to_string(options.optimizer.preconditioner));
    }
    options.optimizer.preconditioner = Preconditioner::kNone;
  }
  return options;
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const Field& field : fields()) names.push_back(field.name);
  return names;
}

std::map<std::string, std::string> describe(const StyleOptions& options) {
  std::map<std::string, std::string> described;
  for (const Field& field : fields()) {
    if (!field.machine) described[field.name] = field.get(options);
  }
  return described;
}

std::map<std::string, std::string> with_later_options(std::map<std::string, std::string> described) {
  for (const Field& field : fields()) {
    if (!field.off.empty()) described.emplace(field.name, field.off);
  }
  return described;
}

void validate(const StyleOptions& options) {
  // A value is good if its own text can be read back: the ranges stand in one place.
  StyleOptions copy = options;
  for (const Field& field : fields()) field.set(copy, "option --" + field.name, field.get(options));

  const ObjectiveOptions& j = options.objective;
  const bool content = j.content_weight > 0 && has_weight(j.content_layers);
  const bool style = j.style_weight > 0 && has_weight(j.style_layers);
  if (!content && !style && !(j.tv_weight > 0)) {
    fail("options --content-weight, --style-weight, --tv-weight",
         "at least one above 0 with a weighted layer",
         format_number(j.content_weight) + ", " + format_number(j.style_weight) + ", " +
             format_number(j.tv_weight));
  }
  if (!j.style_blend.empty() &&
      std::none_of(j.style_blend.begin(), j.style_blend.end(), [](double w) { return w > 0; })) {
    fail("option --style-blend", "at least one weight above 0", format_blend(j.style_blend));
  }
}

std::string to_string(Scaling value) { return name_of(kScalings, value); }
std::string to_string(TotalVariation value) { return name_of(kTotalVariations, value); }
std::string to_string(Pooling value) { return name_of(kPoolings, value); }
std::string to_string(Init value) { return name_of(kInits, value); }
std::string to_string(OptimizerKind value) { return name_of(kOptimizers, value); }
std::string to_string(LineSearch value) { return name_of(kLineSearches, value); }
std::string to_string(Preconditioner value) { return name_of(kPreconditioners, value); }
std::string to_string(Handover value) { return name_of(kHandovers, value); }
std::string to_string(GrainSource value) { return name_of(kGrains, value); }

std::string to_string(const std::vector<LayerWeight>& layers) {
  std::string text;
  for (const LayerWeight& layer : layers) {
    text += (text.empty() ? "" : ",") + layer.layer + "=" + format_number(layer.weight);
  }
  return layers.empty() ? "none" : text;
}

Scaling parse_scaling(const std::string& text) { return parse_name("option --scaling", kScalings, text); }
TotalVariation parse_total_variation(const std::string& text) {
  return parse_name("option --tv", kTotalVariations, text);
}
Pooling parse_pooling(const std::string& text) { return parse_name("option --pooling", kPoolings, text); }
Init parse_init(const std::string& text) { return parse_name("option --init", kInits, text); }
OptimizerKind parse_optimizer(const std::string& text) {
  return parse_name("option --optimizer", kOptimizers, text);
}
LineSearch parse_line_search(const std::string& text) {
  return parse_name("option --line-search", kLineSearches, text);
}
std::vector<LayerWeight> parse_layer_weights(const std::string& text) { return parse_layers("layers", text); }

}  // namespace impasto
