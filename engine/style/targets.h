#pragma once
// What the losses want to know of a style picture.
#include <map>
#include <string>
#include <vector>

namespace impasto {

/// The statistics of one style picture at one size for the terms that asked (LossTerm::style_statistic). On
/// the host: made once, they serve every render of the same size, network and precision.
struct StyleTargets {
  std::map<std::string, std::vector<double>> statistics;
};

/// One of the style pictures that are blended; weights sum to 1.
struct WeightedTargets {
  const StyleTargets* targets = nullptr;
  double weight = 1;
};

}  // namespace impasto
