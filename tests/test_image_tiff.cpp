// TIFF as programs other than photographers' write it:
// other numbers, colours, orders of directories and tags.
#include <tiffio.h>

#include <cstring>
#include <functional>
#include <map>

#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// Builds little-endian TIFF by hand, so that it can hold what libtiff would not write.
struct TiffBuilder {
  struct Entry {
    std::uint16_t type = 3;
    std::vector<std::uint32_t> values;
    std::uint32_t count = 0;  ///< 0: as many as there are values; else a lie
  };
  using Directory = std::map<std::uint16_t, Entry>;
  std::string file = std::string("II*\0\0\0\0\0", 8);

  static std::string number(std::uint32_t value, std::size_t bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
    return out;
  }
  std::uint32_t put(const std::string& bytes) {
    const auto at = static_cast<std::uint32_t>(file.size());
    file += bytes + (bytes.size() % 2 == 0 ? "" : std::string(1, '\0'));
    return at;
  }
  /// Returns where it stands; `next` follows it in the chain.
  std::uint32_t put_directory(const Directory& entries, std::uint32_t next = 0) {
    std::string body = number(static_cast<std::uint32_t>(entries.size()), 2);
    for (const auto& [tag, entry] : entries) {
      const std::size_t each = entry.type == 3 ? 2 : entry.type == 4 ? 4 : 1;
      std::string data;
      for (const std::uint32_t value : entry.values) data += number(value, each);
      const std::size_t count = entry.count != 0 ? entry.count : entry.values.size();
      body += number(tag, 2) + number(entry.type, 2) + number(static_cast<std::uint32_t>(count), 4);
      if (data.size() > 4) {
        body += number(put(data), 4);
      } else {
        body += data + std::string(4 - data.size(), '\0');
      }
    }
    return put(body + number(next, 4));
  }
  FileBytes finish(std::uint32_t first) {
    file.replace(4, 4, number(first, 4));
    return bytes_of(file);
  }
};

/// One strip of a 2 x 1 picture; `pixels` is what the strip holds.
TiffBuilder::Directory picture(TiffBuilder& to, const std::string& pixels, std::uint32_t bits = 8,
                               std::uint32_t samples = 3, std::uint32_t photometric = 2) {
  return {{256, {4, {2}}},
          {257, {4, {1}}},
          {258, {3, std::vector<std::uint32_t>(samples, bits)}},
          {259, {3, {1}}},
          {262, {3, {photometric}}},
          {273, {4, {to.put(pixels)}}},
          {277, {3, {samples}}},
          {278, {4, {1}}},
          {279, {4, {static_cast<std::uint32_t>(pixels.size())}}},
          {284, {3, {1}}}};
}

using Change = std::function<void(TiffBuilder::Directory&)>;
FileBytes one_picture(
    const std::string& pixels, std::uint32_t bits, std::uint32_t samples, std::uint32_t photometric,
    const Change& change = [](TiffBuilder::Directory&) {}) {
  TiffBuilder b;
  TiffBuilder::Directory d = picture(b, pixels, bits, samples, photometric);
  change(d);
  return b.finish(b.put_directory(d));
}

template <class T>
std::string words(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// The first pixel in 8-bit steps.
void check_first(const FileBytes& file, double r, double g, double b, double tolerance = 0.51) {
  const Image image = decode(file);
  REQUIRE(image.width == 2);
  CHECK(image.rgb[0] * 255 == Approx(r).margin(tolerance));
  CHECK(image.rgb[1] * 255 == Approx(g).margin(tolerance));
  CHECK(image.rgb[2] * 255 == Approx(b).margin(tolerance));
}

const std::string kRed = std::string("\xC8\x0A\x14\xC8\x0A\x14", 6),
                  kBlue = std::string("\x0A\x14\xC8\x0A\x14\xC8", 6);

}  // namespace

