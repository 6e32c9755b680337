#pragma once
// The one thing that reading a picture needs of EXIF: how the camera was held.
#include "engine/image/codec.h"

namespace impasto::codec {

/// The Orientation tag (0x0112) in the first directory of an EXIF block, with or without its "Exif\0\0"
/// prefix. 1 (upright) where the block is broken or does not say. Reads nothing outside of `exif`.
[[nodiscard]] int exif_orientation(Bytes exif);

/// Turns the rows upright: afterwards orientation is 1.
[[nodiscard]] Raster upright(Raster raster);

}  // namespace impasto::codec
