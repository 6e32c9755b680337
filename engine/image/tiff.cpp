// TIFF through libtiff (4.5 or newer, whose error handlers belong to one file instead of to the process).
// 8 and 16 bit grey, RGB and CMYK are read as they are; palettes, bilevel and other colour codings through
// libtiff's own conversion to 8-bit RGB.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <limits>

#include <tiffio.h>

#include "engine/image/codec.h"

namespace impasto::codec {
namespace {

/// A file in memory, and what libtiff has to say about it.
struct Stream {
  Bytes input;                        ///< when reading
  std::vector<std::uint8_t> written;  ///< when writing
  bool writing = false;
  std::uint64_t position = 0;
  char message[256] = "";  ///< the first error
  [[nodiscard]] Bytes bytes() const { return writing ? Bytes(written) : input; }
};
Stream& stream(thandle_t handle) { return *static_cast<Stream*>(handle); }

tmsize_t on_read(thandle_t handle, void* to, tmsize_t size) {
  Stream& s = stream(handle);
  const Bytes all = s.bytes();
  if (s.position >= all.size() || size <= 0) return 0;
  const auto n = std::min<std::uint64_t>(static_cast<std::uint64_t>(size), all.size() - s.position);
  std::memcpy(to, all.data() + s.position, n);
  s.position += n;
  return static_cast<tmsize_t>(n);
}
tmsize_t on_write(thandle_t handle, void* from, tmsize_t size) {
  Stream& s = stream(handle);
  if (!s.writing || size <= 0) return 0;
  const std::uint64_t end = s.position + static_cast<std::uint64_t>(size);
  try {
    if (end > s.written.capacity()) s.written.reserve(std::max<std::size_t>(end, 2 * s.written.capacity()));
    if (end > s.written.size()) s.written.resize(end);
  } catch (...) {
    return 0;  // libtiff reports it as a failed write
  }
  std::memcpy(s.written.data() + s.position, from, static_cast<std::size_t>(size));
  s.position = end;
  return size;
}
toff_t on_seek(thandle_t handle, toff_t offset, int whence) {
  Stream& s = stream(handle);
  const std::uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s.position : s.bytes().size();
  return s.position = base + offset;
}
int on_close(thandle_t) { return 0; }
toff_t on_size(thandle_t handle) { return stream(handle).bytes().size(); }
int no_map(thandle_t, void**, toff_t*) { return 0; }
void no_unmap(thandle_t, void*, toff_t) {}

int on_error(TIFF*, void* user_data, const char*, const char* format, va_list arguments) {
  Stream& s = *static_cast<Stream*>(user_data);
  if (s.message[0] == '\0') std::vsnprintf(s.message, sizeof s.message, format, arguments);
  return 1;  // handled: nothing is printed
}
/// Most warnings are about unknown tags. But a tag whose value lies behind the end of the file, and damage
/// inside of JPEG-compressed strips, are no more than warnings to libtiff.
int on_warning(TIFF* file, void* user_data, const char* module, const char* format, va_list arguments) {
  if ((module != nullptr && std::strcmp(module, "JPEGLib") == 0) ||
      std::strstr(format, "IO error") != nullptr) {
    return on_error(file, user_data, module, format, arguments);
  }
  return 1;
}

Error failure(const Stream& s) { return damaged("TIFF", s.message[0] != '\0' ? s.message : "damaged data"); }

using Handle = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

/// The stream must outlive the handle.
Handle open(Stream& s, const char* mode, tmsize_t max_allocation_bytes) {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 &TIFFOpenOptionsFree);
  if (!options) throw Error(ErrorCode::kResources, "not enough memory for the TIFF library");
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &s);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &s);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), max_allocation_bytes);
  Handle file(TIFFClientOpenExt("TIFF", mode, &s, on_read, on_write, on_seek, on_close, on_size, no_map,
                                no_unmap, options.get()),
              &TIFFClose);
  if (!file) throw failure(s);
  return file;
}

/// A file may be cut where neither libtiff nor a decoder would notice: in the directory's last field, or at
/// the end of a strip whose pixels are already known.
void check_complete(TIFF* file, const Stream& s) {
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
  if (s.message[0] != '\0') throw failure(s);
  if (!complete) throw damaged("TIFF", "the file ends too early");
}

