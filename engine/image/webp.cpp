#include <algorithm>
#include <cstring>

#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "engine/image/color.h"
#include "engine/image/exif.h"
#include "engine/image/output.h"

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
void find_first_frame(const WebPMux* mux, Header& header, Pixels& pixels) {
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
  if (still.has_animation || pixels.x < 0 || pixels.y < 0 || pixels.x + still.width > header.width ||
      pixels.y + still.height > header.height) {
    throw damaged("WebP", "a frame outside of its canvas");
  }
  pixels.fill_canvas = still.width == header.width && still.height == header.height;
  header.alpha = still.has_alpha != 0 || !pixels.fill_canvas;
  header.warnings.push_back(animation_warning(frames));
}

/// All but the pixels, and where they are.
Header read_header(Bytes file, std::int64_t max_pixels, Pixels& pixels) {
  WebPBitstreamFeatures input{};
  const VP8StatusCode status = WebPGetFeatures(file.data(), file.size(), &input);
  if (status != VP8_STATUS_OK) throw damaged("WebP", describe(status));
  check_size(input.width, input.height, max_pixels);
  const WebPData whole{file.data(), file.size()};
  const Mux mux(WebPMuxCreate(&whole, 0), &WebPMuxDelete);
  if (!mux) throw damaged("WebP", "a chunk that is broken or cut off");

  Header header;
  header.width = input.width;
  header.height = input.height;
  header.icc = chunk(mux.get(), "ICCP");
  header.orientation = exif_orientation(chunk(mux.get(), "EXIF"), xmp_orientation(chunk(mux.get(), "XMP ")));
  if (input.has_animation) {
    find_first_frame(mux.get(), header, pixels);
  } else {
    header.alpha = input.has_alpha != 0;
    pixels.still = whole;
  }
  return header;
}

/// libwebp puts every row into a buffer of the whole picture, and refuses one that is smaller.
class WebpDecoder final : public Decoder {
 public:
  WebpDecoder(Bytes file, std::int64_t max_pixels) { header_ = read_header(file, max_pixels, pixels_); }

  const std::uint8_t* next_row() override {
    if (!rows_) decode();
    return rows_.get() + static_cast<std::size_t>(next_++) * header_.row_bytes();
  }
  void finish(std::vector<std::string>& /*warnings*/) override {}

 private:
  void decode() {
    const std::size_t row_bytes = header_.row_bytes();
    const std::size_t bytes = row_bytes * static_cast<std::size_t>(header_.height);
    rows_ = header_.allocate(header_.height);
    if (!pixels_.fill_canvas) std::fill_n(rows_.get(), bytes, std::uint8_t{0});
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) throw Error(ErrorCode::kInternal, "libwebp: another version");
    const std::size_t start = static_cast<std::size_t>(pixels_.y) * row_bytes +
                              static_cast<std::size_t>(pixels_.x) * header_.pixel_bytes();
    config.output.colorspace = header_.alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = rows_.get() + start;
    config.output.u.RGBA.stride = static_cast<int>(row_bytes);
    config.output.u.RGBA.size = bytes - start;
    const VP8StatusCode status = WebPDecode(pixels_.still.bytes, pixels_.still.size, &config);
    WebPFreeDecBuffer(&config.output);
    if (status != VP8_STATUS_OK) throw damaged("WebP", describe(status));
  }

  Pixels pixels_;
  std::unique_ptr<std::uint8_t[]> rows_;
  std::int64_t next_ = 0;
};

std::unique_ptr<Decoder> open_webp(Bytes file, std::int64_t max_pixels) {
  return std::make_unique<WebpDecoder>(file, max_pixels);
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

/// Rows of R G B or R G B A as libwebp's pixels, one number each; it encodes a whole picture only.
void import_rows(const EncoderRows& rows, WebPPicture& to) {
  const auto row = std::make_unique_for_overwrite<std::uint8_t[]>(rows.row_bytes());
  for (std::int64_t y = 0; y < rows.height; ++y) {
    rows.read_next(row.get());
    std::uint32_t* pixel = to.argb + y * to.argb_stride;
    const std::uint8_t* from = row.get();
    for (std::int64_t x = 0; x < rows.width; ++x, from += rows.channels()) {
      const std::uint32_t alpha = rows.alpha ? from[3] : 0xFF;
      *pixel++ = alpha << 24 | std::uint32_t{from[0]} << 16 | std::uint32_t{from[1]} << 8 | from[2];
    }
  }
}

void encode_webp(const EncoderRows& rows, Output& output, const WriteOptions& options) {
  WebPConfig config;
  if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, static_cast<float>(options.quality))) {
    throw Error(ErrorCode::kInternal, "libwebp: another version");
  }
  config.use_sharp_yuv = 1;  // lossy WebP halves the colour resolution; this keeps coloured edges sharper
  Picture out;
  out.use_argb = 1;
  out.width = static_cast<int>(rows.width);
  out.height = static_cast<int>(rows.height);
  const bool allocated = WebPPictureAlloc(&out) != 0;
  if (allocated) import_rows(rows, out);
  if (!allocated || !WebPEncode(&config, &out)) {
    const bool memory = !allocated || out.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY ||
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
  output.write(file.bytes, file.size);
}

bool is_webp(Bytes file) {
  return file.size() >= 12 && std::memcmp(file.data(), "RIFF", 4) == 0 &&
         std::memcmp(file.data() + 8, "WEBP", 4) == 0;
}

}  // namespace

const Codec& webp() {
  static const Codec codec{"WebP",  {".webp"}, true,       false, WEBP_MAX_DIMENSION,
                           is_webp, open_webp, encode_webp};
  return codec;
}

}  // namespace impasto::codec
