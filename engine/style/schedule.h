#pragma once
// Sizes of a render: which scales it goes through, and how large each style picture is at each of them. Pure.
#include <cstdint>
#include <vector>

#include "engine/core/size.h"
#include "engine/options/options.h"
#include "engine/style/render_plan.h"

namespace impasto {

/// Pixels on a side of a picture in a render, at most: elements times channels, history and bytes stay far
/// from overflow.
inline constexpr std::int64_t kMostSide = std::int64_t{1} << 20;

/// Error(kUsage) for a size that no picture has, of the content, of a style picture or, by its scale, of one
/// beside the result. Before anything is computed of them.
void require_sound(const RenderSizes& sizes, const StyleOptions& options);

/// The same proportions with that long side, each side at least 1, rounded to nearest.
[[nodiscard]] PixelSize fit_long_side(PixelSize size, std::int64_t long_side);

/// Sizes of the result from the coarsest scale to the last, each scale twice the one before. Coarse scales
/// whose short side would be under `min_side` (what the network needs) are left out. Error(kUsage) if the
/// last one is.
[[nodiscard]] std::vector<PixelSize> scale_sizes(const StyleOptions& options, PixelSize content,
                                                 std::int64_t min_side);

/// Size of a style picture beside a result of size `scale`, where the last scale's is `last`. Sides are at
/// least min_side.
[[nodiscard]] PixelSize style_picture_size(const StyleOptions& options, const RenderSizes::Style& style,
                                           PixelSize scale, PixelSize last, std::int64_t min_side);

}  // namespace impasto
