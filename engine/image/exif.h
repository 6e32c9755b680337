#pragma once
// The one thing that reading a picture needs of EXIF and XMP: how the camera was held.
#include "engine/image/codec.h"

namespace impasto::codec {

/// The Orientation tag (0x0112) in the first directory of an EXIF block, with or without its "Exif\0\0"
/// prefix: one whole number of any size. `otherwise` (1 is upright) where the block is broken or does not
/// say. Reads nothing outside of `exif`.
[[nodiscard]] int exif_orientation(Bytes exif, int otherwise = 1);

/// tiff:Orientation in an XMP packet, as attribute or element. 1 where it does not say.
[[nodiscard]] int xmp_orientation(Bytes packet);

}  // namespace impasto::codec
