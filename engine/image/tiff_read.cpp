// Grey, RGB, CMYK and Lab are read as they are; palettes, YCbCr and other colour codings through libtiff's
// own conversion to 8-bit RGB.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <string_view>

#include "engine/image/exif.h"
#include "engine/image/tiff_directories.h"
#include "engine/image/tiff_samples.h"
#include "engine/image/tiff_stream.h"

namespace impasto::codec {
namespace {

/// A file may be cut where neither libtiff nor a decoder would notice: in the directory's last field, or at
/// the end of a strip whose pixels are already known.
void check_complete(TIFF* file, const TiffStream& s) {
  const Bytes bytes = s.input;
  const bool big = TIFFIsBigTIFF(file) != 0, big_endian = TIFFIsBigEndian(file) != 0;
  const std::uint64_t directory = TIFFCurrentDirOffset(file);
  const std::size_t count_bytes = big ? 8 : 2, entry_bytes = big ? 20 : 12, link_bytes = big ? 8 : 4;
  std::uint64_t entries = 0;  // libtiff has read them, so they are inside
  for (std::size_t i = 0; i < count_bytes; ++i) {
    entries = entries << 8 | bytes[directory + (big_endian ? i : count_bytes - 1 - i)];
  }
  bool complete = directory + count_bytes + entries * entry_bytes + link_bytes <= bytes.size();
  const std::uint32_t strips = TIFFIsTiled(file) ? TIFFNumberOfTiles(file) : TIFFNumberOfStrips(file);
  for (std::uint32_t i = 0; i < strips && complete; ++i) {
    const std::uint64_t offset = TIFFGetStrileOffset(file, i), size = TIFFGetStrileByteCount(file, i);
    complete = offset <= bytes.size() && size <= bytes.size() - offset;
  }
  if (s.message[0] != '\0') throw tiff_failure(s);
  if (!complete) throw damaged("TIFF", "the file ends too early");
}

/// How a file's samples become the raster's channels.
struct Layout {
  SampleCoding coding;
  int samples = 1;     ///< in each pixel of the file
  int source[5] = {};  ///< for each channel of the raster, the sample that it comes from
  bool separate = false;
  bool invert = false;         ///< grey where 0 is white
  bool premultiplied = false;  ///< colour is stored times alpha
};

/// Copies a strip or tile (one plane of it, if they are separate) of `block_width` pixels a row to (x0, y0).
template <class T>
void scatter(const Layout& layout, Raster& raster, const T* block, std::int64_t block_width,
             std::int64_t block_height, std::int64_t x0, std::int64_t y0, int plane) {
  const std::int64_t columns = std::min(block_width, raster.width - x0);
  const std::int64_t rows = std::min(block_height, raster.height - y0);
  const int channels = raster.channels();
  const int stride = layout.separate ? 1 : layout.samples;
  for (std::int64_t y = 0; y < rows; ++y) {
    T* to = reinterpret_cast<T*>(raster.row(y0 + y)) + x0 * channels;
    const T* from = block + y * block_width * stride;
    for (int c = 0; c < channels; ++c) {
      if (layout.separate && layout.source[c] != plane) continue;
      const T* sample = from + (layout.separate ? 0 : layout.source[c]);
      for (std::int64_t x = 0; x < columns; ++x) to[x * channels + c] = sample[x * stride];
    }
  }
}

template <class T>
void finish(const Layout& layout, Raster& raster) {
  constexpr std::uint32_t kMax = std::numeric_limits<T>::max();
  const int channels = raster.channels();
  T* pixel = reinterpret_cast<T*>(raster.samples.get());
  for (std::int64_t i = 0; i < raster.width * raster.height; ++i, pixel += channels) {
    if (layout.premultiplied) {
      const std::uint32_t a = pixel[channels - 1];
      for (int c = 0; c < channels - 1; ++c) {
        pixel[c] = static_cast<T>(a == 0 ? 0 : std::min(kMax, (pixel[c] * kMax + a / 2) / a));
      }
    }
    if (layout.invert) pixel[0] = static_cast<T>(kMax - pixel[0]);
  }
}

/// The strips or tiles in which samples are stored (one plane of them, if planes are separate).
struct Blocks {
  bool tiled = false;
  std::int64_t width = 0, height = 0;
  std::int64_t row_samples = 0;
  tmsize_t row_bytes = 0, bytes = 0;
};

Blocks blocks_of(TIFF* file, const TiffStream& s, const Layout& layout, const Raster& raster,
                 std::int64_t max_pixels) {
  Blocks blocks;
  blocks.tiled = TIFFIsTiled(file) != 0;
  blocks.width = blocks.tiled
                     ? static_cast<std::int64_t>(tiff_field<std::uint32_t>(file, TIFFTAG_TILEWIDTH, 0))
                     : raster.width;
  blocks.height =
      blocks.tiled
          ? static_cast<std::int64_t>(tiff_field<std::uint32_t>(file, TIFFTAG_TILELENGTH, 0))
          : std::min<std::int64_t>(raster.height, tiff_field<std::uint32_t>(file, TIFFTAG_ROWSPERSTRIP, 1));
  constexpr std::int64_t kSmallPicture = 1 << 24;  // tiles may be larger than the picture
  check_size(blocks.width, blocks.height, std::max(max_pixels, kSmallPicture));
  blocks.bytes = blocks.tiled ? TIFFTileSize(file) : TIFFStripSize(file);
  blocks.row_samples = blocks.width * (layout.separate ? 1 : layout.samples);
  blocks.row_bytes = (blocks.row_samples * layout.coding.bits + 7) / 8;
  if (blocks.bytes < blocks.row_bytes * blocks.height) throw tiff_failure(s);
  return blocks;
}

/// A file whose directory is read.
struct Input {
  TiffStream stream;
  TiffHandle handle{nullptr, &TIFFClose};
  Layout layout;
  Blocks blocks;
  bool converted = false;  ///< by libtiff: layout and blocks say nothing then
  Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
};

template <class T>
void read_samples(Input& in, Raster& raster) {
  TIFF* const file = in.handle.get();
  const TiffStream& s = in.stream;
  Layout& layout = in.layout;
  const auto [tiled, block_width, block_height, row_samples, row_bytes, size] = in.blocks;
  const bool as_stored = layout.coding.bits == 8 * static_cast<int>(sizeof(T)) &&
                         layout.coding.format == SampleFormat::kUnsigned;
  const auto stored = std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(size) + 1);
  const auto converted = std::make_unique_for_overwrite<T[]>(
      as_stored ? 0 : static_cast<std::size_t>(row_samples * block_height));
  const T* const block = as_stored ? reinterpret_cast<const T*>(stored.get()) : converted.get();