TEST_CASE("a TIFF's reduced first directory is not taken for the picture", "[image]") {
  const auto build = [&](std::uint16_t tag, std::uint32_t value, bool below) {
    TiffBuilder b;
    TiffBuilder::Directory thumbnail = picture(b, kRed), full = picture(b, kBlue);
    thumbnail[tag] = {4, {value}};
    if (tag == 255) thumbnail[tag].type = 3;
    const std::uint32_t at = b.put_directory(full);
    if (below) thumbnail[330] = {4, {at}};
    return b.finish(b.put_directory(thumbnail, below ? 0 : at));
  };
  for (const bool below : {false, true}) {
    check_first(build(254, 1, below), 10, 20, 200);
    check_first(build(255, 2, below), 10, 20, 200);
    check_first(build(254, 4, below), 10, 20, 200);  // a mask
    CHECK(warnings_of(build(254, 1, below)).empty());
  }
  // Where there is no other, it is the picture.
  check_first(one_picture(kRed, 8, 3, 2, [](auto& d) { d[254] = {4, {1}}; }), 200, 10, 20);
}

TEST_CASE("of a TIFF of several pages the first is read, with one line of warning", "[image]") {
  TiffBuilder b;
  const std::uint32_t second = b.put_directory(picture(b, kBlue));
  const FileBytes file = b.finish(b.put_directory(picture(b, kRed), second));
  check_first(file, 200, 10, 20);
  const std::vector<std::string> warnings = warnings_of(file);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], ContainsSubstring("found 2 pages"));
}

TEST_CASE("directories that go in a circle are read once", "[image]") {
  TiffBuilder b;
  const std::uint32_t at = b.put_directory(picture(b, kRed));
  b.file.replace(b.file.size() - 4, 4, TiffBuilder::number(at, 4));
  check_first(b.finish(at), 200, 10, 20);
}

TEST_CASE("raw camera files are refused by name", "[image]") {
  const auto build = [&](const char* make, bool dng, bool below) {
    TiffBuilder b;
    TiffBuilder::Directory thumbnail = picture(b, kRed), sensor = picture(b, "abcd", 16, 1, 32803);
    thumbnail[254] = {4, {1}};
    TiffBuilder::Entry maker{2, {}};
    for (const char* c = make; *c != '\0'; ++c) maker.values.push_back(static_cast<unsigned char>(*c));
    maker.values.push_back(0);
    thumbnail[271] = maker;
    if (dng) thumbnail[50706] = {1, {1, 4, 0, 0}};
    const std::uint32_t at = b.put_directory(sensor);
    if (below) thumbnail[330] = {4, {at}};
    return b.finish(b.put_directory(thumbnail, below ? 0 : at));
  };
  for (const bool below : {false, true}) {
    check_refused(build("NIKON CORPORATION", false, below), "a raw camera picture (NEF); develop it");
    check_refused(build("SONY", false, below), "a raw camera picture (ARW)");
    check_refused(build("Somebody", false, below), "a raw camera picture; develop");
  }
  check_refused(build("Google", true, true), "a raw camera picture (DNG)");
}

TEST_CASE("Lab of 8 and 16 bits in TIFF goes through Little CMS", "[image]") {
  const auto lab8 = [](const char* bytes, std::uint32_t photometric) {
    return one_picture(std::string(bytes, 3) + std::string(bytes, 3), 8, 3, photometric);
  };
  const auto lab16 = [](std::vector<std::uint16_t> v, std::uint32_t photometric) {
    return one_picture(words<std::uint16_t>({v[0], v[1], v[2], v[0], v[1], v[2]}), 16, 3, photometric);
  };
  constexpr std::uint32_t kCieLab = 8, kIccLab = 9;
  check_first(lab8("\xFF\0\0", kCieLab), 255, 255, 255);
  check_first(lab8("\0\0\0", kCieLab), 0, 0, 0);
  check_first(lab8("\xFF\x80\x80", kIccLab), 255, 255, 255);
  check_first(lab16({65535, 0, 0}, kCieLab), 255, 255, 255);
  check_first(lab16({0xFF00, 0x8000, 0x8000}, kIccLab), 255, 255, 255);
  // sRGB's red is Lab (D50) 54.29, 80.81, 69.89.
  check_first(lab8("\x8A\x51\x46", kCieLab), 255, 0, 0, 3);
  check_first(lab8("\x8A\xD1\xC6", kIccLab), 255, 0, 0, 3);
  check_first(lab16({35579, 20687, 17892}, kCieLab), 255, 0, 0, 1.5);
  check_first(lab16({35440, 32768 + 20687, 32768 + 17892}, kIccLab), 255, 0, 0, 1.5);
  // Blue has a negative b: 29.57, 68.30, -112.03.
  check_first(lab16({19379, 17485, 36856}, kCieLab), 0, 0, 255, 1.5);
  check_refused(one_picture(std::string(6, '\0'), 8, 3, 10), "ITU");
}

