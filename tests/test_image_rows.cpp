// Pictures read at chosen sizes, row by row: the bits of read_image and resize, and no more memory than that.
#include <tiffio.h>

#include <algorithm>
#include <memory>
#include <random>

#include "engine/core/sanitizers.h"
#include "engine/image/resample.h"
#include "tests/support/forked.h"
#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

constexpr Overshoot kBoth[] = {Overshoot::kKeep, Overshoot::kClip};

std::vector<PixelSize> some_sizes(PixelSize own) {
  return {own,
          {std::max<std::int64_t>(1, own.width / 3), std::max<std::int64_t>(1, own.height / 2)},
          {own.width + 5, 2 * own.height + 1},
          {own.width, std::max<std::int64_t>(1, own.height / 4)},
          {7, 5},
          {1, 1}};
}

bool same_bits(const Image& a, const Image& b) {
  return a.size() == b.size() && a.rgb == b.rgb && a.alpha == b.alpha;
}

/// Read at some sizes in one pass, it is what read_image and resize make of it, with the same warnings.
void check_sizes(const FileBytes& bytes) {
  std::vector<std::string> warnings;
  const Image whole = decode_image(bytes.data(), bytes.size(), "test", kDefaultMaxPixels, &warnings);
  const std::vector<PixelSize> sizes = some_sizes(whole.size());
  for (const Overshoot overshoot : kBoth) {
    std::vector<std::string> found;
    const auto choose = [&](PixelSize own) {
      CHECK(own == whole.size());
      return sizes;
    };
    const std::vector<Image> read =
        decode_image_at(bytes.data(), bytes.size(), "test", choose, overshoot, kDefaultMaxPixels, &found);
    CHECK(found == warnings);
    REQUIRE(read.size() == sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      INFO(to_string(sizes[i]));
      CHECK(same_bits(read[i], resize(whole, sizes[i], overshoot)));
    }
  }
}

Image random_picture(PixelSize size, bool alpha) {
  std::mt19937 random(7);
  const auto number = [&] { return static_cast<float>(random() % 65536) / 65535; };
  Image image{size.width, size.height, std::vector<float>(static_cast<std::size_t>(3 * size.pixels())), {}};
  std::generate(image.rgb.begin(), image.rgb.end(), number);
  if (alpha) image.alpha.resize(static_cast<std::size_t>(size.pixels()));
  // Large parts that are transparent, or not at all.
  std::generate(image.alpha.begin(), image.alpha.end(),
                [&] { return std::clamp(2 * number() - 0.5F, 0.0F, 1.0F); });
  return image;
}

/// Hands the picture over as a file would whose rows lie in that order.
void hand_over(const Image& image, const codec::RowOrder& order, codec::RowSink& sink) {
  const std::int64_t length = order.length();
  std::vector<float> rgb(static_cast<std::size_t>(3 * length)), alpha(static_cast<std::size_t>(length));
  for (std::int64_t i = 0; i < order.rows(); ++i) {
    for (std::int64_t j = 0; j < length; ++j) {
      const std::int64_t x = order.columns ? order.place(i) : j, y = order.columns ? j : order.place(i);
      const auto at = static_cast<std::size_t>(y * image.width + x);
      std::copy_n(&image.rgb[3 * at], 3, &rgb[static_cast<std::size_t>(3 * j)]);
      if (image.has_alpha()) alpha[static_cast<std::size_t>(j)] = image.alpha[at];
    }
    sink.take(rgb.data(), image.has_alpha() ? alpha.data() : nullptr);
  }
}

using Tiff = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