  const int planes = layout.separate ? layout.samples : 1;
  const int* const wanted = layout.source;
  for (int plane = 0; plane < planes; ++plane) {
    // Planes of no meaning are sometimes not even stored.
    if (layout.separate &&
        std::find(wanted, wanted + raster.channels(), plane) == wanted + raster.channels()) {
      continue;
    }
    const auto sample = static_cast<std::uint16_t>(plane);
    for (std::int64_t y = 0; y < raster.height; y += block_height) {
      for (std::int64_t x = 0; x < raster.width; x += block_width) {
        const auto left = static_cast<std::uint32_t>(x), top = static_cast<std::uint32_t>(y);
        const tmsize_t rows = tiled ? block_height : std::min(block_height, raster.height - y);
        const tmsize_t got =
            tiled ? TIFFReadEncodedTile(file, TIFFComputeTile(file, left, top, 0, sample), stored.get(), size)
                  : TIFFReadEncodedStrip(file, TIFFComputeStrip(file, top, sample), stored.get(), size);
        if (got < rows * row_bytes || s.message[0] != '\0') throw tiff_failure(s);
        for (std::int64_t row = 0; row < rows && !as_stored; ++row) {
          convert_samples(layout.coding, stored.get() + row * row_bytes, row_samples,
                          converted.get() + row * row_samples);
        }
        scatter(layout, raster, block, block_width, rows, x, y, plane);
      }
    }
  }
  if (layout.invert || layout.premultiplied) finish<T>(layout, raster);
}

/// Anything that libtiff can turn into 8-bit RGBA, premultiplied.
void read_converted(TIFF* file, const TiffStream& s, Raster& raster) {
  const auto width = static_cast<std::uint32_t>(raster.width);
  const auto height = static_cast<std::uint32_t>(raster.height);
  const auto pixels =
      std::make_unique_for_overwrite<std::uint32_t[]>(static_cast<std::size_t>(raster.width * raster.height));
  TIFFSetField(file, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);  // in memory: turned later, as others are
  if (!TIFFReadRGBAImageOriented(file, width, height, pixels.get(), ORIENTATION_TOPLEFT, 1) ||
      s.message[0] != '\0') {
    throw tiff_failure(s);
  }
  std::uint8_t* to = raster.samples.get();
  for (std::int64_t i = 0; i < raster.width * raster.height; ++i) {
    const std::uint32_t p = pixels[static_cast<std::size_t>(i)];
    *to++ = static_cast<std::uint8_t>(TIFFGetR(p));
    *to++ = static_cast<std::uint8_t>(TIFFGetG(p));
    *to++ = static_cast<std::uint8_t>(TIFFGetB(p));
    if (raster.alpha) *to++ = static_cast<std::uint8_t>(TIFFGetA(p));
  }
  Layout layout;
  layout.premultiplied = raster.alpha;
  if (raster.alpha) finish<std::uint8_t>(layout, raster);
}

/// Opens the directory of the picture itself.
TiffHandle open_picture(TiffStream& s, std::int64_t max_pixels, const TiffDirectory& picture) {
  // The largest thing libtiff itself allocates is one compressed strip, at worst about the whole picture.
  const std::int64_t most = std::min<std::int64_t>(max_pixels, std::int64_t{1} << 36);
  TiffHandle file = open_tiff(s, "rh", (std::int64_t{64} << 20) + 16 * most);
  s.reading_directory = true;
  const bool read = TIFFSetSubDirectory(file.get(), picture.offset) != 0;
  s.reading_directory = false;
  if (!read) throw tiff_failure(s);
  return file;
}

/// Orientation, profile, and what a user should know.
void read_beside_pixels(TIFF* file, const TiffStream& s, const TiffDirectory& picture, Raster& raster) {
  std::uint32_t size = 0;
  void* data = nullptr;
  const auto bytes = [&] { return Bytes(static_cast<const std::uint8_t*>(data), size); };
  if (TIFFGetField(file, TIFFTAG_ICCPROFILE, &size, &data)) raster.icc.assign(bytes().begin(), bytes().end());
  if (picture.orientation >= 1 && picture.orientation <= 8) {
    raster.orientation = static_cast<int>(picture.orientation);
  } else if (TIFFGetField(file, TIFFTAG_XMLPACKET, &size, &data)) {
    raster.orientation = xmp_orientation(bytes());
  }
  const std::string_view ignored = s.ignored;
  if (!ignored.empty() && ignored.find("Bad value") == ignored.npos) {
    raster.warnings.push_back("expected whole tags, found: " + std::string(ignored) +
                              "; the pixels do not depend on it");
  }
}

/// The names of ways of compression that libtiff is seldom or never built with.
std::string compression_name(std::uint16_t compression) {
  switch (compression) {
    case 33003:
    case 33005:
    case 34712: return "JPEG 2000";
    case 34661: return "JBIG";
    case 34713: return "Nikon's raw format";
    case 34887: return "LERC";
    case 34892: return "lossy DNG";
    case 34925: return "LZMA";
    case 34933:
    case 34934: return "PNG or JPEG XR";
    case 50000: return "Zstandard";
    case 50001: return "WebP";
    case 50002:
    case 52546: return "JPEG XL";
    default: return fmt::format("way {}", compression);
  }
}

/// Sets the raster's model; false for colours that libtiff is to convert. Files that do not say what their
/// colours are have RGB from three samples on.
bool choose_model(TIFF* file, std::uint16_t photometric, Layout& layout, Raster& raster) {
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
      layout.invert = true;
      raster.model = ColourModel::kGrey;
      return true;
    case PHOTOMETRIC_MINISBLACK: raster.model = ColourModel::kGrey; return true;
    case PHOTOMETRIC_RGB: raster.model = ColourModel::kRgb; return true;
    case PHOTOMETRIC_SEPARATED:
      raster.model = ColourModel::kCmyk;
      return tiff_field<std::uint16_t>(file, TIFFTAG_INKSET, INKSET_CMYK) == INKSET_CMYK;
    case PHOTOMETRIC_CIELAB:
    case PHOTOMETRIC_ICCLAB:
      raster.model = ColourModel::kLab;
      if (layout.coding.bits != 8 && layout.coding.bits != 16) {
        throw unsupported(kTiffExpected, fmt::format("Lab of {} bits", layout.coding.bits));
      }
      layout.coding.format = SampleFormat::kUnsigned;  // the sign of a and b comes later
      return true;
    case PHOTOMETRIC_ITULAB: throw unsupported(kTiffExpected, "one with colours in ITU's Lab");
    default: return false;
  }
}

