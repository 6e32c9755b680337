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

[[nodiscard]] std::vector<float> to_network_space(const Image& image, const Preprocessing& preprocessing);
/// Not clamped: the inverse of the above.
[[nodiscard]] Image from_network_space(std::span<const float> x, std::int64_t width, std::int64_t height,
                                       const Preprocessing& preprocessing);
/// What x may be for a displayable picture.
[[nodiscard]] PixelRange pixel_range(const Preprocessing& preprocessing);

/// Replaces colour under transparency by the average visible colour (in proportion to alpha) and drops alpha,
/// so that hidden colours neither show nor leak into the features.
[[nodiscard]] Image flatten(const Image& image);

/// A starting picture of noise in x's space, the same for a seed everywhere: Gaussian around the mean colour
/// with that deviation in 0..255 units, or uniform displayable pixels where the deviation is 0.
[[nodiscard]] std::vector<float> noise(std::int64_t width, std::int64_t height, double deviation,
                                       std::uint64_t seed, const Preprocessing& preprocessing);

/// SHA-256 of size and pixels, in hex.
[[nodiscard]] std::string digest(const Image& image);

}  // namespace impasto
