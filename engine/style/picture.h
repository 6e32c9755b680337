#pragma once
// Between pictures on the host and the vector x that is optimised: 0..255 units less the network's mean, in
// its channel order.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/image/image.h"
#include "engine/network/weights.h"
#include "engine/style/optimizer.h"

namespace impasto {

/// Of a picture's rgb, in place where that is given away.
[[nodiscard]] std::vector<float> to_network_space(std::vector<float> rgb, const Preprocessing& preprocessing);
/// Not clamped: the inverse of the above, in place too.
[[nodiscard]] Image from_network_space(std::vector<float> x, PixelSize size,
                                       const Preprocessing& preprocessing);
/// What x may be for a displayable picture.
[[nodiscard]] PixelRange pixel_range(const Preprocessing& preprocessing);

/// Replaces colour under transparency by the average visible colour (in proportion to alpha) and drops alpha,
/// so that hidden colours neither show nor leak into the features.
[[nodiscard]] Image flatten(const Image& image);

/// Is each pixel grey, but for what lossy compression does: channels at most 3 of 255 levels apart?
[[nodiscard]] bool is_grey(const Image& image);
/// The same of some of its pixels: 3 values each.
[[nodiscard]] bool is_grey(std::span<const float> rgb);
/// What make_grey makes of the channels of a pixel.
[[nodiscard]] float mean_of_channels(const float* rgb);
/// Every channel becomes their mean, all three the same bits.
void make_grey(Image& image);

/// What share of each of size.width x size.height equal areas is not transparent: the mean of alpha. 1 where
/// the picture has no alpha.
[[nodiscard]] std::vector<float> coverage(const Image& image, PixelSize size);

/// The picture that a scale would begin with, with what the coarser scale made of it added: that one's result
/// less what it began with (`before`, of the same size), enlarged. So what the small sizes cannot hold, the
/// picture's own detail, is not lost on the way.
[[nodiscard]] Image add_change(const Image& first, const Image& before, Image result);

enum class Tint : std::uint8_t { kColour, kGrey };

/// A starting picture of noise in x's space, the same for a seed everywhere: Gaussian around the mean colour
/// with that deviation in 0..255 units, or uniform displayable pixels where the deviation is 0. Grey: the
/// first channel's numbers for all three, around the mean's grey.
[[nodiscard]] std::vector<float> noise(PixelSize size, double deviation, std::uint64_t seed,
                                       const Preprocessing& preprocessing, Tint tint = Tint::kColour);

/// SHA-256 of size and pixels, in hex.
[[nodiscard]] std::string digest(const Image& image);

}  // namespace impasto
