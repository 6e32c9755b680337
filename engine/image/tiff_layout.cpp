// Grey, RGB, CMYK and Lab are read as they are; palettes, YCbCr and other colour codings through libtiff's
// own conversion to 8-bit RGB.
#include "engine/image/tiff_layout.h"

#include <algorithm>
#include <string_view>

#include "engine/image/exif.h"

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

TiffBlocks blocks_of(TIFF* file, const TiffStream& s, const TiffLayout& layout, const Header& header,
                     std::int64_t max_pixels) {
  TiffBlocks blocks;
  blocks.tiled = TIFFIsTiled(file) != 0;
  blocks.width = blocks.tiled
                     ? static_cast<std::int64_t>(tiff_field<std::uint32_t>(file, TIFFTAG_TILEWIDTH, 0))
                     : header.width;
  blocks.height =
      blocks.tiled
          ? static_cast<std::int64_t>(tiff_field<std::uint32_t>(file, TIFFTAG_TILELENGTH, 0))
          : std::min<std::int64_t>(header.height, tiff_field<std::uint32_t>(file, TIFFTAG_ROWSPERSTRIP, 1));
  constexpr std::int64_t kSmallPicture = 1 << 24;  // tiles may be larger than the picture
  check_size(blocks.width, blocks.height, std::max(max_pixels, kSmallPicture));
  blocks.bytes = blocks.tiled ? TIFFTileSize(file) : TIFFStripSize(file);
  blocks.row_samples = blocks.width * (layout.separate ? 1 : layout.samples);
  blocks.row_bytes = (blocks.row_samples * layout.coding.bits + 7) / 8;
  if (blocks.bytes < blocks.row_bytes * blocks.height) throw tiff_failure(s);
  return blocks;
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
void read_beside_pixels(TIFF* file, const TiffStream& s, const TiffDirectory& picture, Header& header) {
  std::uint32_t size = 0;
  void* data = nullptr;
  const auto bytes = [&] { return Bytes(static_cast<const std::uint8_t*>(data), size); };
  if (TIFFGetField(file, TIFFTAG_ICCPROFILE, &size, &data)) header.icc.assign(bytes().begin(), bytes().end());
  if (picture.orientation >= 1 && picture.orientation <= 8) {
    header.orientation = static_cast<int>(picture.orientation);
  } else if (TIFFGetField(file, TIFFTAG_XMLPACKET, &size, &data)) {
    header.orientation = xmp_orientation(bytes());
  }
  const std::string_view ignored = s.ignored;
  if (!ignored.empty() && ignored.find("Bad value") == ignored.npos) {
    header.warnings.push_back("expected whole tags, found: " + std::string(ignored) +
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

/// Sets the header's model; false for colours that libtiff is to convert. Files that do not say what their
/// colours are have RGB from three samples on.
bool choose_model(TIFF* file, std::uint16_t photometric, TiffLayout& layout, Header& header) {
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
      layout.invert = true;
      header.model = ColourModel::kGrey;
      return true;
    case PHOTOMETRIC_MINISBLACK: header.model = ColourModel::kGrey; return true;
    case PHOTOMETRIC_RGB: header.model = ColourModel::kRgb; return true;
    case PHOTOMETRIC_SEPARATED:
      header.model = ColourModel::kCmyk;
      return tiff_field<std::uint16_t>(file, TIFFTAG_INKSET, INKSET_CMYK) == INKSET_CMYK;
    case PHOTOMETRIC_CIELAB:
    case PHOTOMETRIC_ICCLAB:
      header.model = ColourModel::kLab;
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
void place_channels(TIFF* file, TiffLayout& layout, Header& header, bool known) {
  constexpr int kMaxSamples = 64;
  const int colours = header.colours();
  if (layout.samples > kMaxSamples || (known && layout.samples < colours)) {
    throw unsupported(fmt::format("{} to {} samples a pixel", colours, kMaxSamples),
                      std::to_string(layout.samples));
  }
  for (int c = 0; c < colours; ++c) layout.source[c] = c;
  std::uint16_t extra_count = 0;
  const std::uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(file, TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
  for (int i = 0; i < extra_count && colours + i < layout.samples && !header.alpha; ++i) {
    header.alpha = extra[i] == EXTRASAMPLE_ASSOCALPHA || extra[i] == EXTRASAMPLE_UNASSALPHA;
    layout.premultiplied = extra[i] == EXTRASAMPLE_ASSOCALPHA;
    layout.source[colours] = colours + i;
  }
}

/// How the samples are stored and what becomes of them: layout, blocks and the rows' kind of samples.
void read_layout(TiffInput& in, const TiffDirectory& picture, Header& header, std::int64_t max_pixels) {
  TIFF* const file = in.handle.get();
  TiffLayout& layout = in.layout;
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
  in.converted = !choose_model(file, photometric, layout, header);
  if (!in.converted && !layout.coding.is_known()) {
    throw unsupported(kTiffExpected, fmt::format("one with samples of {} bits", layout.coding.bits));
  }
  place_channels(file, layout, header, !in.converted);
  if (in.converted) {
    if (char why[1024] = ""; !TIFFRGBAImageOK(file, why)) {
      throw unsupported(kTiffExpected, std::string("one with: ") + why);
    }
    header.model = ColourModel::kRgb;
    header.bits = 8;
  } else {
    header.bits = header.model == ColourModel::kLab ? 16 : layout.coding.row_bits();
    in.blocks = blocks_of(file, in.stream, layout, header, max_pixels);
  }
}

}  // namespace

Header read_tiff_header(TiffInput& in, Bytes bytes, std::int64_t max_pixels) {
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
  Header header;
  header.width = tiff_field<std::uint32_t>(file, TIFFTAG_IMAGEWIDTH, 0);
  header.height = tiff_field<std::uint32_t>(file, TIFFTAG_IMAGELENGTH, 0);
  check_size(header.width, header.height, max_pixels);
  check_complete(file, in.stream);
  read_beside_pixels(file, in.stream, picture, header);
  if (const std::int64_t pages = count_pages(directories); pages > 1) {
    header.warnings.push_back(fmt::format("expected one picture, found {} pages; the first is taken", pages));
  }
  read_layout(in, picture, header, max_pixels);
  return header;
}

}  // namespace impasto::codec
