#include <algorithm>
#include <cstring>

#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "engine/image/exif.h"

namespace impasto::codec {
namespace {

using Mux = std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)>;

const char* describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return "not enough memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "an unsupported feature";
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the file ends too early";
    default: return "damaged data";
  }
}

std::vector<std::uint8_t> chunk(const WebPMux* mux, const char* name) {
  WebPData data;
  if (WebPMuxGetChunk(mux, name, &data) != WEBP_MUX_OK) return {};
  return {data.bytes, data.bytes + data.size};
}

/// Decodes a still picture into `raster`, its top left corner at (x, y), where it must fit.
void decode_at(const WebPData& still, const Raster& raster, std::int64_t x, std::int64_t y) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) throw Error(ErrorCode::kInternal, "libwebp: another version");
  const std::size_t start = static_cast<std::size_t>(x) * raster.pixel_bytes();
  config.output.colorspace = raster.alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = raster.row(y) + start;
  config.output.u.RGBA.stride = static_cast<int>(raster.row_bytes());
  config.output.u.RGBA.size = raster.row_bytes() * static_cast<std::size_t>(raster.height - y) - start;
  const VP8StatusCode status = WebPDecode(still.bytes, still.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) throw damaged("WebP", describe(status));
}

/// Where a picture's pixels are: a still one, its top left corner at (x, y) of the canvas.
struct Pixels {
  WebPData still{};
  std::int64_t x = 0, y = 0;
  bool fill_canvas = true;
  WebPMuxFrameInfo frame{};  ///< owns `still`, if it is an animation's
  Pixels() = default;
  ~Pixels() { WebPDataClear(&frame.bitstream); }
  Pixels(const Pixels&) = delete;
  Pixels& operator=(const Pixels&) = delete;
};

/// The first frame on its canvas, which is transparent where the frame does not reach.
void find_first_frame(const WebPMux* mux, Raster& raster, Pixels& pixels) {
  int frames = 0;
  if (WebPMuxNumChunks(mux, WEBP_CHUNK_ANMF, &frames) != WEBP_MUX_OK ||
      WebPMuxGetFrame(mux, 1, &pixels.frame) != WEBP_MUX_OK) {
    throw damaged("WebP", "an animation without a first frame");
  }
  pixels.still = pixels.frame.bitstream;
  pixels.x = pixels.frame.x_offset;
  pixels.y = pixels.frame.y_offset;
  WebPBitstreamFeatures still{};
  const VP8StatusCode status = WebPGetFeatures(pixels.still.bytes, pixels.still.size, &still);
  if (status != VP8_STATUS_OK) throw damaged("WebP", describe(status));
  if (still.has_animation || pixels.x < 0 || pixels.y < 0 || pixels.x + still.width > raster.width ||
      pixels.y + still.height > raster.height) {
    throw damaged("WebP", "a frame outside of its canvas");
  }
  pixels.fill_canvas = still.width == raster.width && still.height == raster.height;
  raster.alpha = still.has_alpha != 0 || !pixels.fill_canvas;
  raster.warnings.push_back(animation_warning(frames));
}

/// All but the pixels, and where they are.
Raster read_header(Bytes file, std::int64_t max_pixels, Pixels& pixels) {
  WebPBitstreamFeatures input{};
  const VP8StatusCode status = WebPGetFeatures(file.data(), file.size(), &input);
  if (status != VP8_STATUS_OK) throw damaged("WebP", describe(status));
  check_size(input.width, input.height, max_pixels);
  const WebPData whole{file.data(), file.size()};
  const Mux mux(WebPMuxCreate(&whole, 0), &WebPMuxDelete);
  if (!mux) throw damaged("WebP", "a chunk that is broken or cut off");

  Raster raster;
  raster.width = input.width;
  raster.height = input.height;
  raster.icc = chunk(mux.get(), "ICCP");
  raster.orientation = exif_orientation(chunk(mux.get(), "EXIF"), xmp_orientation(chunk(mux.get(), "XMP ")));
  if (input.has_animation) {
    find_first_frame(mux.get(), raster, pixels);
  } else {
    raster.alpha = input.has_alpha != 0;
    pixels.still = whole;
  }
  return raster;
}

