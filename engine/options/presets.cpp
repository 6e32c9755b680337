// The presets: which options each sets. docs/losses.md has them in a table.
#include <array>

#include "engine/options/option_values.h"

namespace impasto {
namespace {

/// Measured and looked at on real pairs: docs/tuning.md.
void set_impasto(StyleOptions& o) {
  o.objective.content_weight = 0.004;
  o.objective.style_layers = {
      {"relu1_1", 0.02}, {"relu2_1", 0.44}, {"relu3_1", 0.515}, {"relu4_1", 0.02}, {"relu5_1", 0.005}};
  o.optimizer.history = 40;
  o.optimizer.preconditioner = Preconditioner::kPyramid;
  o.iterations = 115;
  o.tolerance = 0.005;  // of flat and simple pictures; busy ones fall by 0.7 % and more to the end
  o.min_size = 64;
  o.handover = Handover::kChange;
  o.grain = GrainSource::kStyle;
}

/// Gatys, Ecker, Bethge 2016; white noise, and the plain method the paper names first.
void set_paper(StyleOptions& o) {
  o.objective.scaling = Scaling::kPaper;
  o.objective.content_weight = 1;
  o.objective.style_weight = 300;  // and the scales: what lets the photograph be seen (docs/losses.md)
  o.init = Init::kNoise;
  o.iterations = 1000;
  o.min_size = 128;
  o.optimizer.kind = OptimizerKind::kGradientDescent;
  o.optimizer.momentum = 0.9;
}

/// What the two programs have in common that step as torch.optim.LBFGS does: history 100, no line search,
/// layers not averaged.
void step_as_torch(StyleOptions& o) {
  o.objective.scaling = Scaling::kMean;
  o.objective.normalize_layer_weights = false;
  o.optimizer.history = 100;
  o.optimizer.line_search = LineSearch::kNone;
}

void set_neural_style_pt(StyleOptions& o) {
  step_as_torch(o);
  o.objective.content_weight = 5;
  o.objective.style_weight = 100;
  o.objective.tv_weight = 1e-3;
  o.objective.tv = TotalVariation::kL1;
  o.init = Init::kNoise;
  o.noise_deviation = 0.001;
  o.iterations = 1000;
}

void set_gatys_notebook(StyleOptions& o) {
  step_as_torch(o);
  o.objective.content_weight = 1;
  o.objective.style_weight = 1000;
  o.iterations = 500;
}

struct Preset {
  const char* name;
  void (*set)(StyleOptions&);
};
constexpr std::array kPresets{Preset{"impasto", set_impasto}, Preset{"paper", set_paper},
                              Preset{"neural-style-pt", set_neural_style_pt},
                              Preset{"gatys-notebook", set_gatys_notebook}};

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

StyleOptions make_preset(const std::string& name) {
  for (const Preset& preset : kPresets) {
    if (preset.name != name) continue;
    StyleOptions options;
    options.preset = name;
    preset.set(options);
    return options;
  }
  refuse_value("option --preset", any_of(preset_names()), name);
}

}  // namespace impasto
