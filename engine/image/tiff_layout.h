#pragma once
// What the directory of a TIFF says: how samples are stored, and what becomes of them.
#include "engine/image/codec.h"
#include "engine/image/tiff_directories.h"
#include "engine/image/tiff_samples.h"
#include "engine/image/tiff_stream.h"

namespace impasto::codec {

/// How a file's samples become the channels of a row.
struct TiffLayout {
  SampleCoding coding;
  int samples = 1;     ///< in each pixel of the file
  int source[5] = {};  ///< for each channel of a row, the sample that it comes from
  bool separate = false;
  bool invert = false;         ///< grey where 0 is white
  bool premultiplied = false;  ///< colour is stored times alpha
};

/// The strips or tiles in which samples are stored (one plane of them, if planes are separate).
struct TiffBlocks {
  bool tiled = false;
  std::int64_t width = 0, height = 0;
  std::int64_t row_samples = 0;
  tmsize_t row_bytes = 0, bytes = 0;
};

/// A file whose directory is read.
struct TiffInput {
  TiffStream stream;
  TiffHandle handle{nullptr, &TIFFClose};
  TiffLayout layout;
  TiffBlocks blocks;
  bool converted = false;  ///< by libtiff: layout and blocks say nothing then
  TiffInput() = default;
  TiffInput(const TiffInput&) = delete;
  TiffInput& operator=(const TiffInput&) = delete;
};

/// All but the pixels. Throws as Decoder does.
[[nodiscard]] Header read_tiff_header(TiffInput& in, Bytes bytes, std::int64_t max_pixels);

}  // namespace impasto::codec
