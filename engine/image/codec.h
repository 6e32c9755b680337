#pragma once
// Between image.cpp and the codecs: one Codec for each file format, and the integer raster they exchange.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/message.h"
#include "engine/image/image.h"

namespace impasto::codec {

using Bytes = std::span<const std::uint8_t>;

enum class ColourModel : std::uint8_t { kGrey, kRgb, kCmyk, kLab };

/// A picture as a file holds it: interleaved integers, alpha (if any) last and not premultiplied.
/// CMYK counts ink: 0 is none. Lab is of 16 bits, encoded as in ICC profiles of version 4: L 0 to 100 over
/// the whole range, a and b at 257 steps for each unit, 0 at 0x8080.
struct Raster {
  std::int64_t width = 0, height = 0;
  ColourModel model = ColourModel::kRgb;
  bool alpha = false;
  int bits = 8;                             ///< 8 or 16 (in the machine's byte order)
  std::unique_ptr<std::uint8_t[]> samples;  ///< left uninitialised, so that a header's claim costs no memory
  std::vector<std::uint8_t> icc;            ///< embedded profile, as found
  int orientation = 1;                      ///< EXIF, 1 to 8; how the rows are to be turned for display
  std::vector<std::string> warnings;        ///< what a user should know, without the file's name

  [[nodiscard]] int colours() const {
    return model == ColourModel::kGrey ? 1 : model == ColourModel::kCmyk ? 4 : 3;
  }
  [[nodiscard]] int channels() const { return colours() + (alpha ? 1 : 0); }
  [[nodiscard]] std::size_t pixel_bytes() const { return static_cast<std::size_t>(channels() * bits / 8); }
  [[nodiscard]] std::size_t row_bytes() const { return static_cast<std::size_t>(width) * pixel_bytes(); }
  [[nodiscard]] std::uint8_t* row(std::int64_t y) const {
    return samples.get() + static_cast<std::size_t>(y) * row_bytes();
  }
  void allocate() {
    samples = std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(height) * row_bytes());
  }
};

/// A file format. All functions throw Error without the file's name; image.cpp puts it in front.
struct Codec {
  const char* name;
  std::vector<std::string> suffixes;  ///< lower case, with the dot
  bool keeps_alpha;
  bool keeps_16_bits;
  bool (*recognises)(Bytes file);
  /// decode's Raster but for its samples, of which there are none, and for the warnings that need them: what
  /// the header says, read by the function with which decode begins. Decodes no pixel and allocates nothing
  /// of the picture's size. Throws as decode does where the header is what is wrong; a picture that is
  /// probed may still be one that decode refuses.
  Raster (*probe)(Bytes file, std::int64_t max_pixels);
  /// Throws Error(kBadInput) unless the whole picture could be
  /// read; refuses more than max_pixels before it allocates.
  Raster (*decode)(Bytes file, std::int64_t max_pixels);
  /// `picture` is RGB, with alpha only if keeps_alpha, of 16 bits only if keeps_16_bits.
  std::vector<std::uint8_t> (*encode)(const Raster& picture, const WriteOptions& options);
};

/// The registry: a new format adds its function here and to all_codecs() in image.cpp.
const Codec& jpeg();
const Codec& png();
const Codec& webp();
const Codec& tiff();

[[nodiscard]] inline Error damaged(const std::string& format, const std::string& found) {
  return make_error(ErrorCode::kBadInput, "expected a whole {} picture, found: {}", format, found);
}

/// For files that are whole but of a kind that is not read: `found` is the kind's own name.
[[nodiscard]] inline Error unsupported(const std::string& expected, const std::string& found) {
  return make_error(ErrorCode::kBadInput,
                    "expected {}, found {}; save it as PNG or 8-bit JPEG with another program", expected,
                    found);
}

/// Of a file with more than one picture.
[[nodiscard]] inline std::string animation_warning(std::int64_t frames) {
  return fmt::format("expected a still picture, found an animation of {} {}; the first picture is taken",
                     frames, frames == 1 ? "frame" : "frames");
}
/// What to do with a raw camera picture.
inline constexpr const char* kDevelopRaw =
    "; develop it to JPEG or TIFF first, for instance with darktable or dcraw -T";
inline constexpr const char* kProfileUnused =
    "expected a colour profile that fits the picture, found one that is broken or for other colours; not "
    "used";

/// For a file that no codec recognises: names what it is instead, and what to do about it
/// (unknown_format.cpp).
[[nodiscard]] Error unknown_format(Bytes file);

/// Refuses empty pictures and those of more than max_pixels. Safe for any two numbers of 32 bits.
inline void check_size(std::int64_t width, std::int64_t height, std::int64_t max_pixels) {
  if (width <= 0 || height <= 0) {
    throw make_error(ErrorCode::kBadInput, "expected a picture with pixels, found {} x {}", width, height);
  }
  if (width > max_pixels / height) {
    throw make_error(ErrorCode::kBadInput, "expected at most {} pixels, found {} x {}", max_pixels, width,
                     height);
  }
}

/// Converts to sRGB, by the embedded profile if it is usable; says in `warnings` if it is not (color.cpp).
[[nodiscard]] Image to_srgb_image(const Raster& raster, std::vector<std::string>& warnings);

/// What to_srgb_image will say of the raster's profile. Needs no samples (color.cpp).
void warn_of_profile(const Raster& raster, std::vector<std::string>& warnings);

/// An ICC profile of sRGB; always the same bytes (color.cpp).
[[nodiscard]] const std::vector<std::uint8_t>& srgb_profile();

/// The chromaticities (x, y) and the decoding curve of an RGB space (color.cpp).
struct RgbSpace {
  double white[2] = {0.3127, 0.3290};
  double red[2] = {0.64, 0.33}, green[2] = {0.30, 0.60}, blue[2] = {0.15, 0.06};
  enum class Curve : std::uint8_t { kSrgb, kBt709, kPower } curve = Curve::kSrgb;
  double power = 1;  ///< light = value^power, with kPower
};
/// An ICC profile of it; empty where the numbers are no colour space.
[[nodiscard]] std::vector<std::uint8_t> rgb_profile(const RgbSpace& space);

/// Metadata as an XMP packet: Software is xmp:CreatorTool, Description is dc:description, any other key a
/// property in a namespace of ours (xmp.cpp).
[[nodiscard]] std::string xmp_packet(const std::map<std::string, std::string>& metadata);

}  // namespace impasto::codec