template <class T>
T field(TIFF* file, std::uint32_t tag, T otherwise) {
  T value{};
  return TIFFGetFieldDefaulted(file, tag, &value) ? value : otherwise;
}

/// How a file's samples become the raster's channels.
struct Layout {
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

template <class T>
void read_samples(TIFF* file, const Stream& s, const Layout& layout, Raster& raster,
                  std::int64_t max_pixels) {
  const bool tiled = TIFFIsTiled(file) != 0;
  const std::int64_t block_width =
      tiled ? static_cast<std::int64_t>(field<std::uint32_t>(file, TIFFTAG_TILEWIDTH, 0)) : raster.width;
  const std::int64_t block_height =
      tiled ? static_cast<std::int64_t>(field<std::uint32_t>(file, TIFFTAG_TILELENGTH, 0))
            : std::min<std::int64_t>(raster.height, field<std::uint32_t>(file, TIFFTAG_ROWSPERSTRIP, 1));
  constexpr std::int64_t kSmallPicture = 1 << 24;  // tiles may be larger than the picture
  check_size(block_width, block_height, std::max(max_pixels, kSmallPicture));
  const tmsize_t size = tiled ? TIFFTileSize(file) : TIFFStripSize(file);
  const tmsize_t row_bytes =
      block_width * (layout.separate ? 1 : layout.samples) * static_cast<tmsize_t>(sizeof(T));
  if (size < row_bytes * block_height) throw failure(s);
  const auto block = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(size) / sizeof(T) + 1);

  const int planes = layout.separate ? layout.samples : 1;
  for (int plane = 0; plane < planes; ++plane) {
    const auto sample = static_cast<std::uint16_t>(plane);
    for (std::int64_t y = 0; y < raster.height; y += block_height) {
      for (std::int64_t x = 0; x < raster.width; x += block_width) {
        const auto left = static_cast<std::uint32_t>(x), top = static_cast<std::uint32_t>(y);
        const tmsize_t rows = tiled ? block_height : std::min(block_height, raster.height - y);
        const tmsize_t got =
            tiled ? TIFFReadEncodedTile(file, TIFFComputeTile(file, left, top, 0, sample), block.get(), size)
                  : TIFFReadEncodedStrip(file, TIFFComputeStrip(file, top, sample), block.get(), size);
        if (got < rows * row_bytes || s.message[0] != '\0') throw failure(s);
        scatter(layout, raster, block.get(), block_width, rows, x, y, plane);
      }
    }
  }
  if (layout.invert || layout.premultiplied) finish<T>(layout, raster);
}

