// Every kind of file that is read, against Pillow (golden/image/make_goldens.py) or against what was written
// with the format's own library.
#include <png.h>
#include <tiffio.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

// --- Orientation ----------------------------------------------------------------------------------------

TEST_CASE("all eight EXIF orientations of a JPEG are turned upright, as Pillow turns them", "[image]") {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    INFO(orientation);
    const std::string name = "orientation_" + std::to_string(orientation);
    const Image upright = read_image(golden_path(name + ".jpg"));
    CHECK(upright.width == (orientation >= 5 ? 16 : 24));
    CHECK(difference_8(upright, read_image(golden_path(name + ".png"))).max <= 1);
  }
}

TEST_CASE("PNG, WebP and TIFF orientations are turned upright too", "[image]") {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string name = "orientation_" + std::to_string(orientation);
    const Image expected = read_image(golden_path(name + "_exact.png"));
    for (const char* suffix : {"_exif.png", ".webp", ".tiff"}) {
      INFO(name << suffix);
      check_same(read_image(golden_path(name + suffix)), expected);
    }
  }
}

// --- JPEG -----------------------------------------------------------------------------------------------

TEST_CASE("JPEG of any kind decodes as Pillow does", "[image]") {
  for (const char* name : {"plain_420.jpg", "plain_progressive.jpg", "grey.jpg", "cmyk.jpg"}) {
    INFO(name);
    const Image image = read_image(golden_path(name));
    CHECK_FALSE(image.has_alpha());
    CHECK(difference_8(image, read_image(golden_path(std::string(name) + ".png"))).max <= 1);
  }
}

// --- PNG ------------------------------------------------------------------------------------------------

namespace {

struct PngKind {
  int bits, colour_type;
  bool interlaced, transparent;
};

/// A PNG of 13 x 11 pixels whose samples are (x * 7 + y * 3 + c * 5) modulo what `bits` hold, and the picture
/// that it stands for. `transparent` makes the value of pixel (2, 1) transparent through tRNS.
std::pair<FileBytes, Image> make_png(const PngKind& kind) {
  constexpr int kWidth = 13, kHeight = 11;
  const bool palette = kind.colour_type == PNG_COLOR_TYPE_PALETTE;
  const bool grey = (kind.colour_type & PNG_COLOR_MASK_COLOR) == 0;
  const bool alpha = (kind.colour_type & PNG_COLOR_MASK_ALPHA) != 0;
  const int colours = palette || grey ? 1 : 3;
  const int channels = colours + (alpha ? 1 : 0);
  const int range = 1 << kind.bits;
  const auto sample = [&](int x, int y, int c) {
    return (x * 7 + y * 3 + c * 5 + (kind.bits == 16 ? x * 4001 + y * 257 : 0)) % range;
  };

  FileBytes file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp p, png_bytep data, std::size_t size) {
        auto* out = static_cast<FileBytes*>(png_get_io_ptr(p));
        out->insert(out->end(), data, data + size);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, kWidth, kHeight, kind.bits, kind.colour_type,
               kind.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  std::vector<png_color> colours_of_palette;
  for (int i = 0; i < std::min(range, 256); ++i) {
    colours_of_palette.push_back({static_cast<png_byte>(i * 37), static_cast<png_byte>(255 - i * 11),
                                  static_cast<png_byte>(i * 91 + 5)});
  }
  if (palette)
    png_set_PLTE(png, info, colours_of_palette.data(), static_cast<int>(colours_of_palette.size()));
  const int key[3] = {sample(2, 1, 0), sample(2, 1, 1), sample(2, 1, 2)};
  std::vector<png_byte> palette_alpha(colours_of_palette.size(), 255);
  if (kind.transparent) {
    png_color_16 value{};
    value.gray = static_cast<png_uint_16>(key[0]);
    value.red = static_cast<png_uint_16>(key[0]);
    value.green = static_cast<png_uint_16>(key[1]);
    value.blue = static_cast<png_uint_16>(key[2]);
    palette_alpha[static_cast<std::size_t>(palette ? key[0] : 0)] = 51;
    png_set_tRNS(png, info, palette_alpha.data(), palette ? static_cast<int>(palette_alpha.size()) : 0,
                 &value);
  }
  png_write_info(png, info);
  if (kind.bits == 16) png_set_swap(png);
  if (kind.bits < 8) png_set_packing(png);
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < kHeight; ++y) {
      std::vector<std::uint8_t> narrow;
      std::vector<std::uint16_t> wide;
      for (int x = 0; x < kWidth; ++x) {
        for (int c = 0; c < channels; ++c) {
          narrow.push_back(static_cast<std::uint8_t>(sample(x, y, c)));
          wide.push_back(static_cast<std::uint16_t>(sample(x, y, c)));
        }
      }
      png_write_row(png, kind.bits == 16 ? reinterpret_cast<png_bytep>(wide.data()) : narrow.data());
    }
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);

  Image expected;
  expected.width = kWidth;
  expected.height = kHeight;
  const auto top = static_cast<float>(range - 1);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int value = sample(x, y, grey ? 0 : c);
        if (palette) {
          const png_color& entry = colours_of_palette[static_cast<std::size_t>(sample(x, y, 0))];
          expected.rgb.push_back(static_cast<float>(c == 0   ? entry.red
                                                    : c == 1 ? entry.green
                                                             : entry.blue) /
                                 255.0F);
        } else {
          expected.rgb.push_back(static_cast<float>(value) / top);
        }
      }
      if (alpha) {
        expected.alpha.push_back(static_cast<float>(sample(x, y, colours)) / top);
      } else if (kind.transparent) {
        bool same = true;
        for (int c = 0; c < colours; ++c) same = same && sample(x, y, c) == key[c];
        expected.alpha.push_back(!same ? 1.0F : palette ? 0.2F : 0.0F);
      }
    }
  }
  return {file, expected};
}

}  // namespace

