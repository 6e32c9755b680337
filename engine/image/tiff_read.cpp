// A TIFF's strips or tiles as rows: a band of them is held, as high as they are.
#include <algorithm>
#include <cstdio>
#include <limits>

#include "engine/image/tiff_layout.h"

namespace impasto::codec {
namespace {

/// A strip of more bytes than this is read a scanline at a time, where its samples are together: many
/// programs write a picture as a single strip.
constexpr tmsize_t kLargeStrip = tmsize_t{16} << 20;
constexpr std::int64_t kScanlines = 64;  // in a band

/// Copies a strip or tile (one plane of it, if they are separate) of `block_width` pixels a row to the rows
/// from `band` on, its left edge at x0.
template <class T>
void scatter(const TiffLayout& layout, const Header& header, const T* block, std::int64_t block_width,
             std::int64_t rows, std::int64_t x0, T* band, int plane) {
  const std::int64_t columns = std::min(block_width, header.width - x0);
  const int channels = header.channels();
  const int stride = layout.separate ? 1 : layout.samples;
  for (std::int64_t y = 0; y < rows; ++y) {
    T* to = band + (y * header.width + x0) * channels;
    const T* from = block + y * block_width * stride;
    for (int c = 0; c < channels; ++c) {
      if (layout.separate && layout.source[c] != plane) continue;
      const T* sample = from + (layout.separate ? 0 : layout.source[c]);
      for (std::int64_t x = 0; x < columns; ++x) to[x * channels + c] = sample[x * stride];
    }
  }
}

template <class T>
void finish_samples(const TiffLayout& layout, T* pixel, std::int64_t pixels, int channels) {
  constexpr std::uint32_t kMax = std::numeric_limits<T>::max();
  for (std::int64_t i = 0; i < pixels; ++i, pixel += channels) {
    if (layout.premultiplied) {
      const std::uint32_t a = pixel[channels - 1];
      for (int c = 0; c < channels - 1; ++c) {
        pixel[c] = static_cast<T>(a == 0 ? 0 : std::min(kMax, (pixel[c] * kMax + a / 2) / a));
      }
    }
    if (layout.invert) pixel[0] = static_cast<T>(kMax - pixel[0]);
  }
}

/// Numbers that were cut off, or that use so little of their type's range that the picture is black.
void warn_of_range(const SampleCoding& coding, std::vector<std::string>& warnings) {
  constexpr double kTolerance = 0.005, kBlack = 1.0 / 256;
  char text[200];
  if (coding.highest > 1 + kTolerance || coding.lowest < -kTolerance) {
    std::snprintf(text, sizeof text, "expected samples from 0 to 1, found %.4g to %.4g; clipped",
                  coding.lowest, coding.highest);
    warnings.emplace_back(text);
  } else if (coding.highest > 0 && coding.highest < kBlack) {
    std::snprintf(
        text, sizeof text,
        "expected samples that use the range of their type, found none above %.2g of it; the picture is "
        "all but black",
        coding.highest);
    warnings.emplace_back(text);
  }
}

/// What libtiff needs to turn parts of a picture into RGBA.
struct RgbaConversion {
  TIFFRGBAImage image{};
  bool begun = false;
  RgbaConversion() = default;
  ~RgbaConversion() {
    if (begun) TIFFRGBAImageEnd(&image);
  }
  RgbaConversion(const RgbaConversion&) = delete;
  RgbaConversion& operator=(const RgbaConversion&) = delete;
};

class TiffDecoder final : public Decoder {
 public:
  TiffDecoder(Bytes file, std::int64_t max_pixels) { header_ = read_tiff_header(in_, file, max_pixels); }

  const std::uint8_t* next_row() override {
    if (!band_) start();
    if (next_ == end_) load_band();
    const auto row = static_cast<std::size_t>(next_++ - first_);
    return band_.get() + row * header_.row_bytes();
  }

