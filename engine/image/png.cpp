#include <bit>
#include <cstring>

#include <png.h>

#include "engine/image/c_guard.h"
#include "engine/image/output.h"
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
Header read_header(ReadStruct& in, Bytes file, std::int64_t max_pixels) {
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
  Header header;
  header.width = png_get_image_width(in.png, in.info);
  header.height = png_get_image_height(in.png, in.info);
  check_size(header.width, header.height, max_pixels);
  // After png_set_expand: palette is RGB, grey of 1, 2 and 4 bits is of 8, tRNS is alpha.
  const int type = png_get_color_type(in.png, in.info);
  header.model = (type & PNG_COLOR_MASK_COLOR) != 0 ? ColourModel::kRgb : ColourModel::kGrey;
  header.alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || transparent_values > 0;
  header.bits = png_get_bit_depth(in.png, in.info) == 16 ? 16 : 8;
  read_png_chunks(file, header);
  return header;
}

class PngDecoder final : public Decoder {
 public:
  PngDecoder(Bytes file, std::int64_t max_pixels) { header_ = read_header(in_, file, max_pixels); }

  const std::uint8_t* next_row() override {
    if (!rows_) start();
    const std::int64_t y = next_++;
    if (passes_ > 1) return rows_.get() + static_cast<std::size_t>(y) * header_.row_bytes();
    guarded(in_.error, "PNG", [&] { png_read_row(in_.png, rows_.get(), nullptr); });
    return rows_.get();
  }
  void finish(std::vector<std::string>& /*warnings*/) override {
    guarded(in_.error, "PNG", [&] { png_read_end(in_.png, in_.info); });  // a cut file has no end
  }

 private:
  /// An interlaced picture has its rows together only once all passes are read.
  void start() {
    guarded(in_.error, "PNG", [&] {
      png_set_expand(in_.png);
      if constexpr (std::endian::native == std::endian::little) png_set_swap(in_.png);
      passes_ = png_set_interlace_handling(in_.png);
      png_read_update_info(in_.png, in_.info);
    });
    if (const std::size_t found = png_get_rowbytes(in_.png, in_.info); found != header_.row_bytes()) {
      throw make_error(ErrorCode::kInternal, "libpng: expected rows of {} bytes, found {}",
                       header_.row_bytes(), found);
    }
    rows_ = header_.allocate(passes_ > 1 ? header_.height : 1);
    if (passes_ == 1) return;
    guarded(in_.error, "PNG", [&] {
      for (int pass = 0; pass < passes_; ++pass) {
        std::uint8_t* row = rows_.get();
        for (std::int64_t y = 0; y < header_.height; ++y, row += header_.row_bytes()) {
          png_read_row(in_.png, row, nullptr);
        }
      }
    });
  }

  ReadStruct in_;
  int passes_ = 1;
  std::unique_ptr<std::uint8_t[]> rows_;  // one of them, or all
  std::int64_t next_ = 0;
};

std::unique_ptr<Decoder> open_png(Bytes file, std::int64_t max_pixels) {
  return std::make_unique<PngDecoder>(file, max_pixels);
}

struct WriteStruct {
  png_structp png = nullptr;
  png_infop info = nullptr;
  CError error{};
  WriteStruct() = default;
  ~WriteStruct() { png_destroy_write_struct(&png, &info); }
  WriteStruct(const WriteStruct&) = delete;
  WriteStruct& operator=(const WriteStruct&) = delete;
};

void on_write(png_structp png, png_bytep data, std::size_t size) {
  if (!static_cast<Output*>(png_get_io_ptr(png))->try_write(data, size)) png_error(png, "no room");
}
void on_flush(png_structp) {}

bool is_ascii(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

void encode_png(const EncoderRows& rows, Output& output, const WriteOptions& options) {
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
  const auto row = std::make_unique_for_overwrite<std::uint8_t[]>(rows.row_bytes());
  guarded(out.error, "PNG", [&] {
    out.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &out.error, on_error, on_warning);
    if (out.png == nullptr) out.error.raise("no memory for the PNG library");
    out.info = png_create_info_struct(out.png);
    if (out.info == nullptr) out.error.raise("no memory for the PNG library");
    png_set_write_fn(out.png, &output, on_write, on_flush);
    png_set_user_limits(out.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(out.png, out.info, static_cast<png_uint_32>(rows.width),
                 static_cast<png_uint_32>(rows.height), rows.bits,
                 rows.alpha ? PNG_COLOR_TYPE_RGB_ALPHA : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB_gAMA_and_cHRM(out.png, out.info, PNG_sRGB_INTENT_PERCEPTUAL);
    if (!texts.empty()) png_set_text(out.png, out.info, texts.data(), static_cast<int>(texts.size()));
    png_write_info(out.png, out.info);
    if constexpr (std::endian::native == std::endian::little) {
      if (rows.bits == 16) png_set_swap(out.png);
    }
  });
  for (std::int64_t y = 0; y < rows.height; ++y) {
    rows.read_next(row.get());
    guarded(out.error, "PNG", [&] { png_write_row(out.png, row.get()); });
  }
  guarded(out.error, "PNG", [&] { png_write_end(out.png, nullptr); });
}

bool is_png(Bytes file) { return file.size() >= 8 && png_sig_cmp(file.data(), 0, 8) == 0; }

}  // namespace

const Codec& png() {
  static const Codec codec{"PNG", {".png"}, true, true, PNG_UINT_31_MAX, is_png, open_png, encode_png};
  return codec;
}

}  // namespace impasto::codec