TEST_CASE("TIFF of floating point is read and clipped to 0 to 1", "[image]") {
  const auto with_format = [](std::uint32_t format) {
    return [format](TiffBuilder::Directory& d) { d[339] = {3, {format, format, format}}; };
  };
  const auto file32 = [&](std::vector<float> v) { return one_picture(words(v), 32, 3, 2, with_format(3)); };
  check_first(file32({0.5F, 0.25F, 1, 0, 0, 0}), 127.5, 63.75, 255, 0.01);
  CHECK(warnings_of(file32({0.5F, 0.25F, 1, 0, 0, 0})).empty());
  const FileBytes beyond = file32({2, -1, std::nanf(""), INFINITY, 0, 0});
  check_first(beyond, 255, 0, 0, 0.01);
  REQUIRE(warnings_of(beyond).size() == 1);
  CHECK_THAT(warnings_of(beyond)[0], ContainsSubstring("clipped"));
  check_first(
      one_picture(words<std::uint16_t>({0x3800, 0x3400, 0x3C00, 0, 0, 0x0001}), 16, 3, 2, with_format(3)),
      127.5, 63.75, 255, 0.01);
  check_first(one_picture(words<double>({0.5, 0.25, 1, 0, 0, 0}), 64, 3, 2, with_format(3)), 127.5, 63.75,
              255, 0.01);
  check_refused(one_picture(std::string(48, '\0'), 64, 3, 2, with_format(6)), "complex numbers");
  check_refused(one_picture(std::string(18, '\0'), 24, 3, 2, with_format(3)), "24 bits");
}

TEST_CASE("TIFF of long integers and of integers with sign is scaled by its type", "[image]") {
  const auto with_format = [](std::uint32_t format) {
    return [format](TiffBuilder::Directory& d) { d[339] = {3, {format}}; };
  };
  check_first(one_picture(words<std::uint32_t>({0x80000000U, 0}), 32, 1, 1), 127.5, 127.5, 127.5, 0.01);
  check_first(one_picture(std::string("\0\0\x80\0\0\0", 6), 24, 1, 1), 127.5, 127.5, 127.5, 0.01);
  check_first(one_picture(words<std::uint64_t>({~0ULL, 0}), 64, 1, 1), 255, 255, 255, 0.01);
  check_first(one_picture(words<std::int32_t>({0x40000000, -5}), 32, 1, 1, with_format(2)), 127.5, 127.5,
              127.5, 0.01);
  check_first(one_picture(words<std::int16_t>({0x7FFF, 0}), 16, 1, 1, with_format(2)), 255, 255, 255, 0.01);
  check_first(one_picture("\xC8\x01", 8, 1, 1, with_format(2)), 200, 200, 200,
              0.01);  // of bytes only claimed
  // Counts from 0 to 255 in 32 bits look black: said.
  const std::vector<std::string> warnings =
      warnings_of(one_picture(words<std::uint32_t>({255, 0}), 32, 1, 1));
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], ContainsSubstring("all but black"));
}

TEST_CASE("TIFF of any number of bits up to 16 is read", "[image]") {
  check_first(one_picture("\x1B\x40", 2, 3, 2), 0, 85, 170);       // 00 01 10, 11 01 00
  check_first(one_picture("\xF8\x04\x20", 4, 3, 2), 255, 136, 0);  // F 8 0, 4 2 0
  check_first(one_picture("\x80", 1, 1, 1), 255, 255, 255);        // 1 0
  check_first(one_picture("\x40", 1, 1, 0), 255, 255, 255);        // 0 1, 0 is white
  check_first(one_picture(std::string("\x80\0\0", 3), 12, 1, 1), 127.5, 127.5, 127.5, 0.1);
  const Image twelve = decode(one_picture("\xFF\xF0\x01", 12, 1, 1));
  CHECK(twelve.rgb[0] == 1);
  CHECK(twelve.rgb[3] == Approx(1.0 / 4095).margin(1e-5));
}