  void finish(std::vector<std::string>& warnings) override {
    if (!in_.converted) warn_of_range(in_.layout.coding, warnings);
  }

 private:
  void start();
  void start_conversion();
  void load_band();
  /// Rows of an own buffer as they are stored: a strip or tile, or some scanlines.
  void read_block(std::int64_t x, std::int64_t rows, std::uint16_t plane);
  template <class T>
  void load_samples(std::int64_t rows);
  void load_converted(std::int64_t rows);

  TiffInput in_;
  RgbaConversion conversion_;
  bool by_scanlines_ = false;
  std::int64_t band_rows_ = 0, first_ = 0, end_ = 0, next_ = 0;
  std::unique_ptr<std::uint8_t[]> band_, stored_, samples_;
  std::unique_ptr<std::uint32_t[]> pixels_;
};

void TiffDecoder::start() {
  TIFF* const file = in_.handle.get();
  if (in_.converted) {
    start_conversion();
  } else {
    const TiffBlocks& blocks = in_.blocks;
    by_scanlines_ = !blocks.tiled && !in_.layout.separate && blocks.bytes > kLargeStrip &&
                    TIFFScanlineSize(file) == blocks.row_bytes;
    band_rows_ = by_scanlines_ ? std::min(kScanlines, blocks.height) : blocks.height;
    const auto bytes = by_scanlines_ ? blocks.row_bytes * band_rows_ : blocks.bytes;
    stored_ = std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(bytes) + 1);
    const std::int64_t samples = blocks.row_samples * band_rows_;
    const bool wide = header_.bits == 16;
    samples_ =
        std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(samples) * (wide ? 2 : 1));
  }
  band_ = header_.allocate(std::min(band_rows_, header_.height));
}

void TiffDecoder::start_conversion() {
  TIFF* const file = in_.handle.get();
  const std::uint32_t tag = TIFFIsTiled(file) ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP;
  band_rows_ = std::clamp<std::int64_t>(tiff_field<std::uint32_t>(file, tag, 1), 1, header_.height);
  TIFFSetField(file, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);  // in memory: turned later, as others are
  char why[1024] = "";
  TIFFRGBAImage& image = conversion_.image;
  conversion_.begun = TIFFRGBAImageBegin(&image, file, 1, why) != 0;
  if (!conversion_.begun) {
    if (in_.stream.message[0] == '\0')
      std::snprintf(in_.stream.message, sizeof in_.stream.message, "%.255s", why);
    throw tiff_failure(in_.stream);
  }
  image.req_orientation = ORIENTATION_TOPLEFT;
  pixels_ =
      std::make_unique_for_overwrite<std::uint32_t[]>(static_cast<std::size_t>(band_rows_ * header_.width));
}

void TiffDecoder::load_band() {
  first_ = end_;
  const std::int64_t rows = std::min(band_rows_, header_.height - first_);
  if (in_.converted) {
    load_converted(rows);
  } else if (header_.bits == 8) {
    load_samples<std::uint8_t>(rows);
  } else {
    load_samples<std::uint16_t>(rows);
  }
  if (header_.model == ColourModel::kLab) {
    const auto photometric =
        tiff_field<std::uint16_t>(in_.handle.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_CIELAB);
    convert_lab(reinterpret_cast<std::uint16_t*>(band_.get()), rows * header_.width, header_.channels(),
                in_.layout.coding.bits, photometric == PHOTOMETRIC_ICCLAB);
  }
  end_ = first_ + rows;
}

