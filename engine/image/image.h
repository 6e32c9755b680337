#pragma once
// Pictures on the host, and the files that hold them. Knows nothing of tensors or networks.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/core/size.h"

namespace impasto {

/// An sRGB picture: encoded values (not linear light), 0..1, row by row from the top left. Whatever takes one
/// throws Error(kUsage) where it has no pixels, where a vector has another length than the size says, for a
/// colour that is not finite and for alpha outside of 0..1.
struct Image {
  std::int64_t width = 0, height = 0;
  std::vector<float> rgb;    ///< height * width * 3, interleaved R G B; colour is not premultiplied by alpha
  std::vector<float> alpha;  ///< height * width, or empty: opaque
  [[nodiscard]] bool has_alpha() const { return !alpha.empty(); }
  /// Nothing of it shows: transparent everywhere.
  [[nodiscard]] bool is_invisible() const {
    return has_alpha() && std::none_of(alpha.begin(), alpha.end(), [](float a) { return a > 0; });
  }
  [[nodiscard]] PixelSize size() const { return {width, height}; }
  [[nodiscard]] std::int64_t pixels() const { return width * height; }
};

inline constexpr std::int64_t kDefaultMaxPixels = 300'000'000;

/// Reads JPEG (RGB, grey, CMYK/YCCK), PNG (1 to 16 bit, palette, grey, alpha), WebP or TIFF, recognised by
/// content, not by suffix. The orientation in EXIF or XMP is applied; an embedded ICC profile, or what a PNG
/// says of its colours, is converted to sRGB. docs/images.md has the details. What a user should know of a
/// picture that was read all the same (an animation, a profile that cannot be used) is added to `warnings`,
/// one line "PATH: ..." each, if it is given.
/// Throws Error(kBadInput) "PATH: ..." for a missing, unknown, truncated or damaged file, and for a header
/// that claims more than max_pixels (before anything of that size is allocated).
[[nodiscard]] Image read_image(const std::filesystem::path& path, std::int64_t max_pixels = kDefaultMaxPixels,
                               std::vector<std::string>* warnings = nullptr);
/// The same from memory; `name` stands in messages where the path would.
[[nodiscard]] Image decode_image(const std::uint8_t* data, std::size_t size, const std::string& name,
                                 std::int64_t max_pixels = kDefaultMaxPixels,
                                 std::vector<std::string>* warnings = nullptr);

/// Lanczos overshoots at sharp edges. kKeep leaves that as it is: the filter is linear, for pictures that are
/// being worked on. kClip limits values to 0..1 after each axis, as Pillow does with 8-bit pictures.
enum class Overshoot : std::uint8_t { kKeep, kClip };

/// Which sizes of a picture are wanted, by its own upright size; each at least 1 x 1. What it throws goes
/// through as it is.
using ChooseSizes = std::function<std::vector<PixelSize>(PixelSize own)>;

/// resize(read_image(path), size, overshoot) for each of the sizes that are chosen, in their order and to the
/// last bit, but row by row: beside the file it holds these pictures and as many rows of the whole one as
/// the filter covers. WebP, interlaced PNG and CMYK JPEG without Adobe's marker need a copy of the whole as
/// they store it, progressive JPEG its coefficients, of 2 bytes each, and TIFF a row of strips or tiles.
/// Errors and warnings as of read_image; Error(kUsage) for a size that no picture has.
[[nodiscard]] std::vector<Image> read_image_at(const std::filesystem::path& path, const ChooseSizes& choose,
                                               Overshoot overshoot = Overshoot::kKeep,
                                               std::int64_t max_pixels = kDefaultMaxPixels,
                                               std::vector<std::string>* warnings = nullptr);
/// The same from memory, as decode_image is.
[[nodiscard]] std::vector<Image> decode_image_at(const std::uint8_t* data, std::size_t size,
                                                 const std::string& name, const ChooseSizes& choose,
                                                 Overshoot overshoot = Overshoot::kKeep,
                                                 std::int64_t max_pixels = kDefaultMaxPixels,
                                                 std::vector<std::string>* warnings = nullptr);

/// What the header of a picture file says.
struct PictureInfo {
  std::string format;  ///< as in image_formats
  PixelSize size;      ///< of the picture as read_image gives it: upright
};

/// Format and size of what read_image reads, without decoding a pixel or allocating anything of the picture's
/// size. Warnings are those of read_image that need no pixels. Throws read_image's very Error where the
/// header, or how the file is put together, is what is wrong; damaged pixels, and where JPEG and PNG are cut
/// in them, are not noticed.
[[nodiscard]] PictureInfo probe_image(const std::filesystem::path& path,
                                      std::int64_t max_pixels = kDefaultMaxPixels,
                                      std::vector<std::string>* warnings = nullptr);
/// The same from memory, as decode_image is.
[[nodiscard]] PictureInfo probe_image(const std::uint8_t* data, std::size_t size, const std::string& name,
                                      std::int64_t max_pixels = kDefaultMaxPixels,
                                      std::vector<std::string>* warnings = nullptr);

/// A format of picture files, read and written.
struct ImageFormat {
  std::string name;                   ///< "PNG"
  std::vector<std::string> suffixes;  ///< lower case, with the dot
  bool keeps_alpha = false, keeps_16_bits = false;
};
[[nodiscard]] std::vector<ImageFormat> image_formats();

struct WriteOptions {
  int bits = 8;      ///< 8 or 16 (PNG and TIFF; others write 8)
  int quality = 95;  ///< JPEG and WebP, 1..100
  /// Keys such as "Software", "Comment"; PNG text, EXIF or XMP elsewhere. Written as UTF-8: bytes that are
  /// none and control characters become U+FFFD.
  std::map<std::string, std::string> metadata;
  bool replace = true;  ///< a file that is there
};

/// True where the format of that suffix keeps alpha (PNG, WebP, TIFF). Throws Error(kUsage), naming the
/// known suffixes, for another suffix.
[[nodiscard]] bool output_format_keeps_alpha(const std::filesystem::path& path);
/// The same for 16 bits a channel (PNG, TIFF).
[[nodiscard]] bool output_format_keeps_16_bits(const std::filesystem::path& path);

/// The pixels that a side may have in a file of that suffix: 65500 in JPEG, 16383 in WebP, about 2^31 in
/// others. Throws Error(kUsage) for an unknown suffix.
[[nodiscard]] std::int64_t most_writable_side(const std::filesystem::path& path);

/// Throws what write_image would for a picture of that size: Error(kBadInput) for sides that files of that
/// suffix cannot have, kUsage for an unknown suffix.
void require_writable_size(const std::filesystem::path& path, PixelSize size);

/// Writes by suffix (.png .jpg .jpeg .webp .tif .tiff) with an sRGB profile: the file at `path` is at all
/// times either the old one or the whole new one, on the disk; where an old one is not to be replaced, the
/// Error says under which name beside it the picture is. Where `path` is a link, its target is written, also
/// one that is not there yet. Values are clamped to 0..1 and rounded to nearest. Alpha is dropped where the
/// format has none (composited over white). Throws Error(kUsage) for an unknown suffix, Error(kBadInput) for
/// a place that cannot be written (a missing folder, a folder or device of that name, a name too long, a
/// circle of links, another user's link in a shared folder, a full disk, no permission), leaving nothing
/// behind.
void write_image(const std::filesystem::path& path, const Image& image, const WriteOptions& options = {});

/// A picture whose rows are made when they are written.
struct ImageRows {
  PixelSize size;
  bool alpha = false;
  /// Sets all of `values`, the row's pixels from the left as in Image: R G B, with alpha R G B A. Called for
  /// each row once, from the top. What it throws ends the writing, leaves nothing behind and goes through as
  /// it is.
  std::function<void(std::int64_t row, std::span<float> values)> fill;
};

/// write_image of such a picture, with the same bytes and errors. PNG and JPEG hold one row of it, TIFF a
/// band (of 256 rows where the picture is large), WebP the whole in 8 bits, four bytes a pixel.
void write_image_rows(const std::filesystem::path& path, const ImageRows& rows,
                      const WriteOptions& options = {});

/// Resamples with Pillow's LANCZOS (a = 3, antialiased, along x, then y), float throughout. With kClip the
/// result is within one 8-bit step of Pillow's, for pictures within 0..1. With alpha, colour is weighted by
/// it, so that hidden colour does not leak, and both are clamped to 0..1. Throws Error(kUsage) for a size
/// below 1 x 1 and Error(kResources) where there is not memory enough.
[[nodiscard]] Image resize(const Image& image, PixelSize size, Overshoot overshoot = Overshoot::kKeep);
/// resize(image, size).alpha to the last bit, without the work for its colours. Empty for an opaque picture.
[[nodiscard]] std::vector<float> resize_alpha(const Image& image, PixelSize size);

}  // namespace impasto
