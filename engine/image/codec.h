#pragma once
// Between rows.cpp, write.cpp and the codecs: one Codec for each file format, and the rows they exchange.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/message.h"
#include "engine/image/image.h"

namespace impasto::codec {

using Bytes = std::span<const std::uint8_t>;
class Output;

enum class ColourModel : std::uint8_t { kGrey, kRgb, kCmyk, kLab };

/// What a file says of its pixels. These are rows of interleaved integers, alpha (if any) last and not
/// premultiplied. CMYK counts ink: 0 is none. Lab is of 16 bits, encoded as in ICC profiles of version 4: L 0
/// to 100 over the whole range, a and b at 257 steps for each unit, 0 at 0x8080.
struct Header {
  std::int64_t width = 0, height = 0;
  ColourModel model = ColourModel::kRgb;
  bool alpha = false;
  int bits = 8;                       ///< 8 or 16 (in the machine's byte order)
  std::vector<std::uint8_t> icc;      ///< embedded profile, as found
  int orientation = 1;                ///< EXIF, 1 to 8; how the rows are to be turned for display
  std::vector<std::string> warnings;  ///< what a user should know, without the file's name

  [[nodiscard]] int colours() const {
    return model == ColourModel::kGrey ? 1 : model == ColourModel::kCmyk ? 4 : 3;
  }
  [[nodiscard]] int channels() const { return colours() + (alpha ? 1 : 0); }
  [[nodiscard]] std::size_t pixel_bytes() const { return static_cast<std::size_t>(channels() * bits / 8); }
  [[nodiscard]] std::size_t row_bytes() const { return static_cast<std::size_t>(width) * pixel_bytes(); }
  /// Of `rows` rows, left uninitialised, so that a header's claim costs no memory.
  [[nodiscard]] std::unique_ptr<std::uint8_t[]> allocate(std::int64_t rows) const {
    return std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(rows) * row_bytes());
  }
};

/// A file whose header is read, and whose rows come one by one. Holds no more of the pixels than its format
/// cannot do without. All functions throw Error without the file's name; whoever calls them puts it in front.
class Decoder {
 public:
  Decoder() = default;
  virtual ~Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  [[nodiscard]] const Header& header() const { return header_; }
  /// The next one of header().height rows, from the first that is stored, of header().row_bytes(); there
  /// until the next call. Throws Error(kBadInput) where it cannot be read whole.
  [[nodiscard]] virtual const std::uint8_t* next_row() = 0;
  /// After the last row. Throws Error(kBadInput) where the file is not whole behind the pixels; adds the
  /// warnings that need these.
  virtual void finish(std::vector<std::string>& warnings) = 0;

 protected:
  Header header_;
};

/// Rows that are to be encoded: RGB, alpha (if any) last, in the machine's byte order.
struct EncoderRows {
  std::int64_t width = 0, height = 0;
  bool alpha = false;                               ///< only where the codec keeps_alpha
  int bits = 8;                                     ///< 16 only where the codec keeps_16_bits
  std::function<void(std::uint8_t* to)> read_next;  ///< from the top; may throw

  [[nodiscard]] int channels() const { return alpha ? 4 : 3; }
  [[nodiscard]] std::size_t row_bytes() const {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(channels() * bits / 8);
  }
};

/// A file format. All functions throw Error without the file's name; their callers put it in front.
struct Codec {
  const char* name;
  std::vector<std::string> suffixes;  ///< lower case, with the dot
  bool keeps_alpha;
  bool keeps_16_bits;
  std::int64_t most_side;  ///< pixels that a side may have in a file that is written
  bool (*recognises)(Bytes file);
  /// Reads the header, decodes no pixel and allocates nothing of the picture's size: refuses more than
  /// max_pixels before. The bytes must outlive the decoder. Throws Error(kBadInput) where the header, or how
  /// the file is put together, is what is wrong.
  std::unique_ptr<Decoder> (*open)(Bytes file, std::int64_t max_pixels);
  /// Writes the whole file; neither side of the rows is above most_side.
  void (*encode)(const EncoderRows& rows, Output& out, const WriteOptions& options);
};

/// The registry: a new format adds its function here and to all_codecs() in registry.cpp.
const Codec& jpeg();
const Codec& png();
const Codec& webp();
const Codec& tiff();
[[nodiscard]] std::span<const Codec* const> all_codecs();
/// Error(kUsage), naming the known suffixes, for another one; with the file's name.
[[nodiscard]] const Codec& codec_for_suffix(const std::filesystem::path& path);
/// Throws unknown_format where none recognises it.
[[nodiscard]] const Codec& codec_for_content(Bytes file);

/// Runs body, and puts `name` in front of what goes wrong in it (registry.cpp).
void run_named(const std::string& name, const std::function<void()>& body);

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

/// Metadata as an XMP packet: Software is xmp:CreatorTool, Description is dc:description, any other key a
/// property in a namespace of ours (xmp.cpp).
[[nodiscard]] std::string xmp_packet(const std::map<std::string, std::string>& metadata);

}  // namespace impasto::codec
