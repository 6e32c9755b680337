// Pictures written from a source of rows: the bytes of write_image, large TIFFs in tiles, and nothing left
// behind where the source or the disk fails.
#include <sys/resource.h>
#include <tiffio.h>

#include <csignal>
#include <limits>
#include <memory>

#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

const std::vector<std::string> kFiles = {"a.png", "a.jpg", "a.webp", "a.tif"};

ImageRows rows_of(const Image& image) {
  return {image.size(), image.has_alpha(), [&](std::int64_t row, std::span<float> values) {
            const std::size_t channels = image.has_alpha() ? 4 : 3;
            REQUIRE(values.size() == channels * static_cast<std::size_t>(image.width));
            for (std::size_t i = 0; i < values.size(); ++i) {
              const std::size_t pixel = static_cast<std::size_t>(row * image.width) + i / channels;
              values[i] = i % channels == 3 ? image.alpha[pixel] : image.rgb[3 * pixel + i % channels];
            }
          }};
}

ImageRows plain(PixelSize size) {
  return {size, false,
          [](std::int64_t, std::span<float> values) { std::fill(values.begin(), values.end(), 0.25F); }};
}

/// What differs from block to block of 256 x 256, exact in 8 bits.
float level(std::size_t column, std::int64_t row) {
  return static_cast<float>((column / 256 + 3 * static_cast<std::size_t>(row / 256)) % 256) / 255;
}

using Tiff = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

}  // namespace

TEST_CASE("a picture written from rows has the bytes of one written whole", "[image]") {
  const TemporaryFolder folder;
  for (const std::string& file : kFiles) {
    for (const int bits : {8, 16}) {
      for (const bool alpha : {false, true}) {
        for (const PixelSize size : {PixelSize{1, 1}, {67, 41}, {3, 700}, {700, 300}}) {
          INFO(file << " " << bits << " " << alpha << " " << to_string(size));
          const Image picture = make_picture(size.width, size.height, alpha, 4095);
          WriteOptions options;
          options.bits = bits;
          options.metadata = {{"Software", "test"}, {"Comment", "caf\xC3\xA9"}};
          write_image(folder / file, picture, options);
          const FileBytes whole = file_bytes(folder / file);
          write_image_rows(folder / file, rows_of(picture), options);
          CHECK(file_bytes(folder / file) == whole);
        }
      }
    }
  }
  CHECK(folder.entries() == static_cast<std::ptrdiff_t>(kFiles.size()));
}

TEST_CASE("rows are asked for from the top, each once", "[image]") {
  const TemporaryFolder folder;
  for (const std::string& file : kFiles) {
    std::int64_t next = 0;
    const auto fill = [&](std::int64_t row, std::span<float> values) {
      CHECK(row == next++);
      std::fill(values.begin(), values.end(), 0.5F);
    };
    write_image_rows(folder / file, {{2000, 150}, false, fill});
    CHECK(next == 150);
  }
}

TEST_CASE("a source of rows that fails ends the writing and leaves the old file and nothing else",
          "[image]") {
  struct Unusual {};
  const TemporaryFolder folder;
  for (const std::string& file : kFiles) {
    write_image(folder / file, make_picture(8, 8));
    for (const std::int64_t fails_at : {0, 1, 299}) {
      INFO(file << " row " << fails_at);
      ImageRows rows = plain({1000, 300});
      rows.fill = [&](std::int64_t row, std::span<float> values) {
        if (row == fails_at) throw Error(ErrorCode::kInterrupted, "the source has its own words");
        std::fill(values.begin(), values.end(), static_cast<float>(row % 7) / 7);
      };
      CHECK(error_of(ErrorCode::kInterrupted, [&] { write_image_rows(folder / file, rows); }) ==
            "the source has its own words");
      rows.fill = [&](std::int64_t row, std::span<float>) {
        if (row == fails_at) throw Unusual();
      };
      CHECK_THROWS_AS(write_image_rows(folder / file, rows), Unusual);
    }
    CHECK(read_image(folder / file).width == 8);
  }
  CHECK(folder.entries() == static_cast<std::ptrdiff_t>(kFiles.size()));
}

TEST_CASE("rows of values that no picture has are refused where they stand", "[image]") {
  const TemporaryFolder folder;
  const auto message = [&](float colour, float alpha) {
    const auto fill = [&](std::int64_t row, std::span<float> values) {
      std::fill(values.begin(), values.end(), 0.5F);
      if (row != 2) return;
      values[5] = colour;
      values[7] = alpha;
    };
    return error_of(ErrorCode::kUsage, [&] { write_image_rows(folder / "a.png", {{4, 4}, true, fill}); });
  };
  CHECK_THAT(message(std::numeric_limits<float>::quiet_NaN(), 1),
             ContainsSubstring("a.png: expected finite colours, found nan at column 2, row 3"));
  CHECK_THAT(message(0, 1.5F), ContainsSubstring("expected alpha from 0 to 1, found 1.5 at column 2, row 3"));
  error_of(ErrorCode::kUsage, [&] { write_image_rows(folder / "a.png", {{4, 4}, false, {}}); });
  error_of(ErrorCode::kUsage, [&] { write_image_rows(folder / "a.png", plain({0, 4})); });
  CHECK(folder.entries() == 0);
}