/// RGB of 8 or 16 bits, in strips of so many rows.
void write_strips(const fs::path& path, PixelSize size, int bits, std::int64_t rows,
                  std::uint16_t compression) {
  const Tiff file(TIFFOpen(path.c_str(), "w"), &TIFFClose);
  REQUIRE(file);
  TIFFSetField(file.get(), TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(size.width));
  TIFFSetField(file.get(), TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(size.height));
  TIFFSetField(file.get(), TIFFTAG_BITSPERSAMPLE, bits);
  TIFFSetField(file.get(), TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(file.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField(file.get(), TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(file.get(), TIFFTAG_COMPRESSION, compression);
  if (compression != COMPRESSION_NONE) TIFFSetField(file.get(), TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
  TIFFSetField(file.get(), TIFFTAG_ROWSPERSTRIP, static_cast<std::uint32_t>(rows));
  std::vector<std::uint8_t> row(static_cast<std::size_t>(size.width * 3 * bits / 8));
  for (std::int64_t y = 0; y < size.height; ++y) {
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] = static_cast<std::uint8_t>(i / 7 * static_cast<std::size_t>(y % 61));
    REQUIRE(TIFFWriteScanline(file.get(), row.data(), static_cast<std::uint32_t>(y), 0) == 1);
  }
}

}  // namespace

TEST_CASE("every picture of the collection has the same bits read at a size and resized", "[image]") {
  int pictures = 0;
  for (const auto& entry : fs::directory_iterator(golden_path(""))) {
    const std::string suffix = entry.path().extension();
    if (suffix == ".py" || suffix == ".f32") continue;
    INFO(entry.path().filename().string());
    check_sizes(file_bytes(entry.path()));
    ++pictures;
  }
  CHECK(pictures > 60);
}

TEST_CASE("alpha and 16 bits have the same bits in every orientation", "[image]") {
  const TemporaryFolder folder;
  for (const bool alpha : {false, true}) {
    for (const int bits : {8, 16}) {
      WriteOptions options;
      options.bits = bits;
      write_image(folder / "a.png", random_picture({37, 23}, alpha), options);
      const FileBytes upright = file_bytes(folder / "a.png");
      for (int orientation = 1; orientation <= 8; ++orientation) {
        INFO("alpha " << alpha << " bits " << bits << " orientation " << orientation);
        check_sizes(with_png_chunk(upright, "eXIf", exif(orientation, 3, false)));
      }
    }
  }
}

TEST_CASE("rows in whatever order make the same picture", "[image]") {
  for (const bool alpha : {false, true}) {
    const Image image = random_picture({41, 29}, alpha);
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const PixelSize stored = orientation >= 5 ? PixelSize{29, 41} : image.size();
      const codec::RowOrder order(stored, orientation);
      codec::WholePicture whole(order, alpha);
      hand_over(image, order, whole);
      CHECK(same_bits(whole.picture(), image));
      for (const PixelSize size : {PixelSize{13, 11}, {41, 7}, {90, 29}, {100, 3}, {2, 60}, {1, 1}}) {
        for (const Overshoot overshoot : kBoth) {
          INFO("alpha " << alpha << " orientation " << orientation << " to " << to_string(size));
          codec::ResizedPicture resized(order, alpha, size, overshoot);
          hand_over(image, order, resized);
          CHECK(same_bits(resized.picture(), resize(image, size, overshoot)));
        }
      }
    }
  }
}

TEST_CASE("a large strip is read by scanlines, to the same bits", "[image]") {
  const TemporaryFolder folder;
  const PixelSize size{1700, 1900};
  const auto shrunk = [&](const fs::path& path) {
    const auto choose = [](PixelSize) { return std::vector<PixelSize>{{170, 190}}; };
    return read_image_at(path, choose).front();
  };
  for (const std::uint16_t compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE}) {
    write_strips(folder / "one.tif", size, 16, size.height, compression);
    write_strips(folder / "many.tif", size, 16, 10, compression);
    CHECK(same_bits(shrunk(folder / "one.tif"), shrunk(folder / "many.tif")));
    FileBytes cut = file_bytes(folder / "one.tif");
    cut.resize(cut.size() / 2);
    CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)decode(cut); }), ContainsSubstring("TIFF"));
  }
}