TEST_CASE("PNG of every depth and colour type, interlaced or not, is read exactly", "[image]") {
  std::vector<std::pair<int, int>> kinds;  // bits, colour type
  for (const int bits : {1, 2, 4, 8, 16}) kinds.emplace_back(bits, PNG_COLOR_TYPE_GRAY);
  for (const int bits : {1, 2, 4, 8}) kinds.emplace_back(bits, PNG_COLOR_TYPE_PALETTE);
  for (const int bits : {8, 16}) {
    for (const int type : {PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB_ALPHA}) {
      kinds.emplace_back(bits, type);
    }
  }
  for (const auto& [bits, type] : kinds) {
    for (const bool interlaced : {false, true}) {
      for (const bool transparent : {false, true}) {
        if (transparent && (type & PNG_COLOR_MASK_ALPHA) != 0) continue;
        INFO("bits " << bits << " type " << type << " interlaced " << interlaced << " tRNS " << transparent);
        const auto [file, expected] = make_png({bits, type, interlaced, transparent});
        const Image image = decode(file);
        CHECK(image.has_alpha() == expected.has_alpha());
        check_same(image, expected);
      }
    }
  }
}

TEST_CASE("a palette with transparency is read as Pillow reads it", "[image]") {
  const Image image = read_image(golden_path("palette.png"));
  REQUIRE(image.has_alpha());
  check_same(image, read_image(golden_path("palette_expected.png")));
}

// --- WebP -----------------------------------------------------------------------------------------------

TEST_CASE("lossless WebP with alpha is read exactly", "[image]") {
  Image picture = make_picture(19, 23, true);
  std::vector<std::uint8_t> rgba;
  for (std::size_t i = 0; i < picture.alpha.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      rgba.push_back(static_cast<std::uint8_t>(std::lround(picture.rgb[3 * i + c] * 255)));
    }
    rgba.push_back(static_cast<std::uint8_t>(std::lround(picture.alpha[i] * 255)));
  }
  std::uint8_t* data = nullptr;
  const std::size_t size = WebPEncodeLosslessRGBA(rgba.data(), 19, 23, 19 * 4, &data);
  const FileBytes file(data, data + size);
  WebPFree(data);
  check_same(decode(file), picture);
}

namespace {

/// `count` times the still picture as frames at (x, y), x and y even; the
/// canvas is what they need. The library would make a still picture of one
/// frame that covers its canvas, so the second of two is cut off then.
FileBytes make_animation(const FileBytes& still, int count, int x = 0, int y = 0) {
  WebPMux* mux = WebPMuxNew();
  WebPMuxFrameInfo frame{};
  frame.bitstream = {still.data(), still.size()};
  frame.id = WEBP_CHUNK_ANMF;
  frame.duration = 100;
  frame.x_offset = x;
  frame.y_offset = y;
  const Image picture = decode(still);
  WebPMuxSetCanvasSize(mux, static_cast<int>(picture.width) + x, static_cast<int>(picture.height) + y);
  for (int i = 0; i < std::max(2, count); ++i) REQUIRE(WebPMuxPushFrame(mux, &frame, 1) == WEBP_MUX_OK);
  const WebPMuxAnimParams parameters{0, 0};
  REQUIRE(WebPMuxSetAnimationParams(mux, &parameters) == WEBP_MUX_OK);
  WebPData data{};
  REQUIRE(WebPMuxAssemble(mux, &data) == WEBP_MUX_OK);
  WebPMuxDelete(mux);
  std::string file(data.bytes, data.bytes + data.size);
  WebPDataClear(&data);
  if (count == 1) {
    file.resize(file.rfind("ANMF"));
    const std::size_t riff_size = file.size() - 8;
    for (std::size_t i = 0; i < 4; ++i) file[4 + i] = static_cast<char>(riff_size >> (8 * i));
  }
  return bytes_of(file);
}

}  // namespace

