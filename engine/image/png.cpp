#include <bit>
#include <cstring>

#include <png.h>

#include "engine/image/c_guard.h"
#include "engine/image/png_chunks.h"

namespace impasto::codec {
namespace {

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  static_cast<CError*>(png_get_error_ptr(png))->raise(text);
}
void on_warning(png_structp, png_const_charp) {}

struct ReadStruct {
  png_structp png = nullptr;
  png_infop info = nullptr;
  Bytes rest;  ///< of the file
  CError error{};
  ReadStruct() = default;
  ~ReadStruct() { png_destroy_read_struct(&png, &info, nullptr); }
  ReadStruct(const ReadStruct&) = delete;
  ReadStruct& operator=(const ReadStruct&) = delete;
};

void on_read(png_structp png, png_bytep data, std::size_t size) {
  Bytes& rest = *static_cast<Bytes*>(png_get_io_ptr(png));
  if (rest.size() < size) png_error(png, "the file ends too early");
  std::memcpy(data, rest.data(), size);
  rest = rest.subspan(size);
}

/// Apple's tools for telephones make files that are PNG only by name: other checksums, channels swapped.
bool is_cgbi(Bytes file) {
  constexpr std::size_t kFirstChunk = 12;
  return file.size() >= kFirstChunk + 4 && std::memcmp(file.data() + kFirstChunk, "CgBI", 4) == 0;
}

/// All but the pixels, in front of which `in` then stands. What stands behind them counts too.
Raster read_header(ReadStruct& in, Bytes file, std::int64_t max_pixels) {
  if (is_cgbi(file)) throw unsupported("a PNG picture", "Apple's variant of it (CgBI)");
  in.rest = file;
  int transparent_values = 0;
  guarded(in.error, "PNG", [&] {
    in.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &in.error, on_error, on_warning);
    if (in.png == nullptr) in.error.raise("no memory for the PNG library");
    in.info = png_create_info_struct(in.png);
    if (in.info == nullptr) in.error.raise("no memory for the PNG library");
    png_set_read_fn(in.png, &in.rest, on_read);
    png_set_user_limits(in.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_size is the limit
    png_set_chunk_malloc_max(in.png, file.size());                  // of what it keeps
    png_set_keep_unknown_chunks(in.png, PNG_HANDLE_CHUNK_NEVER,     // read_png_chunks reads them
                                reinterpret_cast<png_const_bytep>(kPngChunkNames), kPngChunkCount);
    png_read_info(in.png, in.info);
    png_get_tRNS(in.png, in.info, nullptr, &transparent_values, nullptr);
  });
  Raster raster;
  raster.width = png_get_image_width(in.png, in.info);
  raster.height = png_get_image_height(in.png, in.info);
  check_size(raster.width, raster.height, max_pixels);
  // After png_set_expand: palette is RGB, grey of 1, 2 and 4 bits is of 8, tRNS is alpha.
  const int type = png_get_color_type(in.png, in.info);
  raster.model = (type & PNG_COLOR_MASK_COLOR) != 0 ? ColourModel::kRgb : ColourModel::kGrey;
  raster.alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || transparent_values > 0;
  raster.bits = png_get_bit_depth(in.png, in.info) == 16 ? 16 : 8;
  read_png_chunks(file, raster);
  return raster;
}

Raster probe(Bytes file, std::int64_t max_pixels) {
  ReadStruct in;
  return read_header(in, file, max_pixels);
}

Raster decode(Bytes file, std::int64_t max_pixels) {
  ReadStruct in;
  Raster raster = read_header(in, file, max_pixels);
  int passes = 1;
  guarded(in.error, "PNG", [&] {
    png_set_expand(in.png);
    if constexpr (std::endian::native == std::endian::little) png_set_swap(in.png);
    passes = png_set_interlace_handling(in.png);
    png_read_update_info(in.png, in.info);
  });
  if (const std::size_t row_bytes = png_get_rowbytes(in.png, in.info); row_bytes != raster.row_bytes()) {
    throw make_error(ErrorCode::kInternal, "libpng: expected rows of {} bytes, found {}", raster.row_bytes(),
                     row_bytes);
  }
  raster.allocate();
  guarded(in.error, "PNG", [&] {
    for (int pass = 0; pass < passes; ++pass) {
      for (std::int64_t y = 0; y < raster.height; ++y) png_read_row(in.png, raster.row(y), nullptr);
    }
    png_read_end(in.png, in.info);  // a cut file has no end
  });
  return raster;
}

struct WriteStruct {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<std::uint8_t> file;
  CError error{};
  WriteStruct() = default;
  ~WriteStruct() { png_destroy_write_struct(&png, &info); }
  WriteStruct(const WriteStruct&) = delete;
  WriteStruct& operator=(const WriteStruct&) = delete;
};

void on_write(png_structp png, png_bytep data, std::size_t size) {
  if (!append(*static_cast<std::vector<std::uint8_t>*>(png_get_io_ptr(png)), data, size)) {
    png_error(png, "not enough memory");
  }
}
void on_flush(png_structp) {}

bool is_ascii(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

std::vector<std::uint8_t> encode(const Raster& picture, const WriteOptions& options) {
  constexpr std::size_t kMaxKeyword = 79;  // PNG specification, 11.3.4
  std::map<std::string, std::string> entries;
  for (const auto& [key, value] : options.metadata) {
    if (!key.empty()) entries.emplace(key.substr(0, kMaxKeyword), value);
  }
  std::vector<png_text> texts;
  for (auto& [key, value] : entries) {
    png_text text{};
    const bool plain = is_ascii(value);
    text.compression = plain ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    text.key = const_cast<char*>(key.c_str());  // libpng copies it
    text.text = value.data();
    (plain ? text.text_length : text.itxt_length) = value.size();
    texts.push_back(text);
  }

  WriteStruct out;
  guarded(out.error, "PNG", [&] {
    out.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &out.error, on_error, on_warning);
    if (out.png == nullptr) out.error.raise("no memory for the PNG library");
    out.info = png_create_info_struct(out.png);
    if (out.info == nullptr) out.error.raise("no memory for the PNG library");
    png_set_write_fn(out.png, &out.file, on_write, on_flush);
    png_set_user_limits(out.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(out.png, out.info, static_cast<png_uint_32>(picture.width),
                 static_cast<png_uint_32>(picture.height), picture.bits,
                 picture.alpha ? PNG_COLOR_TYPE_RGB_ALPHA : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB_gAMA_and_cHRM(out.png, out.info, PNG_sRGB_INTENT_PERCEPTUAL);
    if (!texts.empty()) png_set_text(out.png, out.info, texts.data(), static_cast<int>(texts.size()));
    png_write_info(out.png, out.info);
    if constexpr (std::endian::native == std::endian::little) {
      if (picture.bits == 16) png_set_swap(out.png);
    }
    for (std::int64_t y = 0; y < picture.height; ++y) png_write_row(out.png, picture.row(y));
    png_write_end(out.png, nullptr);
  });
  return std::move(out.file);
}

bool recognises(Bytes file) { return file.size() >= 8 && png_sig_cmp(file.data(), 0, 8) == 0; }

}  // namespace

const Codec& png() {
  static const Codec codec{"PNG", {".png"}, true, true, recognises, probe, decode, encode};
  return codec;
}

}  // namespace impasto::codec
