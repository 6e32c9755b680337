#include "engine/image/tiff_stream.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string_view>

namespace impasto::codec {
namespace {

TiffStream& stream(thandle_t handle) { return *static_cast<TiffStream*>(handle); }

tmsize_t on_read(thandle_t handle, void* to, tmsize_t size) {
  TiffStream& s = stream(handle);
  const Bytes all = s.input;
  if (s.position >= all.size() || size <= 0) return 0;
  const auto n = std::min<std::uint64_t>(static_cast<std::uint64_t>(size), all.size() - s.position);
  std::memcpy(to, all.data() + s.position, n);
  s.position += n;
  return static_cast<tmsize_t>(n);
}
tmsize_t on_write(thandle_t handle, void* from, tmsize_t size) {
  TiffStream& s = stream(handle);
  if (s.output == nullptr || size <= 0 || from == nullptr) return 0;  // null: libtiff found no memory
  const auto bytes = static_cast<std::size_t>(size);
  // libtiff reports it as a failed write
  if (!s.output->try_seek(s.position) || !s.output->try_write(from, bytes)) return 0;
  s.position += bytes;
  return size;
}
toff_t on_seek(thandle_t handle, toff_t offset, int whence) {
  TiffStream& s = stream(handle);
  const std::uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s.position : s.size();
  return s.position = base + offset;
}
int on_close(thandle_t) { return 0; }
toff_t on_size(thandle_t handle) { return stream(handle).size(); }
int no_map(thandle_t, void**, toff_t*) { return 0; }
void no_unmap(thandle_t, void*, toff_t) {}

/// libtiff puts the tag's name into quotes. True where it is one that pixels or their colours depend on, and
/// where no tag is named.
bool concerns_pixels(std::string_view message) {
  constexpr const char* kTags[] = {"ImageWidth",
                                   "ImageLength",
                                   "BitsPerSample",
                                   "Compression",
                                   "FillOrder",
                                   "PhotometricInterpretation",
                                   "StripOffsets",
                                   "SamplesPerPixel",
                                   "RowsPerStrip",
                                   "StripByteCounts",
                                   "PlanarConfiguration",
                                   "ColorMap",
                                   "ExtraSamples",
                                   "SampleFormat",
                                   "TileWidth",
                                   "TileLength",
                                   "TileOffsets",
                                   "TileByteCounts",
                                   "InkSet",
                                   "ICC Profile",
                                   "Predictor",
                                   "JPEGTables",
                                   "YCbCrCoefficients",
                                   "YCbCrSubsampling",
                                   "Group3Options",
                                   "Group4Options",
                                   "ReferenceBlackWhite",
                                   "JpegProc",
                                   "JpegInterchangeFormat",
                                   "JpegInterchangeFormatLength",
                                   "JpegQTables",
                                   "JpegDcTables",
                                   "JpegAcTables"};
  const std::size_t start = message.find('"');
  if (start == message.npos) return message.find("custom tag") == message.npos;
  const std::string_view name = message.substr(start + 1, message.find('"', start + 1) - start - 1);
  return std::find(std::begin(kTags), std::end(kTags), name) != std::end(kTags);
}

int on_error(TIFF*, void* user_data, const char*, const char* format, va_list arguments) {
  TiffStream& s = *static_cast<TiffStream*>(user_data);
  char text[sizeof s.message];
  std::vsnprintf(text, sizeof text, format, arguments);
  std::replace(std::begin(text), std::begin(text) + std::strlen(text), '\n', ' ');  // ours are of one line
  if (s.reading_directory && !concerns_pixels(text)) {
    std::memcpy(s.ignored, text, sizeof text);  // nothing here may throw: libtiff is C
  } else if (s.message[0] == '\0') {
    std::memcpy(s.message, text, sizeof text);
  }
  return 1;  // handled: nothing is printed
}
/// Most warnings are about unknown tags. But a tag whose value lies behind the end of the file, and damage
/// inside of strips of JPEG or fax, are no more than warnings to libtiff.
int on_warning(TIFF* file, void* user_data, const char* module, const char* format, va_list arguments) {
  const bool jpeg = module != nullptr && std::strcmp(module, "JPEGLib") == 0;
  const bool fax = module != nullptr && std::strncmp(module, "Fax", 3) == 0;
  if (!jpeg && !fax && std::strstr(format, "IO error") == nullptr) return 1;
  if (jpeg) {
    char text[256];
    std::va_list copy;
    va_copy(copy, arguments);
    std::vsnprintf(text, sizeof text, format, copy);
    va_end(copy);
    for (const char* harmless : {"Invalid SOS parameters", "unknown JFIF revision", "Unknown Adobe color"}) {
      if (std::strstr(text, harmless) != nullptr) return 1;
    }
  }
  return on_error(file, user_data, module, format, arguments);
}

}  // namespace

Error tiff_failure(const TiffStream& s) {
  const std::string_view text = s.message;
  for (const char* word :
       {"not configured", "not implemented", "Unsupported", "not supported", "not handle"}) {
    if (text.find(word) != text.npos) return unsupported(kTiffExpected, "one with: " + std::string(text));
  }
  return damaged("TIFF", text.empty() ? "damaged data" : std::string(text));
}

TiffHandle open_tiff(TiffStream& s, const char* mode, std::int64_t max_allocation_bytes) {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 &TIFFOpenOptionsFree);
  if (!options) throw Error(ErrorCode::kResources, "not enough memory for the TIFF library");
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &s);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &s);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), max_allocation_bytes);
  TiffHandle file(TIFFClientOpenExt("TIFF", mode, &s, on_read, on_write, on_seek, on_close, on_size, no_map,
                                    no_unmap, options.get()),
                  &TIFFClose);
  if (!file) throw tiff_failure(s);
  return file;
}

}  // namespace impasto::codec