std::uint16_t photometric_of(TIFF* file, const TiffDirectory& picture, int samples,
                             std::uint16_t compression) {
  if (picture.has_photometric) return tiff_field<std::uint16_t>(file, TIFFTAG_PHOTOMETRIC, 0xFFFF);
  if (samples - static_cast<std::int64_t>(picture.extra_samples) >= 3) return PHOTOMETRIC_RGB;
  const bool fax = compression >= COMPRESSION_CCITTRLE && compression <= COMPRESSION_CCITTFAX4;
  return fax ? PHOTOMETRIC_MINISWHITE : PHOTOMETRIC_MINISBLACK;
}

SampleCoding coding_of(TIFF* file) {
  SampleCoding coding;
  coding.bits = tiff_field<std::uint16_t>(file, TIFFTAG_BITSPERSAMPLE, 1);
  switch (tiff_field<std::uint16_t>(file, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT)) {
    case SAMPLEFORMAT_INT:
      // Bytes are taken without their sign, as libtiff and Pillow do: that many files only claim one.
      coding.format = coding.bits == 8 ? SampleFormat::kUnsigned : SampleFormat::kSigned;
      break;
    case SAMPLEFORMAT_IEEEFP: coding.format = SampleFormat::kFloat; break;
    case SAMPLEFORMAT_COMPLEXINT:
    case SAMPLEFORMAT_COMPLEXIEEEFP: throw unsupported(kTiffExpected, "one of complex numbers");
    default: break;
  }
  return coding;
}

