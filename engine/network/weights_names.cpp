// Names of layers: how files spell them, and what order and shapes a VGG demands of them.
#include <algorithm>
#include <cctype>
#include <stdexcept>

#include "engine/network/weights_file.h"

namespace impasto {

std::optional<ConvName> parse_conv_name(std::string_view name) {
  const auto take = [&name](std::string_view prefix) {
    if (!name.starts_with(prefix)) return false;
    name.remove_prefix(prefix.size());
    return true;
  };
  const auto digit = [&name](char last) {
    if (name.empty() || name[0] < '1' || name[0] > last) return 0;
    const int value = name[0] - '0';
    name.remove_prefix(1);
    return value;
  };
  const bool keras = take("block");
  if (!keras && !take("conv")) return std::nullopt;
  ConvName result;
  result.block = digit('5');
  if (result.block == 0 || !take(keras ? "_conv" : "_")) return std::nullopt;
  result.conv = digit('4');
  if (result.conv == 0) return std::nullopt;
  if (!name.empty() && name[0] != '_' && name[0] != ':') return std::nullopt;
  return result;
}

}  // namespace impasto

namespace impasto::weights {
namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

std::string shape_of(const ConvWeights& w) {
  return "(3,3," + std::to_string(w.in_channels) + "," + std::to_string(w.out_channels) + ")";
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) out += (c >= ' ' && c <= '~') ? c : '?';
  if (text.size() > limit) out += "...";
  return out;
}

void refuse(const std::filesystem::path& file, const std::string& message) {
  throw Error(ErrorCode::kBadInput, "weights '" + printable(file.string(), 400) + "': " + message);
}

bool natural_less(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const auto run = [](std::string_view s, std::size_t& at) {
        while (at < s.size() && s[at] == '0') ++at;
        const std::size_t first = at;
        while (at < s.size() && is_digit(s[at])) ++at;
        return s.substr(first, at - first);
      };
      const std::string_view x = run(a, i), y = run(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

void assemble(Weights& weights, std::map<ConvName, ConvWeights> layers, std::string network) {
  if (network.empty()) {
    const bool fourth =
        std::any_of(layers.begin(), layers.end(), [](const auto& l) { return l.first.conv == 4; });
    network = fourth ? "vgg19" : "vgg16";
  }
  weights.network = network;
  weights.layers.clear();
  const std::span<const VggBlock> blocks = vgg_blocks(network);
  const auto convs_in = [&](int block) { return blocks[static_cast<std::size_t>(block) - 1].convs; };
  ConvName expected{1, 1};
  std::int64_t channels = 3;
  for (auto& [name, layer] : layers) {
    if (name.conv > convs_in(name.block)) {
      throw std::invalid_argument("expected the layers of " + network + ", found " + name.str());
    }
    if (name != expected) {
      throw std::invalid_argument("expected " + expected.str() + " before any later layer, found " +
                                  name.str());
    }
    if (layer.in_channels != channels) {
      throw std::invalid_argument(name.str() + ": expected (3,3," + std::to_string(channels) + ",N), found " +
                                  shape_of(layer));
    }
    channels = layer.out_channels;
    layer.name = name.str();
    weights.layers.push_back(std::move(layer));
    expected =
        name.conv < convs_in(name.block) ? ConvName{name.block, name.conv + 1} : ConvName{name.block + 1, 1};
  }
  if (weights.layers.empty()) throw std::invalid_argument("expected conv1_1 and its successors, found none");
}

}  // namespace impasto::weights