TEST_CASE("a disk that is full in the middle of a picture leaves the old file and nothing else", "[image]") {
  const TemporaryFolder folder;
  for (const std::string& file : kFiles) {
    write_image(folder / file, make_picture(8, 8));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{rlim_t{1} << 20, before.rlim_max};
    std::uint32_t noise = 1;
    std::int64_t rows = 0;
    const auto fill = [&](std::int64_t, std::span<float> values) {
      ++rows;
      for (float& value : values)
        value = static_cast<float>((noise = noise * 1664525 + 1013904223) >> 16) / 65536;
    };
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    std::string message;
    try {
      write_image_rows(folder / file, {{1000, 2000}, false, fill});
    } catch (const Error& error) {
      message = error.what();
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
    CHECK_THAT(message, ContainsSubstring(file + ": expected room for"));
    if (file != "a.webp") CHECK(rows < 2000);  // not written first and found to be too much then
    CHECK(read_image(folder / file).width == 8);
  }
  CHECK(folder.entries() == static_cast<std::ptrdiff_t>(kFiles.size()));
}

TEST_CASE("sides that a format cannot have are refused before the first row", "[image]") {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& file, PixelSize size) {
    ImageRows rows = plain(size);
    rows.fill = [](std::int64_t, std::span<float>) { FAIL("asked for a row"); };
    const std::string said = error_of(ErrorCode::kBadInput, [&] { write_image_rows(folder / file, rows); });
    CHECK(error_of(ErrorCode::kBadInput, [&] { require_writable_size(folder / file, size); }) == said);
    return said;
  };
  CHECK_THAT(message("a.jpg", {65501, 1}),
             ContainsSubstring("a.jpg: expected sides of at most 65500 pixels for JPEG, found 65501 x 1"));
  CHECK_THAT(message("a.webp", {1, 16384}),
             ContainsSubstring("a.webp: expected sides of at most 16383 pixels for WebP, found 1 x 16384"));
  require_writable_size("a.jpg", {65500, 65500});
  require_writable_size("a.webp", {16383, 16383});
  require_writable_size("a.png", {1'000'000, 1'000'000});
  require_writable_size("a.tif", {1'000'000, 1'000'000});
  error_of(ErrorCode::kUsage, [&] { require_writable_size("a.bmp", {1, 1}); });
  error_of(ErrorCode::kUsage, [&] { require_writable_size("a.png", {0, 1}); });
  CHECK(folder.entries() == 0);
}

TEST_CASE("a large TIFF is in tiles, a smaller one in strips", "[image]") {
  const TemporaryFolder folder;
  write_image_rows(folder / "small.tif", plain({2000, 300}));
  const Tiff small(TIFFOpen((folder / "small.tif").c_str(), "r"), &TIFFClose);
  REQUIRE(small);
  CHECK(TIFFIsTiled(small.get()) == 0);

  const PixelSize size{100'000, 700};  // neither a multiple of the tiles' side
  const auto fill = [](std::int64_t row, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = level(i / 3, row);
  };
  write_image_rows(folder / "large.tif", {size, false, fill});
  const Tiff large(TIFFOpen((folder / "large.tif").c_str(), "r"), &TIFFClose);
  REQUIRE(large);
  CHECK(TIFFIsTiled(large.get()) != 0);
  CHECK(TIFFIsBigTIFF(large.get()) == 0);
  REQUIRE(TIFFNumberOfTiles(large.get()) == 391 * 3);
  std::vector<std::uint8_t> tile(std::size_t{256} * 256 * 3);
  std::int64_t wrong = 0;
  for (std::uint32_t i = 0; i < 391 * 3; ++i) {
    REQUIRE(TIFFReadEncodedTile(large.get(), i, tile.data(), static_cast<tmsize_t>(tile.size())) > 0);
    const auto expected = static_cast<std::uint8_t>((i % 391 + 3 * (i / 391)) % 256);
    const std::size_t columns = i % 391 == 390 ? 100'000 % 256 : 256, rows = i / 391 == 2 ? 700 % 256 : 256;
    for (std::size_t at = 0; at < tile.size(); ++at) {
      const bool inside = at / 3 % 256 < columns && at / 768 < rows;
      wrong += tile[at] != (inside ? expected : 0);
    }
  }
  CHECK(wrong == 0);
  const auto choose = [](PixelSize own) { return std::vector<PixelSize>{{own.width, 1}}; };
  CHECK(read_image_at(folder / "large.tif", choose).front().size() == PixelSize{100'000, 1});
}
