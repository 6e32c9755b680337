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
class CoveredGram {
 public:
  CoveredGram() = default;
  /// Of a layer's features of this shape. Error(kBadInput) where the layer sees no position.
  CoveredGram(Shape picture, Shape features, std::span<const float> coverage, const std::string& layer);
  /// Rows of the features, the first part first; they are as before on return.
  void add(const TermContext& context, TensorView gram, TensorView features, const TapRows& rows) const;

 private:
  std::vector<float> m_;  // empty: 1 everywhere
  double sum_ = 0;        // of m
};

}  // namespace impasto
