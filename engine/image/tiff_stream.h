#pragma once
// A TIFF in memory for libtiff (4.5 or newer, whose error handlers belong to one file instead of to the
// process), and what libtiff has to say about it.
#include <tiffio.h>

#include "engine/image/codec.h"

namespace impasto::codec {

/// A file in memory, and what libtiff has to say about it.
struct TiffStream {
  Bytes input;                        ///< when reading
  std::vector<std::uint8_t> written;  ///< when writing
  bool writing = false;
  std::uint64_t position = 0;
  char message[256] = "";          ///< the first error
  bool reading_directory = false;  ///< when an error may be about a tag that says nothing of pixels
  char ignored[256] = "";          ///< such an error
  [[nodiscard]] Bytes bytes() const { return writing ? Bytes(written) : input; }
};

inline constexpr const char* kTiffExpected = "a TIFF picture that can be read";

/// The stream's first error as ours. Not all that libtiff fails at is damage.
[[nodiscard]] Error tiff_failure(const TiffStream& s);

using TiffHandle = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

/// The stream must outlive the handle. No directory is read where the mode says 'h'. Throws tiff_failure.
[[nodiscard]] TiffHandle open_tiff(TiffStream& s, const char* mode, std::int64_t max_allocation_bytes);

/// A tag's value, or libtiff's default for it, or `otherwise`.
template <class T>
T tiff_field(TIFF* file, std::uint32_t tag, T otherwise) {
  T value{};
  return TIFFGetFieldDefaulted(file, tag, &value) ? value : otherwise;
}

/// The picture of a TIFF file, with and without its pixels, and writing one (tiff_read.cpp, tiff.cpp); as in
/// Codec.
[[nodiscard]] Raster probe_tiff(Bytes file, std::int64_t max_pixels);
[[nodiscard]] Raster decode_tiff(Bytes file, std::int64_t max_pixels);
[[nodiscard]] std::vector<std::uint8_t> encode_tiff(const Raster& picture, const WriteOptions& options);

}  // namespace impasto::codec
