// The presets: which options each sets. docs/losses.md has them in a table.
#include "engine/style/options.h"

namespace impasto {

std::vector<std::string> preset_names() { return {"impasto", "paper", "neural-style-pt", "gatys-notebook"}; }

StyleOptions make_preset(const std::string& name) {
  StyleOptions o;
  set_option(o, "preset", name);  // refuses other names
  if (name == "impasto") {        // measured and looked at on real pairs: docs/tuning.md
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
    return o;
  }
  if (name ==
      "paper") {  // Gatys, Ecker, Bethge 2016; white noise, and the plain method the paper names first
    o.objective.scaling = Scaling::kPaper;
    o.objective.content_weight = 1;
    o.objective.style_weight = 300;  // and the scales: what lets the photograph be seen (docs/losses.md)
    o.init = Init::kNoise;
    o.iterations = 1000;
    o.min_size = 128;
    o.optimizer.kind = OptimizerKind::kGradientDescent;
    o.optimizer.momentum = 0.9;
    return o;
  }
  // The two programs that step as torch.optim.LBFGS does: history 100, no line search, layers not averaged.
  o.objective.scaling = Scaling::kMean;
  o.objective.normalize_layer_weights = false;
  o.optimizer.history = 100;
  o.optimizer.line_search = LineSearch::kNone;
  if (name == "neural-style-pt") {
    o.objective.content_weight = 5;
    o.objective.style_weight = 100;
    o.objective.tv_weight = 1e-3;
    o.objective.tv = TotalVariation::kL1;
    o.init = Init::kNoise;
    o.noise_deviation = 0.001;
    o.iterations = 1000;
    return o;
  }
  o.objective.content_weight = 1;  // gatys-notebook
  o.objective.style_weight = 1000;
  o.iterations = 500;
  return o;
}

}  // namespace impasto
