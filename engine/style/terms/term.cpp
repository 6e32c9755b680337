#include "engine/style/terms/term.h"

#include <numeric>

namespace impasto {

LossTerms make_terms(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  LossTerms terms;
  add_content_terms(terms, options, graph, picture);
  add_gram_terms(terms, options, graph, picture);
  add_variation_term(terms, options);
  return terms;
}

std::vector<double> layer_shares(const std::vector<LayerWeight>& layers, bool normalise) {
  std::vector<double> weights;
  for (const LayerWeight& layer : layers) weights.push_back(layer.weight);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (normalise && sum > 0) {
    for (double& w : weights) w /= sum;
  }
  return weights;
}

}  // namespace impasto
