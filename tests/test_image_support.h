#pragma once
// What the tests of pictures share: a temporary folder, golden files, pictures to write, and comparing.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <zlib.h>

#include "engine/core/error.h"
#include "engine/image/image.h"
#include "tests/support/catch.h"

namespace impasto::test {

namespace fs = std::filesystem;
using FileBytes = std::vector<std::uint8_t>;

/// A folder that is removed at the end.
struct TemporaryFolder {
  fs::path path;
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "impasto-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] fs::path operator/(const std::string& name) const { return path / name; }
  [[nodiscard]] std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(path), fs::directory_iterator());
  }
};

inline fs::path golden_path(const std::string& name) { return fs::path(IMPASTO_TEST_DATA) / "image" / name; }

inline FileBytes file_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
inline void write_bytes(const fs::path& path, const FileBytes& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline PictureInfo probe(const FileBytes& bytes, std::int64_t max_pixels = kDefaultMaxPixels,
                         std::vector<std::string>* warnings = nullptr) {
  return probe_image(bytes.data(), bytes.size(), "test", max_pixels, warnings);
}

/// Whether all of `some` are in `all`, in this order.
inline bool is_part_of(const std::vector<std::string>& some, const std::vector<std::string>& all) {
  auto at = all.begin();
  for (const std::string& one : some) {
    at = std::find(at, all.end(), one);
    if (at++ == all.end()) return false;
  }
  return true;
}

/// Decodes, and checks what must hold of any file: a probe gives the size of the picture and none but its
/// warnings; it refuses nothing else than what is refused, and with the same error.
inline Image decode(const FileBytes& bytes, std::int64_t max_pixels = kDefaultMaxPixels) {
  std::vector<std::string> warnings, probed_warnings;
  PictureInfo probed;
  std::optional<Error> refused;
  try {
    probed = probe(bytes, max_pixels, &probed_warnings);
  } catch (const Error& error) {
    refused = error;
  }
  try {
    Image image = decode_image(bytes.data(), bytes.size(), "test", max_pixels, &warnings);
    REQUIRE((refused ? refused->what() : std::string()).empty());
    REQUIRE(probed.size == image.size());
    REQUIRE(is_part_of(probed_warnings, warnings));
    return image;
  } catch (const Error& error) {
    if (refused) {
      REQUIRE(refused->code() == error.code());
      REQUIRE(refused->what() == std::string(error.what()));
    }
    throw;
  }
}

/// Of a picture that is read all the same.
inline std::vector<std::string> warnings_of(const FileBytes& bytes) {
  std::vector<std::string> warnings;
  (void)decode_image(bytes.data(), bytes.size(), "test", kDefaultMaxPixels, &warnings);
  return warnings;
}

/// The message of the Error that body throws, which must have the code; fails the test where none comes.
template <class Body>
std::string error_of(ErrorCode code, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  FAIL("expected an Error, found none");
  return {};
}

/// Refused as unusable, not as damaged, by its header alone, with that in its message.
inline void check_refused(const FileBytes& bytes, const std::string& with) {
  const std::string message = error_of(ErrorCode::kBadInput, [&] { (void)decode(bytes); });
  CHECK(error_of(ErrorCode::kBadInput, [&] { (void)probe(bytes); }) == message);
  CHECK_THAT(message, ContainsSubstring(with));
  CHECK_THAT(message, !ContainsSubstring("whole"));
  CHECK_THAT(message, ContainsSubstring("; "));  // a next step
}

inline FileBytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

inline std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift);
  return bytes;
}
inline constexpr std::size_t kBehindPngHeader = 33, kPngEndBytes = 12;
/// A PNG with another chunk behind its header, or elsewhere.
inline FileBytes with_png_chunk(const FileBytes& file, const std::string& name, const FileBytes& data,
                                std::size_t at = kBehindPngHeader) {
  const std::string body = name + std::string(data.begin(), data.end());
  const auto checksum = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
  std::string whole(file.begin(), file.end());
  whole.insert(at, big_endian(static_cast<std::uint32_t>(data.size())) + body + big_endian(checksum));
  return bytes_of(whole);
}

/// With `bytes` put in at `at`.
inline FileBytes inserted(FileBytes file, std::ptrdiff_t at, const FileBytes& bytes) {
  file.insert(file.begin() + at, bytes.begin(), bytes.end());
  return file;
}

/// An APP1 segment; `length_error` is added to the length that it states.
inline FileBytes app1(const FileBytes& content, int length_error = 0) {
  const int length = static_cast<int>(content.size()) + 2 + length_error;
  std::string segment = "\xFF\xE1";
  segment += static_cast<char>(length >> 8);
  segment += static_cast<char>(length);
  return bytes_of(segment + std::string(content.begin(), content.end()));
}

/// A block of EXIF, big-endian, with one entry: orientation, of a TIFF type.
inline FileBytes exif(int orientation, std::uint8_t type, bool prefix = true) {
  std::string block = prefix ? std::string("Exif\0\0", 6) : "";
  block += std::string("MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0", 13) + static_cast<char>(type);
  block += std::string("\0\0\0\x01\0\0\0\0\0\0\0\0", 12);
  const std::size_t bytes = type == 3 ? 2 : type == 4 || type == 9 ? 4 : 1;
  block[block.size() - 9 + bytes] = static_cast<char>(orientation);
  return bytes_of(block);
}

/// An XMP packet with that attribute or element.
inline std::string xmp(const std::string& orientation) {
  return "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description " + orientation + "/></x:xmpmeta>";
}

/// Smooth colours that use the whole range, on a grid of 1/levels so that rounding cannot hide anything.
inline Image make_picture(std::int64_t width, std::int64_t height, bool alpha = false, int levels = 255) {
  Image image;
  image.width = width;
  image.height = height;
  const auto on_grid = [&](double v) { return static_cast<float>(std::round(v * levels) / levels); };
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const double u = width > 1 ? static_cast<double>(x) / static_cast<double>(width - 1) : 0.25;
      const double v = height > 1 ? static_cast<double>(y) / static_cast<double>(height - 1) : 0.75;
      for (const double value : {u, v, 0.5 + 0.5 * std::sin(3 * u + 2 * v)})
        image.rgb.push_back(on_grid(value));
      if (alpha) image.alpha.push_back(on_grid(0.2 + 0.8 * u * v));
    }
  }
  return image;
}

struct Difference {
  double max = 0, mean = 0;
};
inline Difference difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  Difference d;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double e = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    d.max = std::max(d.max, e);
    d.mean += e / static_cast<double>(a.size());
  }
  return d;
}
/// In 8-bit steps, after both are clamped and rounded to 8 bits.
inline Difference difference_8(const Image& a, const Image& b) {
  REQUIRE(a.width == b.width);
  REQUIRE(a.height == b.height);
  std::vector<float> ra, rb;
  const auto round = [](float v) { return std::round(std::min(1.0F, std::max(0.0F, v)) * 255); };
  for (const float v : a.rgb) ra.push_back(round(v));
  for (const float v : b.rgb) rb.push_back(round(v));
  return difference(ra, rb);
}

/// Colour and alpha exactly equal.
inline void check_same(const Image& a, const Image& b) {
  REQUIRE(a.width == b.width);
  REQUIRE(a.height == b.height);
  CHECK(difference(a.rgb, b.rgb).max == 0);
  REQUIRE(a.alpha.size() == b.alpha.size());
  CHECK(difference(a.alpha, b.alpha).max == 0);
}

}  // namespace impasto::test