TEST_CASE("of an animated WebP the first frame is read, with one line of warning", "[image]") {
  const FileBytes still = file_bytes(golden_path("orientation_1.webp"));
  const Image expected = decode(still);
  for (const int count : {1, 2}) {
    const FileBytes file = make_animation(still, count);
    check_same(decode(file), expected);
    const std::vector<std::string> warnings = warnings_of(file);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], ContainsSubstring("test: expected a still picture, found an animation of " +
                                              std::to_string(count) + " frame"));
  }
}

TEST_CASE("an animated WebP's first frame stands at its place on a transparent canvas", "[image]") {
  const FileBytes still = file_bytes(golden_path("orientation_1.webp"));
  const Image frame = decode(still), canvas = decode(make_animation(still, 1, 6, 4));
  REQUIRE(canvas.width == frame.width + 6);
  REQUIRE(canvas.height == frame.height + 4);
  REQUIRE(canvas.has_alpha());
  CHECK(canvas.alpha[0] == 0);
  const auto at = static_cast<std::size_t>(4 * canvas.width + 6);
  CHECK(canvas.alpha[at] == 1);
  CHECK(canvas.rgb[3 * at] == frame.rgb[0]);
}

// --- TIFF -----------------------------------------------------------------------------------------------

namespace {

struct TiffKind {
  int bits = 8;
  int samples = 3;
  std::uint16_t photometric = PHOTOMETRIC_RGB;
  std::uint16_t compression = COMPRESSION_NONE;
  std::uint16_t planar = PLANARCONFIG_CONTIG;
  bool tiled = false;
  int extra = -1;  ///< EXTRASAMPLE_... of the last sample
  const char* mode = "w";
};

constexpr int kTiffWidth = 37, kTiffHeight = 29;
int tiff_sample(int x, int y, int s, int range) { return (x * 911 + y * 577 + s * 3001) % range; }

FileBytes make_tiff(const TiffKind& kind) {
  const TemporaryFolder folder;
  TIFF* out = TIFFOpen((folder / "a.tif").c_str(), kind.mode);
  REQUIRE(out != nullptr);
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, kTiffWidth);
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, kTiffHeight);
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, kind.bits);
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, kind.samples);
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, kind.photometric);
  TIFFSetField(out, TIFFTAG_COMPRESSION, kind.compression);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, kind.planar);
  if (kind.extra >= 0) {
    const auto extra = static_cast<std::uint16_t>(kind.extra);
    TIFFSetField(out, TIFFTAG_EXTRASAMPLES, 1, &extra);
  }
  const int range = 1 << kind.bits;
  const bool separate = kind.planar == PLANARCONFIG_SEPARATE;
  const int block_width = kind.tiled ? 16 : kTiffWidth, block_height = kind.tiled ? 32 : 10;
  if (kind.tiled) {
    TIFFSetField(out, TIFFTAG_TILEWIDTH, block_width);
    TIFFSetField(out, TIFFTAG_TILELENGTH, block_height);
  } else {
    TIFFSetField(out, TIFFTAG_ROWSPERSTRIP, block_height);
  }
  for (int plane = 0; plane < (separate ? kind.samples : 1); ++plane) {
    for (int y0 = 0; y0 < kTiffHeight; y0 += block_height) {
      for (int x0 = 0; x0 < kTiffWidth; x0 += block_width) {
        std::vector<std::uint8_t> narrow;
        std::vector<std::uint16_t> wide;
        const int rows = kind.tiled ? block_height : std::min(block_height, kTiffHeight - y0);
        for (int y = y0; y < y0 + rows; ++y) {
          for (int x = x0; x < x0 + block_width; ++x) {
            for (int s = separate ? plane : 0; s < (separate ? plane + 1 : kind.samples); ++s) {
              narrow.push_back(static_cast<std::uint8_t>(tiff_sample(x, y, s, range)));
              wide.push_back(static_cast<std::uint16_t>(tiff_sample(x, y, s, range)));
            }
          }
        }
        void* data = kind.bits == 16 ? static_cast<void*>(wide.data()) : narrow.data();
        const auto size = static_cast<tmsize_t>(narrow.size() * static_cast<std::size_t>(kind.bits / 8));
        const auto x = static_cast<std::uint32_t>(x0), y = static_cast<std::uint32_t>(y0);
        const auto s = static_cast<std::uint16_t>(plane);
        const tmsize_t written = kind.tiled
                                     ? TIFFWriteEncodedTile(out, TIFFComputeTile(out, x, y, 0, s), data, size)
                                     : TIFFWriteEncodedStrip(out, TIFFComputeStrip(out, y, s), data, size);
        REQUIRE(written == size);
      }
    }
  }
  TIFFClose(out);
  return file_bytes(folder / "a.tif");
}