Raster probe(Bytes file, std::int64_t max_pixels) {
  Pixels pixels;
  return read_header(file, max_pixels, pixels);
}

Raster decode(Bytes file, std::int64_t max_pixels) {
  Pixels pixels;
  Raster raster = read_header(file, max_pixels, pixels);
  raster.allocate();
  if (!pixels.fill_canvas) {
    std::fill_n(raster.samples.get(), raster.row_bytes() * static_cast<std::size_t>(raster.height),
                std::uint8_t{0});
  }
  decode_at(pixels.still, raster, pixels.x, pixels.y);
  return raster;
}

struct Picture : WebPPicture {
  WebPMemoryWriter file{};
  Picture() : WebPPicture{} {
    WebPMemoryWriterInit(&file);
    if (!WebPPictureInit(this)) throw Error(ErrorCode::kInternal, "libwebp: another version");
    writer = WebPMemoryWrite;
    custom_ptr = &file;
  }
  ~Picture() {
    WebPPictureFree(this);
    WebPMemoryWriterClear(&file);
  }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;
};

std::vector<std::uint8_t> encode(const Raster& picture, const WriteOptions& options) {
  if (picture.width > WEBP_MAX_DIMENSION || picture.height > WEBP_MAX_DIMENSION) {
    throw make_error(ErrorCode::kBadInput, "expected sides of at most {} pixels for WebP, found {} x {}",
                     WEBP_MAX_DIMENSION, picture.width, picture.height);
  }
  WebPConfig config;
  if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, static_cast<float>(options.quality))) {
    throw Error(ErrorCode::kInternal, "libwebp: another version");
  }
  config.use_sharp_yuv = 1;  // lossy WebP halves the colour resolution; this keeps coloured edges sharper
  Picture out;
  out.use_argb = 1;
  out.width = static_cast<int>(picture.width);
  out.height = static_cast<int>(picture.height);
  const int stride = static_cast<int>(picture.row_bytes());
  const int imported = picture.alpha ? WebPPictureImportRGBA(&out, picture.samples.get(), stride)
                                     : WebPPictureImportRGB(&out, picture.samples.get(), stride);
  if (!imported || !WebPEncode(&config, &out)) {
    const bool memory = !imported || out.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY ||
                        out.error_code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY;
    throw make_error(memory ? ErrorCode::kResources : ErrorCode::kBadInput,
                     "expected to encode WebP, found libwebp's error {}", static_cast<int>(out.error_code));
  }

  const Mux mux(WebPMuxNew(), &WebPMuxDelete);
  const WebPData image{out.file.mem, out.file.size};
  const WebPData profile{srgb_profile().data(), srgb_profile().size()};
  const std::string xmp = xmp_packet(options.metadata);
  const WebPData packet{reinterpret_cast<const std::uint8_t*>(xmp.data()), xmp.size()};
  WebPData file{};
  const bool ok =
      mux && WebPMuxSetImage(mux.get(), &image, 0) == WEBP_MUX_OK &&
      WebPMuxSetChunk(mux.get(), "ICCP", &profile, 0) == WEBP_MUX_OK &&
      (options.metadata.empty() || WebPMuxSetChunk(mux.get(), "XMP ", &packet, 0) == WEBP_MUX_OK) &&
      WebPMuxAssemble(mux.get(), &file) == WEBP_MUX_OK;
  const std::unique_ptr<WebPData, decltype(&WebPDataClear)> owner(&file, &WebPDataClear);
  if (!ok) throw Error(ErrorCode::kResources, "not enough memory to assemble a WebP file");
  return {file.bytes, file.bytes + file.size};
}

bool recognises(Bytes file) {
  return file.size() >= 12 && std::memcmp(file.data(), "RIFF", 4) == 0 &&
         std::memcmp(file.data() + 8, "WEBP", 4) == 0;
}

}  // namespace

const Codec& webp() {
  static const Codec codec{"WebP", {".webp"}, true, false, recognises, probe, decode, encode};
  return codec;
}

}  // namespace impasto::codec
