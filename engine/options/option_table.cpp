#include "engine/options/option_table.h"

#include <algorithm>
#include <utility>

namespace impasto {
namespace {

constexpr double kMaxSide = 1'000'000;  // pixels; keeps every element count far from overflow
constexpr double kMaxHistory = 1000;
constexpr double kMaxIterations = 1e9;
constexpr double kMaxScales = 20;
constexpr double kMaxThreads = 4096;

constexpr const char* kSizes = "Sizes";
constexpr const char* kOptimiser = "Start and optimiser";

const Names<Scaling> kScalings{
    {Scaling::kRelative, {"relative"}}, {Scaling::kPaper, {"paper"}}, {Scaling::kMean, {"mean"}}};
const Names<TotalVariation> kTotalVariations{
    {TotalVariation::kL2, {"l2"}}, {TotalVariation::kL1, {"l1"}}, {TotalVariation::kHalfSum, {"half-sum"}}};
const Names<Pooling> kPoolings{{Pooling::kMax, {"max"}}, {Pooling::kAverage, {"average"}}};
const Names<Init> kInits{{Init::kContent, {"content"}},
                         {Init::kNoise, {"noise"}},
                         {Init::kPicture, {"picture", "the picture in a file", Choice::Typed::kFile}}};
const Names<OptimizerKind> kOptimizers{{OptimizerKind::kLbfgs, {"lbfgs"}},
                                       {OptimizerKind::kAdam, {"adam"}},
                                       {OptimizerKind::kGradientDescent, {"gd", "gradient descent"}}};
const Names<LineSearch> kLineSearches{{LineSearch::kNone, {"none", "steps as torch.optim.LBFGS"}},
                                      {LineSearch::kWolfe, {"wolfe"}}};
const Names<Preconditioner> kPreconditioners{
    {Preconditioner::kNone, {"none"}},
    {Preconditioner::kPyramid, {"pyramid", "favours coarse features in each step"}}};
const Names<Handover> kHandovers{
    {Handover::kPicture, {"picture"}},
    {Handover::kChange, {"change", "to where it began, which keeps the content's detail"}}};
const Names<GrainSource> kGrains{{GrainSource::kResult, {"result", "as the optimiser left it"}},
                                 {GrainSource::kStyle, {"style", "with the energy that the style's has"}}};

using Of = OptionValues<StyleOptions>;
using Value = OptionValue<StyleOptions>;

template <class At>
Value layers(At at) {
  return {{{"none", "without this loss"}},
          true,
          [at](const StyleOptions& o) { return format_layers(at(o)); },
          [at](StyleOptions& o, const std::string& what, const std::string& text) {
            at(o) = parse_layers(what, text);
          }};
}

Value blend() {
  return {{{"equal", "as much of each"}},
          true,
          [](const StyleOptions& o) { return format_blend(o.objective.style_blend); },
          [](StyleOptions& o, const std::string& what, const std::string& text) {
            o.objective.style_blend = parse_blend(what, text);
          }};
}

Value learning_rate() {
  return {{{"auto", "1 for adam and lbfgs, and gd finds its steps itself"}},
          true,
          [](const StyleOptions& o) { return format_rate(o.optimizer.learning_rate); },
          [](StyleOptions& o, const std::string& what, const std::string& text) {
            o.optimizer.learning_rate = parse_rate(what, text);
          }};
}

/// A number puts the smallest size out of use; auto leaves it as it is.
Value scales() {
  return {{{"auto", "as many as --min-size allows"}},
          true,
          [](const StyleOptions& o) { return o.min_size > 0 ? "auto" : format_value(o.num_scales); },
          [](StyleOptions& o, const std::string& what, const std::string& text) {
            if (text == "auto") return;
            o.num_scales = parse_number<int>(what, text, {.least = 1, .most = kMaxScales});
            o.min_size = 0;
          }};
}

/// And a smallest size puts the number of scales out of use.
Value min_size() {
  return {{},
          true,
          [](const StyleOptions& o) { return format_value(o.min_size); },
          [](StyleOptions& o, const std::string& what, const std::string& text) {
            o.min_size = parse_number<std::int64_t>(what, text, {.least = 0, .most = kMaxSide});
            if (o.min_size > 0) o.num_scales = 1;
          }};
}

Value memory() {
  return {{},
          true,
          [](const StyleOptions& o) { return format_value(o.memory_bytes); },
          [](StyleOptions& o, const std::string& what, const std::string& text) {
            o.memory_bytes = parse_bytes(what, text);
          }};
}

StyleOption on_machine(OptionScope scope, StyleOption option) {
  option.group = kMachineGroup;
  option.scope = scope;
  return option;
}

/// An option that came when checkpoints without it were about.
StyleOption later(StyleOption option, const std::string& off) {
  option.off = off;
  return option;
}

/// The weight of a loss.
StyleOption weight_of(const std::string& layers, StyleOption option) {
  option.weighs = layers;
  return option;
}

std::vector<StyleOption> join(std::vector<std::vector<StyleOption>> parts) {
  std::vector<StyleOption> all;
  for (std::vector<StyleOption>& part : parts) {
    std::move(part.begin(), part.end(), std::back_inserter(all));
  }
  return all;
}

#define IMPASTO_AT(member) \
  [](auto& o) -> auto& { return o.member; }

std::vector<StyleOption> objective_rows() {
  return {
      {"preset", kObjectiveGroup, "NAME",
       "sets options as a published work has them; those given beside it win",
       Of::word(IMPASTO_AT(preset), to_choices(preset_names()))},
      weight_of("content-layers", {"content-weight", kObjectiveGroup, "ALPHA", "weight of the content loss",
                                   Of::number(IMPASTO_AT(objective.content_weight), kWeight)}),
      weight_of("style-layers", {"style-weight", kObjectiveGroup, "BETA", "weight of the style loss",
                                 Of::number(IMPASTO_AT(objective.style_weight), kWeight)}),
      weight_of("", {"tv-weight", kObjectiveGroup, "TAU", "weight of the total variation",
                     Of::number(IMPASTO_AT(objective.tv_weight), kWeight)}),
      {"tv", kObjectiveGroup, "KIND", "total variation",
       Of::choice(kTotalVariations, IMPASTO_AT(objective.tv))},
      {"scaling", kObjectiveGroup, "KIND", "how layer losses are scaled",
       Of::choice(kScalings, IMPASTO_AT(objective.scaling))},
      {"content-layers", kObjectiveGroup, "LAYERS", "as relu4_2 or relu4_1=1,conv5_1=0.5",
       layers(IMPASTO_AT(objective.content_layers))},
      {"style-layers", kObjectiveGroup, "LAYERS", "the same for the style loss",
       layers(IMPASTO_AT(objective.style_layers))},
      {"normalize-layer-weights", kObjectiveGroup, "BOOL", "divide the layers' weights by their sum",
       Of::boolean(IMPASTO_AT(objective.normalize_layer_weights))},
      {"style-blend", kObjectiveGroup, "W,W,...", "weights of several style pictures", blend()},
      {"pooling", kObjectiveGroup, "KIND", "", Of::choice(kPoolings, IMPASTO_AT(objective.pooling))},
  };
}

std::vector<StyleOption> size_rows() {
  const Range side{.least = 0, .most = kMaxSide};
  return {
      {"size", kSizes, "PX", "long side of the result in pixels; 0: the content's own",
       Of::number_or({"max", "the largest that fits the memory"}, StyleOptions::kLargest, IMPASTO_AT(size),
                     side)},
      {"style-size", kSizes, "PX", "long side of the style pictures in pixels; 0: their own",
       Of::number_or({"auto", "as the result's, times --style-scale"}, std::int64_t{-1},
                     IMPASTO_AT(style_size), side)},
      {"style-scale", kSizes, "FACTOR", "size of the style's features relative to the result",
       Of::number(IMPASTO_AT(style_scale), {.least = 0, .most = 100, .open_below = true})},
      {"scales", kSizes, "N", "render from coarse to fine at N sizes, each twice the one before", scales()},
      {"min-size", kSizes, "PX", "smallest long side of a coarse scale in pixels; 0: use --scales",
       min_size()},
  };
}

std::vector<StyleOption> run_rows() {
  const Range count{.least = 1, .most = kMaxIterations};
  return {
      {"init", kOptimiser, "START", "start from", Of::choice(kInits, IMPASTO_AT(init))},
      {"seed", kOptimiser, "N", "of the noise", Of::number(IMPASTO_AT(seed), kAtLeastZero)},
      {"noise-deviation", kOptimiser, "SIGMA",
       "Gaussian noise of this deviation in 0..255 pixel units around the mean colour; 0: uniform noise",
       Of::number(IMPASTO_AT(noise_deviation), kAtLeastZero)},
      {"optimizer", kOptimiser, "KIND", "", Of::choice(kOptimizers, IMPASTO_AT(optimizer.kind))},
      {"iterations", kOptimiser, "N", "evaluations of loss and gradient at each scale",
       Of::number(IMPASTO_AT(iterations), count)},
      {"coarse-iterations", kOptimiser, "N", "the same at each scale before the last",
       Of::number_or({"auto", "as --iterations"}, 0, IMPASTO_AT(coarse_iterations), count)},
      later({"tolerance", kOptimiser, "T",
             "stop a scale when the loss falls by less than this share over ten evaluations; 0: never",
             Of::number(IMPASTO_AT(tolerance), kBelowOne)},
            "0"),
      {"handover", kOptimiser, "WHAT", "what a scale hands to the next",
       Of::choice(kHandovers, IMPASTO_AT(handover))},
      later({"grain", kOptimiser, "WHOSE", "finest detail of the picture",
             Of::choice(kGrains, IMPASTO_AT(grain))},
            "result"),
  };
}

std::vector<StyleOption> optimizer_rows() {
  return {
      {"learning-rate", kOptimiser, "RATE",
       "a number is adam's step in grey levels (0..255), gd's RATE in x = x - RATE v, lbfgs' factor of the "
       "step",
       learning_rate()},
      {"history", kOptimiser, "N", "lbfgs: pairs of vectors kept",
       Of::number(IMPASTO_AT(optimizer.history), {.least = 1, .most = kMaxHistory})},
      {"line-search", kOptimiser, "KIND", "lbfgs",
       Of::choice(kLineSearches, IMPASTO_AT(optimizer.line_search))},
      {"preconditioner", kOptimiser, "KIND", "lbfgs with wolfe",
       Of::choice(kPreconditioners, IMPASTO_AT(optimizer.preconditioner))},
      {"momentum", kOptimiser, "MU",
       "gd: v = MU v + gradient, x = x - RATE v; learning rate auto: each move goes on by MU of the one "
       "before while the loss falls",
       Of::number(IMPASTO_AT(optimizer.momentum), kBelowOne)},
      {"beta1", kOptimiser, "B", "adam: decay of the mean gradient",
       Of::number(IMPASTO_AT(optimizer.beta1), kBelowOne)},
      {"beta2", kOptimiser, "B", "adam: decay of the mean squared gradient",
       Of::number(IMPASTO_AT(optimizer.beta2), kBelowOne)},
      {"epsilon", kOptimiser, "E", "adam: added to the root",
       Of::number(IMPASTO_AT(optimizer.epsilon), kPositive)},
      {"clamp", kOptimiser, "", "keep pixels displayable after every step, not only in the written picture",
       Of::boolean(IMPASTO_AT(optimizer.clamp))},
  };
}

std::vector<StyleOption> machine_rows() {
  using enum OptionScope;
  return {
      // What the names open, and which devices offer which precision, is for devices.h to know.
      on_machine(kDevice, {"device", "", "NAME", "",
                           Of::text(IMPASTO_AT(device), {{"auto", "CUDA if usable, else the CPU"},
                                                         {"cpu"},
                                                         {"cuda"},
                                                         {"cuda:N", "", Choice::Typed::kPattern},
                                                         {"reference"}})}),
      on_machine(kDevice,
                 {"precision", "", "KIND", "as the device offers",
                  Of::word(IMPASTO_AT(precision), {{"auto", "the fastest that keeps the documented error"},
                                                   {"exact"},
                                                   {"fp32"},
                                                   {"tf32"},
                                                   {"bf16"},
                                                   {"fp16"},
                                                   {"fp64"}})}),
      on_machine(kDevice, {"threads", "", "N", "of the CPU; 0: the cores that this process may use",
                           Of::number(IMPASTO_AT(threads), {.least = 0, .most = kMaxThreads})}),
      on_machine(kDevice, {"autotune", "", "",
                           "time the device's ways of convolution instead of taking the first; kept in the "
                           "user's cache folder. The ways differ in last bits: with another cache the "
                           "picture is another",
                           Of::boolean(IMPASTO_AT(autotune))}),
      on_machine(kMachine,
                 {"memory", "", "BYTES",
                  "budget on the device, with suffix K, M or G; 0: what is free, less a margin", memory()}),
  };
}

#undef IMPASTO_AT

}  // namespace

const std::vector<StyleOption>& option_table() {
  static const std::vector<StyleOption> all =
      join({objective_rows(), size_rows(), run_rows(), optimizer_rows(), machine_rows()});
  return all;
}

const StyleOption& find_option(const std::string& name) {
  for (const StyleOption& option : option_table()) {
    if (option.name == name) return option;
  }
  refuse_value("option --" + name, any_of(option_names()), name);
}

std::string to_string(Scaling value) { return name_of(kScalings, value); }
std::string to_string(TotalVariation value) { return name_of(kTotalVariations, value); }
std::string to_string(Init value) { return name_of(kInits, value); }
std::string to_string(OptimizerKind value) { return name_of(kOptimizers, value); }
std::string to_string(LineSearch value) { return name_of(kLineSearches, value); }
std::string to_string(Preconditioner value) { return name_of(kPreconditioners, value); }

}  // namespace impasto
