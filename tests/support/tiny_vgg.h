#pragma once
// A network of VGG's structure with few channels, so that gradients
// through all of it can be checked by finite differences.
#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include "engine/network/weights.h"

namespace impasto::test {

inline Weights tiny_vgg(std::uint32_t seed = 1) {
  Weights weights;
  weights.network = "vgg16";
  weights.name = "tiny";
  weights.digest = "tiny:" + std::to_string(seed);
  std::mt19937 random(seed);
  const auto uniform = [&] { return static_cast<float>(random()) / 2147483648.0F - 1.0F; };
  const int convs[] = {2, 2, 3, 3, 3};
  const std::int64_t channels[] = {4, 6, 7, 8, 9};
  std::int64_t in = 3;
  for (int block = 0; block < 5; ++block) {
    for (int i = 1; i <= convs[block]; ++i) {
      ConvWeights layer{
          "conv" + std::to_string(block + 1) + "_" + std::to_string(i), in, channels[block], {}, {}};
      layer.filter.resize(static_cast<std::size_t>(9 * in * layer.out_channels));
      const float deviation = std::sqrt(6.0F / (9.0F * static_cast<float>(in)));
      for (float& f : layer.filter) f = deviation * uniform();
      layer.bias.resize(static_cast<std::size_t>(layer.out_channels));
      for (float& b : layer.bias) b = 5 * uniform();
      in = layer.out_channels;
      weights.layers.push_back(std::move(layer));
    }
  }
  return weights;
}

}  // namespace impasto::test