/// colour(x, y, c) and alpha(x, y) are in 0..1.
template <class Colour>
void check_tiff(const Image& image, const Colour& colour) {
  REQUIRE(image.width == kTiffWidth);
  REQUIRE(image.height == kTiffHeight);
  double worst = 0;
  for (int y = 0; y < kTiffHeight; ++y) {
    for (int x = 0; x < kTiffWidth; ++x) {
      for (int c = 0; c < 3; ++c) {
        const float found = image.rgb[static_cast<std::size_t>((y * kTiffWidth + x) * 3 + c)];
        worst = std::max(worst, std::abs(static_cast<double>(found) - colour(x, y, c)));
      }
    }
  }
  CHECK(worst < 1e-6);
}

}  // namespace

TEST_CASE("TIFF in strips or tiles, planes together or apart, of either byte order is read exactly",
          "[image]") {
  for (const int bits : {8, 16}) {
    const int range = 1 << bits;
    for (const bool tiled : {false, true}) {
      for (const std::uint16_t planar : {PLANARCONFIG_CONTIG, PLANARCONFIG_SEPARATE}) {
        for (const std::uint16_t compression :
             {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE}) {
          for (const char* mode : {"wl", "wb", "w8"}) {
            for (const bool alpha : {false, true}) {
              INFO(bits << " tiled " << tiled << " planar " << planar << " compression " << compression
                        << mode << alpha);
              const Image image = decode(make_tiff({bits, alpha ? 4 : 3, PHOTOMETRIC_RGB, compression, planar,
                                                    tiled, alpha ? EXTRASAMPLE_UNASSALPHA : -1, mode}));
              check_tiff(image, [&](int x, int y, int c) {
                return static_cast<double>(tiff_sample(x, y, c, range)) / (range - 1);
              });
              REQUIRE(image.has_alpha() == alpha);
              if (alpha) {
                CHECK(image.alpha[40] == Approx(tiff_sample(3, 1, 3, range) / (range - 1.0)).margin(1e-6));
              }
            }
          }
        }
      }
    }
  }
}

TEST_CASE("grey TIFF is read, with black or white as zero", "[image]") {
  for (const int bits : {8, 16}) {
    const int range = 1 << bits;
    for (const bool white_is_zero : {false, true}) {
      TiffKind kind;
      kind.bits = bits;
      kind.samples = 1;
      kind.photometric = white_is_zero ? PHOTOMETRIC_MINISWHITE : PHOTOMETRIC_MINISBLACK;
      check_tiff(decode(make_tiff(kind)), [&](int x, int y, int) {
        const double value = static_cast<double>(tiff_sample(x, y, 0, range)) / (range - 1);
        return white_is_zero ? 1 - value : value;
      });
    }
  }
}

TEST_CASE("TIFF colour that was stored times alpha is divided by it", "[image]") {
  TiffKind kind;
  kind.bits = 16;
  kind.samples = 4;
  kind.extra = EXTRASAMPLE_ASSOCALPHA;
  const Image image = decode(make_tiff(kind));
  REQUIRE(image.has_alpha());
  for (int y = 0; y < kTiffHeight; ++y) {
    for (int x = 0; x < kTiffWidth; ++x) {
      const double a = tiff_sample(x, y, 3, 65536) / 65535.0;
      const double expected = std::min(1.0, tiff_sample(x, y, 0, 65536) / 65535.0 / a);
      CHECK(image.rgb[static_cast<std::size_t>((y * kTiffWidth + x) * 3)] == Approx(expected).margin(1e-5));
    }
  }
}

TEST_CASE("a TIFF sample of unknown meaning is not taken for alpha", "[image]") {
  TiffKind kind;
  kind.samples = 4;
  kind.extra = EXTRASAMPLE_UNSPECIFIED;
  CHECK_FALSE(decode(make_tiff(kind)).has_alpha());
}

TEST_CASE("TIFF of other colour codings is read as Pillow reads it", "[image]") {
  check_same(read_image(golden_path("palette.tiff")), read_image(golden_path("palette_tiff_expected.png")));
  check_same(read_image(golden_path("bilevel.tiff")), read_image(golden_path("bilevel_expected.png")));
  CHECK(difference_8(read_image(golden_path("cmyk.tiff")), read_image(golden_path("cmyk.tiff.png"))).max <=
        1);
  CHECK(difference_8(read_image(golden_path("jpeg_inside.tiff")),
                     read_image(golden_path("jpeg_inside_expected.png")))
            .max <= 1);
}
