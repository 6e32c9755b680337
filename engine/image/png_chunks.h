#pragma once
// What PNG says beside its pixels: colours and orientation. libpng drops an ICC profile for reasons that have
// nothing to do with it (another chunk's zero chromaticities, a grey picture), and knows neither cICP nor
// XMP, so these chunks are read here, from the bytes that libpng checked.
#include <string_view>

#include "engine/image/codec.h"

namespace impasto::codec {

struct PngChunk {
  std::string_view name;
  Bytes data;
};

/// The chunks that read_png_chunks makes use of, as libpng takes such lists: each with its final zero.
inline constexpr char kPngChunkNames[] = "cICP\0iCCP\0sRGB\0gAMA\0cHRM\0eXIf\0tEXt\0zTXt\0iTXt\0acTL";
inline constexpr int kPngChunkCount = sizeof kPngChunkNames / 5;

/// Sets profile, orientation and warnings of `raster`. Colours go by the first of cICP, iCCP, sRGB, gAMA with
/// cHRM that can be used (PNG specification, third edition, 4.3); orientation by eXIf, then EXIF as text,
/// then XMP. Damaged chunks count as absent, with a warning where they would have decided. Reads nothing
/// outside of the chunks.
void read_png_chunks(std::span<const PngChunk> chunks, Raster& raster);

}  // namespace impasto::codec