/// Anything that libtiff can turn into 8-bit RGBA, premultiplied.
void read_converted(TIFF* file, const Stream& s, Raster& raster) {
  char why[1024] = "";
  if (!TIFFRGBAImageOK(file, why)) {
    throw Error(ErrorCode::kBadInput,
                std::string("expected a TIFF of 8 or 16 bit grey, RGB or CMYK, found: ") + why);
  }
  raster.model = ColourModel::kRgb;
  raster.bits = 8;
  raster.allocate();
  const auto width = static_cast<std::uint32_t>(raster.width);
  const auto height = static_cast<std::uint32_t>(raster.height);
  const auto pixels =
      std::make_unique_for_overwrite<std::uint32_t[]>(static_cast<std::size_t>(raster.width * raster.height));
  TIFFSetField(file, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);  // in memory: turned later, as others are
  if (!TIFFReadRGBAImageOriented(file, width, height, pixels.get(), ORIENTATION_TOPLEFT, 1) ||
      s.message[0] != '\0') {
    throw failure(s);
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

Raster decode(Bytes bytes, std::int64_t max_pixels) {
  Stream s;
  s.input = bytes;
  // The largest thing libtiff itself allocates is one compressed strip, at worst about the whole picture.
  const std::int64_t most = std::min<std::int64_t>(max_pixels, std::int64_t{1} << 36);
  const Handle file = open(s, "r", (std::int64_t{64} << 20) + 16 * most);
  Raster raster;
  raster.width = field<std::uint32_t>(file.get(), TIFFTAG_IMAGEWIDTH, 0);
  raster.height = field<std::uint32_t>(file.get(), TIFFTAG_IMAGELENGTH, 0);
  check_size(raster.width, raster.height, max_pixels);
  check_complete(file.get(), s);
  raster.bits = field<std::uint16_t>(file.get(), TIFFTAG_BITSPERSAMPLE, 1);
  raster.orientation = field<std::uint16_t>(file.get(), TIFFTAG_ORIENTATION, 1);
  if (raster.orientation < 1 || raster.orientation > 8) raster.orientation = 1;
  std::uint32_t profile_size = 0;
  void* profile = nullptr;
  if (TIFFGetField(file.get(), TIFFTAG_ICCPROFILE, &profile_size, &profile)) {
    const auto* data = static_cast<const std::uint8_t*>(profile);
    raster.icc.assign(data, data + profile_size);
  }

  const auto compression = field<std::uint16_t>(file.get(), TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  auto photometric = field<std::uint16_t>(file.get(), TIFFTAG_PHOTOMETRIC, 0xFFFF);
  const auto sample_format = field<std::uint16_t>(file.get(), TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  Layout layout;
  layout.samples = field<std::uint16_t>(file.get(), TIFFTAG_SAMPLESPERPIXEL, 1);
  layout.separate =
      field<std::uint16_t>(file.get(), TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  if (compression == COMPRESSION_JPEG && photometric == PHOTOMETRIC_YCBCR && !layout.separate) {
    TIFFSetField(file.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    photometric = PHOTOMETRIC_RGB;
  }
  bool known = (raster.bits == 8 || raster.bits == 16) &&
               (sample_format == SAMPLEFORMAT_UINT || sample_format == SAMPLEFORMAT_VOID);
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK: raster.model = ColourModel::kGrey; break;
    case PHOTOMETRIC_RGB: raster.model = ColourModel::kRgb; break;
    case PHOTOMETRIC_SEPARATED:
      raster.model = ColourModel::kCmyk;
      known &= field<std::uint16_t>(file.get(), TIFFTAG_INKSET, INKSET_CMYK) == INKSET_CMYK;
      break;
    default: known = false;
  }
  layout.invert = photometric == PHOTOMETRIC_MINISWHITE;

  constexpr int kMaxSamples = 64;
  const int colours = raster.colours();
  if (layout.samples > kMaxSamples || (known && layout.samples < colours)) {
    throw Error(ErrorCode::kBadInput, "expected " + std::to_string(colours) + " to " +
                                          std::to_string(kMaxSamples) + " samples a pixel, found " +
                                          std::to_string(layout.samples));
  }
  for (int c = 0; c < colours; ++c) layout.source[c] = c;
  std::uint16_t extra_count = 0;
  const std::uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(file.get(), TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
  for (int i = 0; i < extra_count && colours + i < layout.samples && !raster.alpha; ++i) {
    raster.alpha = extra[i] == EXTRASAMPLE_ASSOCALPHA || extra[i] == EXTRASAMPLE_UNASSALPHA;
    layout.premultiplied = extra[i] == EXTRASAMPLE_ASSOCALPHA;
    layout.source[colours] = colours + i;
  }

  if (!known) {
    read_converted(file.get(), s, raster);
  } else {
    raster.allocate();
    if (raster.bits == 8) {
      read_samples<std::uint8_t>(file.get(), s, layout, raster, max_pixels);
    } else {
      read_samples<std::uint16_t>(file.get(), s, layout, raster, max_pixels);
    }
  }
  return raster;
}

std::vector<std::uint8_t> encode(const Raster& picture, const WriteOptions& options) {
  constexpr std::size_t kClassicLimit = 3'900'000'000;  // 32-bit offsets, less room for incompressible data
  constexpr std::size_t kStripBytes = 256 * 1024;
  const std::size_t total = picture.row_bytes() * static_cast<std::size_t>(picture.height);
  Stream s;
  s.writing = true;
  Handle file = open(s, total > kClassicLimit ? "w8" : "w", 0);
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
    throw Error(ErrorCode::kBadInput, std::string("expected to encode TIFF, found: ") + s.message);
  }
  return std::move(s.written);
}

bool recognises(Bytes file) {
  if (file.size() < 4) return false;
  for (const char* magic : {"II*\0", "MM\0*", "II+\0", "MM\0+"}) {  // classic and BigTIFF
    if (std::memcmp(file.data(), magic, 4) == 0) return true;
  }
  return false;
}

}  // namespace

const Codec& tiff() {
  static const Codec codec{"TIFF", {".tif", ".tiff"}, true, true, recognises, decode, encode};
  return codec;
}

}  // namespace impasto::codec
