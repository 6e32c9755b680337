#pragma once
// What PNG says beside its pixels: colours and orientation. libpng drops an ICC profile for reasons that have
// nothing to do with it (another chunk's zero chromaticities, a grey picture), knows neither cICP nor XMP,
// and comes to what stands behind the pixels by decoding them. So these chunks are read here.
#include "engine/image/codec.h"

namespace impasto::codec {

/// The chunks that read_png_chunks makes use of, as libpng takes such lists: each with its final zero.
inline constexpr char kPngChunkNames[] = "cICP\0iCCP\0sRGB\0gAMA\0cHRM\0eXIf\0tEXt\0zTXt\0iTXt\0acTL";
inline constexpr int kPngChunkCount = sizeof kPngChunkNames / 5;

/// Sets profile, orientation and warnings of `header` by the chunks of a PNG file: all up to IEND, or as far
/// as the file goes. Of those that hold pixels only the lengths are read. Colours go by the first of cICP,
/// iCCP, sRGB, gAMA with cHRM that can be used (PNG specification, third edition, 4.3); orientation by eXIf,
/// then EXIF as text, then XMP. Damaged chunks count as absent, with a warning. Reads nothing outside of
/// `file`, which must start as a PNG does.
void read_png_chunks(Bytes file, Header& header);

}  // namespace impasto::codec