TEST_CASE("damage is told in the same words whatever size is read", "[image]") {
  for (const std::string name : {"plain.png", "plain_420.jpg", "plain_progressive.jpg", "orientation_6.webp",
                                 "orientation_3.tiff", "palette.tiff", "jpeg_inside.tiff", "cmyk.jpg"}) {
    const FileBytes whole = file_bytes(golden_path(name));
    for (std::size_t part = 1; part < 16; ++part) {
      FileBytes cut = whole;
      cut.resize(whole.size() * part / 16);
      INFO(name << " cut at " << cut.size());
      const std::string message = error_of(ErrorCode::kBadInput, [&] { (void)decode(cut); });
      const auto small = [](PixelSize) { return std::vector<PixelSize>{{3, 2}}; };
      const std::string at_a_size = error_of(
          ErrorCode::kBadInput, [&] { (void)decode_image_at(cut.data(), cut.size(), "test", small); });
      CHECK(at_a_size == message);
    }
  }
}

TEST_CASE("no size or one that no picture has is no reason to fail otherwise than in words", "[image]") {
  const FileBytes bytes = file_bytes(golden_path("plain.png"));
  const auto at = [&](std::vector<PixelSize> sizes) {
    return decode_image_at(bytes.data(), bytes.size(), "test", [&](PixelSize) { return sizes; });
  };
  CHECK(at({}).empty());
  CHECK(at({{4, 4}, {4, 4}}).size() == 2);
  for (const PixelSize size : {PixelSize{0, 4}, {4, -1}, {std::int64_t{1} << 40, 2}}) {
    CHECK_THAT(error_of(ErrorCode::kUsage, [&] { (void)at({size}); }),
               ContainsSubstring("test: expected a size"));
  }
  const auto refuse = [](PixelSize) -> std::vector<PixelSize> {
    throw Error(ErrorCode::kInterrupted, "as it is");
  };
  CHECK(error_of(ErrorCode::kInterrupted,
                 [&] { (void)decode_image_at(bytes.data(), bytes.size(), "test", refuse); }) == "as it is");
}

TEST_CASE("a picture of 20000 x 15000 pixels is let in, and one column more is not", "[image]") {
  const auto header = [](std::uint32_t width, std::uint32_t height) {
    const std::string body =
        "IHDR" + big_endian(width) + big_endian(height) + std::string("\x08\x02\0\0\0", 5);
    const auto checksum = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
    const std::string start = "\x89PNG\r\n\x1a\n" + big_endian(13) + body + big_endian(checksum);
    return bytes_of(start + big_endian(4) + "IDAT" + std::string(8, '\0'));
  };
  CHECK(probe(header(20000, 15000)).size == PixelSize{20000, 15000});
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)probe(header(20001, 15000)); }),
             ContainsSubstring("at most 300000000 pixels"));
}

#if !IMPASTO_SANITIZED
TEST_CASE("a picture is read at a size in less memory than the whole takes", "[image]") {
  const TemporaryFolder folder;
  const PixelSize size{6000, 4000};  // 288 MB in float, 72 in 8 bits
  const auto fill = [](std::int64_t row, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>((i / 3000 + static_cast<std::size_t>(row) / 999) % 5) / 4;
  };
  for (const std::string name : {"a.png", "a.jpg", "a.tif"}) {
    INFO(name);
    const fs::path file = folder / name;
    const rlim_t bytes = rlim_t{48} << 20;
    CHECK(testing::said_with_memory(bytes, [&] {
            return write_image_rows(file, {size, false, fill}), std::string("written");
          }) == "written");
    CHECK(testing::said_with_memory(bytes, [&] {
            const auto choose = [](PixelSize) { return std::vector<PixelSize>{{60, 40}, {600, 400}}; };
            return std::to_string(read_image_at(file, choose).size());
          }) == "2");
    CHECK_THAT(testing::said_with_memory(bytes, [&] { return to_string(read_image(file).size()); }),
               ContainsSubstring(name + ": expected enough memory for the picture, found too little"));
  }
}
#endif
