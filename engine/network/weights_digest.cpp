// Digests: of a network's values, the same in every file that holds them, and of a whole file.
#include <bit>
#include <optional>
#include <span>

#include "engine/core/digest.h"
#include "engine/core/file.h"
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

std::string md5_of_file(const std::filesystem::path& file) {
  Md5 md5;
  const Descriptor in = Descriptor::open(file, Access::kRead);
  std::vector<char> chunk(std::size_t{1} << 20);
  for (std::optional<std::size_t> got = chunk.size(); got == chunk.size();) {
    got = in.read(chunk.data(), chunk.size());
    if (!got) refuse(file, "expected a readable file, found a read error");
    md5.update(chunk.data(), *got);
  }
  return md5.hex();
}

}  // namespace impasto::weights