TEST_CASE("tags that have nothing to do with pixels do not stop a TIFF", "[image]") {
  const std::vector<std::pair<std::uint16_t, TiffBuilder::Entry>> harmless = {
      {296, {3, {12291}}},                    // ResolutionUnit
      {274, {3, {77}}},                       // Orientation
      {266, {3, {1}}},                        // FillOrder, as it should be
      {65000, {4, {1}, 0x7FFFFFFF}},          // a private tag whose data would end behind the file
      {65000, {99, {1}}},                     // of no known type
      {305, {2, {'a'}, 0x10000000}},          // Software
      {700, {1, {1}, 0x01000000}},            // XMP
      {33432, {2, {'a', 'b', 'c'}}},          // Copyright without its final zero
      {34665, {4, {0xFFFFFF}}},               // EXIF that is not there
      {282, {5, {0xFFFFFF}}},                 // XResolution
      {330, {4, {0xFFFFFF, 8, 0x7FFFFFFF}}},  // directories below that are none
  };
  for (const auto& [tag, entry] : harmless) {
    INFO(tag);
    const FileBytes file = one_picture(kRed, 8, 3, 2, [&, t = tag, e = entry](auto& d) { d[t] = e; });
    check_first(file, 200, 10, 20);
    CHECK(warnings_of(file).size() <= 1);
  }
  // The data of one that colours depend on.
  CHECK_THROWS_AS(decode(one_picture(kRed, 8, 3, 2,
                                     [](auto& d) {
                                       d[34675] = {7, {1}, 0x01000000};
                                     })),
                  Error);
}

TEST_CASE("a TIFF that does not say what its colours are has RGB from three samples on", "[image]") {
  check_first(one_picture(kRed, 8, 3, 2, [](auto& d) { d.erase(262); }), 200, 10, 20);
  check_first(one_picture("\xC8\x0A", 8, 1, 1, [](auto& d) { d.erase(262); }), 200, 200, 200);
  check_first(
      one_picture(std::string("\xC8\x0A\x14\xFF\xC8\x0A\x14\xFF", 8), 8, 4, 2, [](auto& d) { d.erase(262); }),
      200, 10, 20);
}

TEST_CASE("what libtiff cannot decompress is refused by its name", "[image]") {
  const auto compressed = [](std::uint32_t way) {
    return one_picture(kRed, 8, 3, 2, [way](auto& d) { d[259] = {3, {way}}; });
  };
  check_refused(compressed(34712), "JPEG 2000");
  check_refused(compressed(33005), "JPEG 2000");
  check_refused(compressed(52546), "JPEG XL");
  check_refused(compressed(34713), "Nikon");
  check_refused(compressed(12345), "12345");
  check_refused(one_picture(kRed, 12, 3, 2, [](auto& d) { d[259] = {3, {7}}; }), "JPEG of 12 bits");
}

TEST_CASE("what libtiff says in several lines is one line of message", "[image]") {
  const FileBytes file = one_picture(kRed, 8, 3, 2, [](auto& d) { d[334] = {3, {25857}}; });  // NumberOfInks
  const std::string message = error_of(ErrorCode::kBadInput, [&] { (void)decode(file); });
  CHECK_THAT(message, ContainsSubstring("NumberOfInks"));
  CHECK(message.find('\n') == message.npos);
}

TEST_CASE("odd spectral numbers in a JPEG inside of a TIFF do not stop it", "[image]") {
  const FileBytes good = file_bytes(golden_path("jpeg_inside.tiff"));
  FileBytes odd = good;
  int scans = 0;
  for (std::size_t i = 0; i + 12 < odd.size(); ++i) {
    if (odd[i] != 0xFF || odd[i + 1] != 0xDA) continue;
    odd[i + 12] = 0;
    ++scans;
  }
  REQUIRE(scans > 0);
  check_same(decode(odd), decode(good));
}

TEST_CASE("a TIFF is turned by XMP where it has no orientation of its own", "[image]") {
  const std::string packet = "<rdf:Description tiff:Orientation=\"6\"/>";
  const auto file = [&](int orientation) {
    return one_picture(kRed, 8, 3, 2, [&](auto& d) {
      d[700] = {1, std::vector<std::uint32_t>(packet.begin(), packet.end())};
      if (orientation != 0) d[274] = {3, {static_cast<std::uint32_t>(orientation)}};
    });
  };
  CHECK(decode(file(0)).height == 2);
  CHECK(decode(file(1)).height == 1);
  CHECK(decode(file(8)).height == 2);
}