void TiffDecoder::read_block(std::int64_t x, std::int64_t rows, std::uint16_t plane) {
  TIFF* const file = in_.handle.get();
  const TiffBlocks& blocks = in_.blocks;
  const auto left = static_cast<std::uint32_t>(x), top = static_cast<std::uint32_t>(first_);
  tmsize_t got = 0;
  if (by_scanlines_) {
    for (std::int64_t y = 0; y < rows; ++y) {
      std::uint8_t* const row = stored_.get() + y * blocks.row_bytes;
      if (TIFFReadScanline(file, row, top + static_cast<std::uint32_t>(y), plane) != 1)
        throw tiff_failure(in_.stream);
      got += blocks.row_bytes;
    }
  } else if (blocks.tiled) {
    got = TIFFReadEncodedTile(file, TIFFComputeTile(file, left, top, 0, plane), stored_.get(), blocks.bytes);
  } else {
    got = TIFFReadEncodedStrip(file, TIFFComputeStrip(file, top, plane), stored_.get(), blocks.bytes);
  }
  const std::int64_t whole = blocks.tiled ? blocks.height : rows;
  if (got < whole * blocks.row_bytes || in_.stream.message[0] != '\0') throw tiff_failure(in_.stream);
}

template <class T>
void TiffDecoder::load_samples(std::int64_t rows) {
  TiffLayout& layout = in_.layout;
  const TiffBlocks& blocks = in_.blocks;
  const bool as_stored = layout.coding.bits == 8 * static_cast<int>(sizeof(T)) &&
                         layout.coding.format == SampleFormat::kUnsigned;
  const T* const block = reinterpret_cast<const T*>(as_stored ? stored_.get() : samples_.get());
  T* const band = reinterpret_cast<T*>(band_.get());
  const int planes = layout.separate ? layout.samples : 1;
  const int* const wanted = layout.source;
  for (int plane = 0; plane < planes; ++plane) {
    // Planes of no meaning are sometimes not even stored.
    if (layout.separate &&
        std::find(wanted, wanted + header_.channels(), plane) == wanted + header_.channels()) {
      continue;
    }
    for (std::int64_t x = 0; x < header_.width; x += blocks.width) {
      read_block(x, rows, static_cast<std::uint16_t>(plane));
      const std::int64_t converted = as_stored ? 0 : blocks.tiled ? blocks.height : rows;
      for (std::int64_t row = 0; row < converted; ++row) {
        convert_samples(layout.coding, stored_.get() + row * blocks.row_bytes, blocks.row_samples,
                        reinterpret_cast<T*>(samples_.get()) + row * blocks.row_samples);
      }
      scatter(layout, header_, block, blocks.width, rows, x, band, plane);
    }
  }
  if (layout.invert || layout.premultiplied) {
    finish_samples(layout, band, rows * header_.width, header_.channels());
  }
}

/// Anything that libtiff can turn into 8-bit RGBA, premultiplied.
void TiffDecoder::load_converted(std::int64_t rows) {
  conversion_.image.row_offset = static_cast<int>(first_);
  if (!TIFFRGBAImageGet(&conversion_.image, pixels_.get(), static_cast<std::uint32_t>(header_.width),
                        static_cast<std::uint32_t>(rows)) ||
      in_.stream.message[0] != '\0') {
    throw tiff_failure(in_.stream);
  }
  std::uint8_t* to = band_.get();
  for (std::int64_t i = 0; i < rows * header_.width; ++i) {
    const std::uint32_t p = pixels_[static_cast<std::size_t>(i)];
    *to++ = static_cast<std::uint8_t>(TIFFGetR(p));
    *to++ = static_cast<std::uint8_t>(TIFFGetG(p));
    *to++ = static_cast<std::uint8_t>(TIFFGetB(p));
    if (header_.alpha) *to++ = static_cast<std::uint8_t>(TIFFGetA(p));
  }
  if (!header_.alpha) return;
  TiffLayout layout;
  layout.premultiplied = true;
  finish_samples(layout, band_.get(), rows * header_.width, header_.channels());
}

}  // namespace

std::unique_ptr<Decoder> open_tiff_decoder(Bytes file, std::int64_t max_pixels) {
  return std::make_unique<TiffDecoder>(file, max_pixels);
}

}  // namespace impasto::codec