/// Where colour and alpha stand among the samples of a pixel.
void place_channels(TIFF* file, Layout& layout, Raster& raster, bool known) {
  constexpr int kMaxSamples = 64;
  const int colours = raster.colours();
  if (layout.samples > kMaxSamples || (known && layout.samples < colours)) {
    throw unsupported(fmt::format("{} to {} samples a pixel", colours, kMaxSamples),
                      std::to_string(layout.samples));
  }
  for (int c = 0; c < colours; ++c) layout.source[c] = c;
  std::uint16_t extra_count = 0;
  const std::uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(file, TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
  for (int i = 0; i < extra_count && colours + i < layout.samples && !raster.alpha; ++i) {
    raster.alpha = extra[i] == EXTRASAMPLE_ASSOCALPHA || extra[i] == EXTRASAMPLE_UNASSALPHA;
    layout.premultiplied = extra[i] == EXTRASAMPLE_ASSOCALPHA;
    layout.source[colours] = colours + i;
  }
}

/// Numbers that were cut off, or that use so little of their type's range that the picture is black.
void warn_of_range(const SampleCoding& coding, Raster& raster) {
  constexpr double kTolerance = 0.005, kBlack = 1.0 / 256;
  char text[200];
  if (coding.highest > 1 + kTolerance || coding.lowest < -kTolerance) {
    std::snprintf(text, sizeof text, "expected samples from 0 to 1, found %.4g to %.4g; clipped",
                  coding.lowest, coding.highest);
    raster.warnings.emplace_back(text);
  } else if (coding.highest > 0 && coding.highest < kBlack) {
    std::snprintf(
        text, sizeof text,
        "expected samples that use the range of their type, found none above %.2g of it; the picture is "
        "all but black",
        coding.highest);
    raster.warnings.emplace_back(text);
  }
}

void read_pixels(Input& in, Raster& raster) {
  const int stored_bits = in.layout.coding.bits;
  if (raster.bits == 8) {
    read_samples<std::uint8_t>(in, raster);
  } else {
    read_samples<std::uint16_t>(in, raster);
  }
  if (raster.model == ColourModel::kLab) {
    const auto photometric =
        tiff_field<std::uint16_t>(in.handle.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_CIELAB);
    convert_lab(raster, stored_bits, photometric == PHOTOMETRIC_ICCLAB);
  }
  warn_of_range(in.layout.coding, raster);
}

/// How the samples are stored and what becomes of them: layout, blocks and the raster's kind of samples.
void read_layout(Input& in, const TiffDirectory& picture, Raster& raster, std::int64_t max_pixels) {
  TIFF* const file = in.handle.get();
  Layout& layout = in.layout;
  const auto compression = tiff_field<std::uint16_t>(file, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (!TIFFIsCODECConfigured(compression)) {
    throw unsupported(kTiffExpected, "one that is compressed by " + compression_name(compression));
  }
  layout.coding = coding_of(file);
  layout.samples = tiff_field<std::uint16_t>(file, TIFFTAG_SAMPLESPERPIXEL, 1);
  layout.separate =
      tiff_field<std::uint16_t>(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  std::uint16_t photometric = photometric_of(file, picture, layout.samples, compression);
  if (compression == COMPRESSION_JPEG && photometric == PHOTOMETRIC_YCBCR && !layout.separate) {
    TIFFSetField(file, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    photometric = PHOTOMETRIC_RGB;
  }
  if (compression == COMPRESSION_JPEG && layout.coding.bits != 8) {
    throw unsupported(kTiffExpected, fmt::format("one with JPEG of {} bits inside", layout.coding.bits));
  }
  in.converted = !choose_model(file, photometric, layout, raster);
  if (!in.converted && !layout.coding.is_known()) {
    throw unsupported(kTiffExpected, fmt::format("one with samples of {} bits", layout.coding.bits));
  }
  place_channels(file, layout, raster, !in.converted);
  if (in.converted) {
    if (char why[1024] = ""; !TIFFRGBAImageOK(file, why)) {
      throw unsupported(kTiffExpected, std::string("one with: ") + why);
    }
    raster.model = ColourModel::kRgb;
    raster.bits = 8;
  } else {
    raster.bits = raster.model == ColourModel::kLab ? 16 : layout.coding.raster_bits();
    in.blocks = blocks_of(file, in.stream, layout, raster, max_pixels);
  }
}

/// All but the pixels.
Raster read_header(Input& in, Bytes bytes, std::int64_t max_pixels) {
  const std::vector<TiffDirectory> directories = tiff_directories(bytes);
  if (directories.empty()) throw damaged("TIFF", "no directory of its tags");
  if (const std::string raw = raw_camera_kind(bytes, directories); !raw.empty()) {
    throw Error(ErrorCode::kBadInput,
                "expected a JPEG, PNG, WebP or TIFF picture, found " + raw + kDevelopRaw);
  }
  const TiffDirectory& picture = main_picture(directories);
  in.stream.input = bytes;
  in.handle = open_picture(in.stream, max_pixels, picture);
  TIFF* const file = in.handle.get();
  Raster raster;
  raster.width = tiff_field<std::uint32_t>(file, TIFFTAG_IMAGEWIDTH, 0);
  raster.height = tiff_field<std::uint32_t>(file, TIFFTAG_IMAGELENGTH, 0);
  check_size(raster.width, raster.height, max_pixels);
  check_complete(file, in.stream);
  read_beside_pixels(file, in.stream, picture, raster);
  if (const std::int64_t pages = count_pages(directories); pages > 1) {
    raster.warnings.push_back(fmt::format("expected one picture, found {} pages; the first is taken", pages));
  }
  read_layout(in, picture, raster, max_pixels);
  return raster;
}

}  // namespace

Raster probe_tiff(Bytes bytes, std::int64_t max_pixels) {
  Input in;
  return read_header(in, bytes, max_pixels);
}

Raster decode_tiff(Bytes bytes, std::int64_t max_pixels) {
  Input in;
  Raster raster = read_header(in, bytes, max_pixels);
  raster.allocate();
  if (in.converted) {
    read_converted(in.handle.get(), in.stream, raster);
  } else {
    read_pixels(in, raster);
  }
  return raster;
}

}  // namespace impasto::codec
