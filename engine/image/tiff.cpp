// TIFF through libtiff: writing, and the codec. Reading is in tiff_read.cpp.
#include <algorithm>
#include <cstring>

#include "engine/image/tiff_stream.h"

namespace impasto::codec {

std::vector<std::uint8_t> encode_tiff(const Raster& picture, const WriteOptions& options) {
  constexpr std::size_t kClassicLimit = 3'900'000'000;  // 32-bit offsets, less room for incompressible data
  constexpr std::size_t kStripBytes = 256 * 1024;
  const std::size_t total = picture.row_bytes() * static_cast<std::size_t>(picture.height);
  TiffStream s;
  s.writing = true;
  TiffHandle file = open_tiff(s, total > kClassicLimit ? "w8" : "w", 0);
  TIFF* out = file.get();
  const bool deflate = TIFFIsCODECConfigured(COMPRESSION_ADOBE_DEFLATE) != 0;
  const auto rows = static_cast<std::int64_t>(std::max<std::size_t>(1, kStripBytes / picture.row_bytes()));
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(picture.width));
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(picture.height));
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, picture.bits);
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, picture.channels());
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(out, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  TIFFSetField(out, TIFFTAG_COMPRESSION, deflate ? COMPRESSION_ADOBE_DEFLATE : COMPRESSION_LZW);
  TIFFSetField(out, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
  TIFFSetField(out, TIFFTAG_ROWSPERSTRIP, static_cast<std::uint32_t>(rows));
  if (picture.alpha) {
    const std::uint16_t kind = EXTRASAMPLE_UNASSALPHA;
    TIFFSetField(out, TIFFTAG_EXTRASAMPLES, 1, &kind);
  }
  TIFFSetField(out, TIFFTAG_ICCPROFILE, static_cast<std::uint32_t>(srgb_profile().size()),
               srgb_profile().data());
  std::string description;
  for (const auto& [key, value] : options.metadata) {
    if (key == "Software") {
      TIFFSetField(out, TIFFTAG_SOFTWARE, value.c_str());
    } else {
      description += (description.empty() ? "" : "\n") + key + ": " + value;
    }
  }
  if (!description.empty()) TIFFSetField(out, TIFFTAG_IMAGEDESCRIPTION, description.c_str());
  if (!options.metadata.empty()) {
    const std::string xmp = xmp_packet(options.metadata);
    TIFFSetField(out, TIFFTAG_XMLPACKET, static_cast<std::uint32_t>(xmp.size()), xmp.data());
  }
  // The encoder applies the predictor in place, so a strip is handed over as a copy.
  std::vector<std::uint8_t> strip;
  for (std::int64_t y = 0; y < picture.height && s.message[0] == '\0'; y += rows) {
    strip.assign(picture.row(y), picture.row(std::min(y + rows, picture.height)));
    TIFFWriteEncodedStrip(out, TIFFComputeStrip(out, static_cast<std::uint32_t>(y), 0), strip.data(),
                          static_cast<tmsize_t>(strip.size()));
  }
  file.reset();  // writes the directory
  if (s.message[0] != '\0') {
    throw make_error(ErrorCode::kBadInput, "expected to encode TIFF, found: {}", s.message);
  }
  return std::move(s.written);
}

namespace {

bool recognises(Bytes file) {
  if (file.size() < 4) return false;
  for (const char* magic : {"II*\0", "MM\0*", "II+\0", "MM\0+"}) {  // classic and BigTIFF
    if (std::memcmp(file.data(), magic, 4) == 0) return true;
  }
  return false;
}

}  // namespace

const Codec& tiff() {
  static const Codec codec{"TIFF",     {".tif", ".tiff"}, true,        true,
                           recognises, probe_tiff,        decode_tiff, encode_tiff};
  return codec;
}

}  // namespace impasto::codec
