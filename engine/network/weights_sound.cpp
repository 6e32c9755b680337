#include "engine/network/weights_sound.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/core/message.h"
#include "engine/network/weights_file.h"

namespace impasto {
namespace {

constexpr std::int64_t kMostChannels = 16384;

void require(bool holds, const std::string& what, const std::string& expected, const std::string& found) {
  if (!holds)
    throw make_error(ErrorCode::kUsage, "weights: {}: expected {}, found {}", what, expected, found);
}

void require_finite(const std::vector<float>& values, const std::string& what) {
  const auto bad = std::find_if_not(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  if (bad != values.end()) require(false, what, "finite numbers", fmt::format("{}", *bad));
}

void require_length(const std::vector<float>& values, std::int64_t length, const std::string& what) {
  require(values.size() == static_cast<std::size_t>(length), what, fmt::format("{} numbers", length),
          std::to_string(values.size()));
}

/// The name of the layer after `before`: the next of its block or the first of the next.
void require_next(const std::string& found, const ConvName* before) {
  const std::string shown = "'" + weights::printable(found, 40) + "'";
  if (before == nullptr) return require(found == "conv1_1", "layers", "conv1_1 first", shown);
  const std::string next = ConvName{before->block, before->conv + 1}.str();
  const std::string below = ConvName{before->block + 1, 1}.str();
  require(found == next || found == below, "layers",
          fmt::format("{} or {} after {}", next, below, before->str()), shown);
}

}  // namespace

void require_sound(const Weights& weights) {
  require(!weights.layers.empty(), "layers", "conv1_1 and its successors", "none");
  std::optional<ConvName> before;
  std::int64_t channels = 3;
  for (const ConvWeights& layer : weights.layers) {
    require_next(layer.name, before ? &*before : nullptr);
    before = parse_conv_name(layer.name);
    require(before.has_value(), "layers", "a VGG's", "'" + layer.name + "'");
    require(layer.in_channels == channels, layer.name, fmt::format("{} input channels", channels),
            std::to_string(layer.in_channels));
    channels = layer.out_channels;
    require(channels >= 1 && channels <= kMostChannels, layer.name,
            fmt::format("from 1 to {} output channels", kMostChannels), std::to_string(channels));
    require_length(layer.filter, 9 * layer.in_channels * channels, layer.name + " filter");
    require_length(layer.bias, channels, layer.name + " bias");
    require_finite(layer.filter, layer.name + " filter");
    require_finite(layer.bias, layer.name + " bias");
  }
  const Preprocessing& p = weights.preprocessing;
  for (std::size_t c = 0; c < 3; ++c) {
    require(std::isfinite(p.mean[c]), "preprocessing", "a finite mean", fmt::format("{}", p.mean[c]));
    require(std::isfinite(p.scale[c]) && p.scale[c] > 0, "preprocessing", "a scale above 0",
            fmt::format("{}", p.scale[c]));
  }
}

}  // namespace impasto
