#include "engine/style/terms/term.h"

#include <numeric>

namespace impasto {

const std::vector<const Loss*>& all_losses() {
  static const std::vector<const Loss*> losses{&content_loss(), &gram_loss(), &variation_loss()};
  return losses;
}

LossTerms make_terms(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  LossTerms terms;
  for (const Loss* const loss : all_losses()) loss->add(terms, options, graph, picture);
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
