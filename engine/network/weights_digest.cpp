// The digest of a network's values, the same in every file that holds them.
#include <bit>
#include <span>

#include "engine/core/digest.h"
#include "engine/network/weights_file.h"

namespace impasto::weights {

static_assert(std::endian::native == std::endian::little, "values are hashed as they lie in memory");

ContentDigest content_digest(const Weights& weights) {
  ContentDigest result;
  std::string lines = "impasto-content 1\n" + weights.network + "\n";
  for (const ConvWeights& layer : weights.layers) {
    Sha256 values;
    values.update(std::span(layer.filter));
    values.update(std::span(layer.bias));
    result.layers.push_back(values.hex());
    lines += fmt::format("{} 3 3 {} {} {}\n", layer.name, layer.in_channels, layer.out_channels,
                         result.layers.back());
  }
  Sha256 whole;
  whole.update(lines);
  result.whole = whole.hex();
  return result;
}

}  // namespace impasto::weights
