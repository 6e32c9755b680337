// TIFF through libtiff: writing, and the codec.
#include <algorithm>
#include <cstring>

#include "engine/image/color.h"
#include "engine/image/tiff_stream.h"

namespace impasto::codec {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
constexpr std::size_t kClassicLimit = 3'900'000'000;  // 32-bit offsets, less room for incompressible data
constexpr std::size_t kStripBytes = 256 * 1024;
// From here on a program that looks at a part of the picture should not have to read its whole width.
constexpr std::int64_t kTiledPixels = std::int64_t{1} << 26;
constexpr std::int64_t kTileSide = 256;

struct Strips {
  std::int64_t rows = 1;
  bool tiled = false;
};

Strips strips_of(const EncoderRows& picture) {
  if (picture.width * picture.height >= kTiledPixels && picture.width >= kTileSide) return {kTileSide, true};
  return {static_cast<std::int64_t>(std::max<std::size_t>(1, kStripBytes / picture.row_bytes())), false};
}

void set_tags(TIFF* out, const EncoderRows& picture, const Strips& strips) {
  const bool deflate = TIFFIsCODECConfigured(COMPRESSION_ADOBE_DEFLATE) != 0;
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(picture.width));
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(picture.height));
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, picture.bits);
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, picture.channels());
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(out, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  TIFFSetField(out, TIFFTAG_COMPRESSION, deflate ? COMPRESSION_ADOBE_DEFLATE : COMPRESSION_LZW);
  TIFFSetField(out, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
  if (strips.tiled) {
    TIFFSetField(out, TIFFTAG_TILEWIDTH, static_cast<std::uint32_t>(kTileSide));
    TIFFSetField(out, TIFFTAG_TILELENGTH, static_cast<std::uint32_t>(kTileSide));
  } else {
    TIFFSetField(out, TIFFTAG_ROWSPERSTRIP, static_cast<std::uint32_t>(strips.rows));
  }
  if (picture.alpha) {
    const std::uint16_t kind = EXTRASAMPLE_UNASSALPHA;
    TIFFSetField(out, TIFFTAG_EXTRASAMPLES, 1, &kind);
  }
  TIFFSetField(out, TIFFTAG_ICCPROFILE, static_cast<std::uint32_t>(srgb_profile().size()),
               srgb_profile().data());
}

void set_metadata(TIFF* out, const std::map<std::string, std::string>& metadata) {
  std::string description;
  for (const auto& [key, value] : metadata) {
    if (key == "Software") {
      TIFFSetField(out, TIFFTAG_SOFTWARE, value.c_str());
    } else {
      description += (description.empty() ? "" : "\n") + key + ": " + value;
    }
  }
  if (!description.empty()) TIFFSetField(out, TIFFTAG_IMAGEDESCRIPTION, description.c_str());
  if (metadata.empty()) return;
  const std::string xmp = xmp_packet(metadata);
  TIFFSetField(out, TIFFTAG_XMLPACKET, static_cast<std::uint32_t>(xmp.size()), xmp.data());
}

/// Some rows of the picture as its tiles, which are filled up with zeros beyond its edges.
void write_tiles(TIFF* out, const EncoderRows& picture, const std::uint8_t* band, std::int64_t y,
                 std::int64_t rows, std::vector<std::uint8_t>& tile) {
  const std::size_t pixel = picture.row_bytes() / static_cast<std::size_t>(picture.width);
  const std::size_t line = kTileSide * pixel;
  for (std::int64_t x = 0; x < picture.width; x += kTileSide) {
    const std::size_t width = static_cast<std::size_t>(std::min(kTileSide, picture.width - x)) * pixel;
    tile.assign(kTileSide * line, 0);  // anew: the encoder applies the predictor in place
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      std::memcpy(&tile[row * line], band + row * picture.row_bytes() + static_cast<std::size_t>(x) * pixel,
                  width);
    }
    TIFFWriteEncodedTile(
        out, TIFFComputeTile(out, static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), 0, 0),
        tile.data(), static_cast<tmsize_t>(tile.size()));
  }
}

}  // namespace

void encode_tiff(const EncoderRows& picture, Output& output, const WriteOptions& options) {
  const std::size_t total = picture.row_bytes() * static_cast<std::size_t>(picture.height);
  TiffStream s;
  s.output = &output;
  std::vector<std::uint8_t> buffer(kBufferBytes);  // libtiff, where it finds no memory for one, crashes
  TiffHandle file = open_tiff(s, total > kClassicLimit ? "w8" : "w", 0);
  TIFF* const out = file.get();
  TIFFWriteBufferSetup(out, buffer.data(), static_cast<tmsize_t>(buffer.size()));
  const Strips strips = strips_of(picture);
  set_tags(out, picture, strips);
  set_metadata(out, options.metadata);
  const std::int64_t most = std::min(strips.rows, picture.height);
  std::vector<std::uint8_t> band(picture.row_bytes() * static_cast<std::size_t>(most)), tile;
  for (std::int64_t y = 0; y < picture.height && s.message[0] == '\0'; y += strips.rows) {
    const std::int64_t rows = std::min(strips.rows, picture.height - y);
    for (std::int64_t row = 0; row < rows; ++row) {
      picture.read_next(&band[static_cast<std::size_t>(row) * picture.row_bytes()]);
    }
    if (strips.tiled) {
      write_tiles(out, picture, band.data(), y, rows, tile);
    } else {
      TIFFWriteEncodedStrip(out, TIFFComputeStrip(out, static_cast<std::uint32_t>(y), 0), band.data(),
                            static_cast<tmsize_t>(static_cast<std::size_t>(rows) * picture.row_bytes()));
    }
  }
  file.reset();  // writes the directory
  if (s.message[0] != '\0') {
    throw make_error(ErrorCode::kBadInput, "expected to encode TIFF, found: {}", s.message);
  }
}

namespace {

bool is_tiff(Bytes file) {
  if (file.size() < 4) return false;
  for (const char* magic : {"II*\0", "MM\0*", "II+\0", "MM\0+"}) {  // classic and BigTIFF
    if (std::memcmp(file.data(), magic, 4) == 0) return true;
  }
  return false;
}

}  // namespace

const Codec& tiff() {
  constexpr std::int64_t kMostSide = std::int64_t{1} << 31;
  static const Codec codec{"TIFF",  {".tif", ".tiff"}, true,       true, kMostSide,
                           is_tiff, open_tiff_decoder, encode_tiff};
  return codec;
}

}  // namespace impasto::codec
