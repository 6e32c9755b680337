#pragma once
// How losses are reported.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace impasto {

/// The unweighted values of one loss: content_l or style_l by layers, or that of the picture alone.
struct LossValue {
  std::string name;                                   ///< "content", "style", "tv"
  bool of_picture = false;                            ///< one value at most, whose layer is empty
  std::vector<std::pair<std::string, double>> terms;  ///< layer, value

  [[nodiscard]] double sum() const {
    double sum = 0;
    for (const auto& [layer, value] : terms) sum += value;
    return sum;
  }
};

/// That of this name; null: there is none.
[[nodiscard]] inline const LossValue* find_loss(const std::vector<LossValue>& losses, std::string_view name) {
  for (const LossValue& loss : losses) {
    if (loss.name == name) return &loss;
  }
  return nullptr;
}

}  // namespace impasto
