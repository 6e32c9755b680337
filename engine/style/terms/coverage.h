#pragma once
// Statistics of a style picture of which parts are transparent.
#include <span>
#include <string>
#include <vector>

#include "engine/style/terms/term.h"

namespace impasto {

/// The share of each position at a tap that is covered: means of 2x2 blocks, sizes rounded down, as often as
/// the network pools between the picture and the tap.
[[nodiscard]] std::vector<float> pooled_coverage(std::span<const float> coverage, Shape picture, Shape tap);

/// gram = sum_p m_p f_p f_p' / sum_p m_p with the pooled coverage m; without coverage (empty) every m_p is 1.
/// The features are as before on return. Error(kBadInput) where the layer sees no position.
void measure_gram(const TermContext& context, TensorView gram, TensorView features, Shape picture,
                  std::span<const float> coverage, const std::string& layer);

}  // namespace impasto
