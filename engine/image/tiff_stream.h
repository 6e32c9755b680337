#pragma once
// A TIFF for libtiff (4.5 or newer, whose error handlers belong to one file instead of to the
// process), and what libtiff has to say about it.
#include <tiffio.h>

#include "engine/image/codec.h"
#include "engine/image/output.h"

namespace impasto::codec {

/// A file in memory that is read, or one that is written, and what libtiff has to say about it.
struct TiffStream {
  Bytes input;               ///< when reading
  Output* output = nullptr;  ///< when writing
  std::uint64_t position = 0;
  char message[256] = "";          ///< the first error
  bool reading_directory = false;  ///< when an error may be about a tag that says nothing of pixels
  char ignored[256] = "";          ///< such an error
  [[nodiscard]] std::uint64_t size() const { return output != nullptr ? output->size() : input.size(); }
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

/// Codec's, of TIFF (tiff_read.cpp, tiff_write.cpp).
[[nodiscard]] std::unique_ptr<Decoder> open_tiff_decoder(Bytes file, std::int64_t max_pixels);
void encode_tiff(const EncoderRows& rows, Output& output, const WriteOptions& options);

}  // namespace impasto::codec
