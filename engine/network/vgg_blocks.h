#pragma once
// The networks' one table, and the names of their layers.
// Source: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015,
// table 1 (D, E).
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace impasto {

/// Convolutions of one size, each followed by a ReLU; a 2x2 pool before the next block.
struct VggBlock {
  int convs = 0;
  std::int64_t channels = 0;  ///< of each one's output
};

struct VggNetwork {
  std::string_view name;
  std::array<VggBlock, 5> blocks;
};
inline constexpr std::array<VggNetwork, 2> kVggNetworks{{
    {"vgg16", {{{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}}}},
    {"vgg19", {{{2, 64}, {2, 128}, {4, 256}, {4, 512}, {4, 512}}}},
}};

/// The blocks of a network; none for a name that is not in the table.
[[nodiscard]] constexpr std::span<const VggBlock> vgg_blocks(std::string_view network) {
  for (const VggNetwork& known : kVggNetworks) {
    if (known.name == network) return known.blocks;
  }
  return {};
}

/// Block and convolution inside it, both from 1.
struct ConvName {
  int block = 0, conv = 0;
  friend constexpr auto operator<=>(const ConvName&, const ConvName&) = default;
  [[nodiscard]] std::string str() const { return "conv" + suffix(); }   ///< conv3_2
  [[nodiscard]] std::string relu() const { return "relu" + suffix(); }  ///< relu3_2, what follows it

 private:
  [[nodiscard]] std::string suffix() const { return std::to_string(block) + "_" + std::to_string(conv); }
};

/// "block3_conv2", "conv3_2", and either of them with what
/// Keras appends ("block3_conv2_W_1:0"); else nothing.
[[nodiscard]] std::optional<ConvName> parse_conv_name(std::string_view name);

}  // namespace impasto
