#include "engine/style/terms/scaling.h"

namespace impasto {
namespace {

std::optional<double> inverse(double energy) {
  if (!(energy > 0)) return std::nullopt;
  return 1 / energy;
}

}  // namespace

std::optional<double> content_factor(Scaling scaling, Shape features, double target_energy) {
  switch (scaling) {
    case Scaling::kRelative: return inverse(target_energy);
    case Scaling::kPaper: return 0.5;
    case Scaling::kMean: return 1 / static_cast<double>(features.elements());
  }
  return std::nullopt;
}

std::optional<double> style_factor(Scaling scaling, Shape features, double target_energy) {
  const auto c = static_cast<double>(features.c);
  switch (scaling) {
    case Scaling::kRelative: return inverse(target_energy);
    case Scaling::kPaper: return 1 / (4 * c * c);
    case Scaling::kMean: return 1 / (c * c * c * c);
  }
  return std::nullopt;
}

}  // namespace impasto
