// Generated weights: He et al. 2015, "Delving deep into rectifiers", eq. 10, from a counter-based generator,
// so that any element can be computed alone, in any language.
#include <cmath>
#include <numbers>

#include "engine/network/weights_file.h"

namespace impasto {
namespace {

/// Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators": one step from state x.
std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// out[i] = float(scale * z[i]), z normal by Box and Muller:
/// pair j of the stream `key` gives z[2j] and z[2j + 1].
std::vector<float> normals(std::int64_t count, std::uint64_t key, double scale) {
  std::vector<float> out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); i += 2) {
    const double u1 = (static_cast<double>(splitmix64(key + i) >> 11) + 0.5) * 0x1p-53;
    const double u2 = static_cast<double>(splitmix64(key + i + 1) >> 11) * 0x1p-53;
    const double r = std::sqrt(-2 * std::log(u1));
    const double angle = 2 * std::numbers::pi * u2;
    out[i] = static_cast<float>(r * std::cos(angle) * scale);
    if (i + 1 < out.size()) out[i + 1] = static_cast<float>(r * std::sin(angle) * scale);
  }
  return out;
}

}  // namespace

Weights random_weights(const std::string& network, std::uint64_t seed) {
  const std::span<const VggBlock> blocks = vgg_blocks(network);
  if (blocks.empty()) {
    throw Error(ErrorCode::kUsage,
                "network: expected vgg16 or vgg19, found '" + weights::printable(network) + "'");
  }
  Weights result;
  result.network = network;
  result.name = (network == "vgg19" ? "random:" : "random-vgg16:") + std::to_string(seed);
  result.source = "generated, He initialisation, seed " + std::to_string(seed);
  result.layout = "generated";
  result.digest = result.name;
  std::int64_t in = 3;
  for (int block = 1; block <= static_cast<int>(blocks.size()); ++block) {
    const auto [convs, out] = blocks[static_cast<std::size_t>(block) - 1];
    for (int conv = 1; conv <= convs; ++conv) {
      const std::uint64_t index = result.layers.size();
      const std::uint64_t key = splitmix64(seed + (index + 1) * 0xD1B54A32D192ED03u);
      const double he = std::sqrt(2.0 / (9.0 * static_cast<double>(in)));
      result.layers.push_back({ConvName{block, conv}.str(), in, out, normals(9 * in * out, key, he),
                               normals(out, splitmix64(key ^ 0xB1A5u), 0.1)});
      in = out;
    }
  }
  return result;
}

}  // namespace impasto
