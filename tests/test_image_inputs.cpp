// Files as people have them: a little out of order, turned by some program's own way of saying so, or of
// another format than they think.
#include <algorithm>

#include "engine/image/exif.h"
#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

FileBytes jpeg_sample() { return file_bytes(golden_path("plain_420.jpg")); }

/// Where the first segment with that marker starts.
std::ptrdiff_t segment(const FileBytes& file, std::uint8_t marker) {
  for (std::size_t at = 2; at + 4 < file.size(); at += 2 + (file[at + 2] << 8U | file[at + 3])) {
    if (file[at + 1] == marker) return static_cast<std::ptrdiff_t>(at);
  }
  FAIL("expected that marker, found none");
  return 0;
}

/// Turned by 6, the sample is as high as it was wide.
void check_turned(const FileBytes& file, const FileBytes& upright, bool turned = true) {
  const Image image = decode(file), before = decode(upright);
  CHECK(image.width == (turned ? before.height : before.width));
  CHECK(image.rgb[0] ==
        before.rgb[turned ? static_cast<std::size_t>((before.height - 1) * before.width * 3) : 0]);
}

}  // namespace

// --- JPEG that libjpeg warns of -------------------------------------------------------------------------

TEST_CASE("a JPEG whose scan header has odd spectral numbers is read", "[image]") {
  const FileBytes good = jpeg_sample();
  const auto at = static_cast<std::size_t>(segment(good, 0xDA));
  for (const auto& [offset, value] :
       {std::pair{11, 1}, std::pair{12, 0}, std::pair{12, 62}, std::pair{13, 0x11}}) {
    FileBytes bytes = good;
    bytes[at + static_cast<std::size_t>(offset)] = static_cast<std::uint8_t>(value);
    check_same(decode(bytes), decode(good));
    CHECK(warnings_of(bytes).empty());
  }
}

TEST_CASE("bytes that belong to nothing between a JPEG's header segments do no harm", "[image]") {
  const FileBytes good = jpeg_sample();
  const Image expected = decode(good);
  for (const std::uint8_t marker : {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}) {
    INFO(static_cast<int>(marker));
    check_same(decode(inserted(good, segment(good, marker), FileBytes(5, 0))), expected);
    check_same(decode(inserted(good, segment(good, marker), {0xFF, 0x00})), expected);
    check_same(decode(inserted(good, segment(good, marker), FileBytes(3000, 0x20))), expected);
  }
  check_same(decode(inserted(good, segment(good, 0xDB), app1(exif(1, 3), -7))), expected);
}

TEST_CASE("a few bytes between the scans of a progressive JPEG do no harm, many are an error", "[image]") {
  const FileBytes good = file_bytes(golden_path("plain_progressive.jpg"));
  const FileBytes marker = {0xFF, 0xDA};
  const auto first = std::search(good.begin(), good.end(), marker.begin(), marker.end());
  const auto second = std::search(first + 2, good.end(), marker.begin(), marker.end());
  REQUIRE(second != good.end());
  check_same(decode(inserted(good, second - good.begin(), FileBytes(9, 0))), decode(good));
  CHECK_THROWS_AS(decode(inserted(good, second - good.begin(), FileBytes(300, 0))), Error);
}

TEST_CASE("a JPEG without its end marker is read with one line of warning", "[image]") {
  for (const char* name : {"plain_420.jpg", "plain_progressive.jpg", "grey.jpg", "cmyk.jpg"}) {
    FileBytes bytes = file_bytes(golden_path(name));
    const Image expected = decode(bytes);
    CHECK(warnings_of(bytes).empty());
    for (int missing = 1; missing <= 2; ++missing) {
      bytes.pop_back();
      check_same(decode(bytes), expected);
      const std::vector<std::string> warnings = warnings_of(bytes);
      REQUIRE(warnings.size() == 1);
      CHECK_THAT(warnings[0], ContainsSubstring("end marker"));
    }
  }
}

TEST_CASE("a progressive JPEG that lacks its last scans is an error, with or without an end marker",
          "[image]") {
  const FileBytes good = file_bytes(golden_path("plain_progressive.jpg"));
  const FileBytes marker = {0xFF, 0xDA};
  int scans = 0;
  for (auto at = good.begin();; at += 2) {
    at = std::search(at, good.end(), marker.begin(), marker.end());
    if (at == good.end()) break;
    FileBytes cut(good.begin(), at);
    CHECK_THROWS_AS(decode(cut), Error);
    ++scans;
  }
  CHECK(scans > 3);
}

TEST_CASE("a JPEG of 12 bits is refused by that, not as damaged", "[image]") {
  FileBytes bytes = jpeg_sample();
  bytes[static_cast<std::size_t>(segment(bytes, 0xC0)) + 4] = 12;
  check_refused(bytes, "precision 12");
  bytes = jpeg_sample();
  bytes[static_cast<std::size_t>(segment(bytes, 0xC0)) + 1] = 0xC3;
  check_refused(bytes, "SOF type 0xc3");
}

// --- Orientation ----------------------------------------------------------------------------------------

TEST_CASE("EXIF's orientation counts as a number of any whole type", "[image]") {
  const FileBytes good = jpeg_sample();
  for (const std::uint8_t type : {1, 3, 4, 6, 9}) {
    INFO(static_cast<int>(type));
    check_turned(inserted(good, 2, app1(exif(6, type))), good);
  }
  check_turned(inserted(good, 2, app1(exif(6, 2))), good, false);  // text
}

TEST_CASE("orientation is taken from XMP where EXIF has none", "[image]") {
  const std::string header("http://ns.adobe.com/xap/1.0/\0", 29);
  const FileBytes good = jpeg_sample();
  for (const char* form : {"tiff:Orientation=\"6\"", "tiff:Orientation='6'", "tiff:Orientation = \"6\"",
                           "><tiff:Orientation>6</tiff:Orientation><a"}) {
    const FileBytes packet = app1(bytes_of(header + xmp(form)));
    check_turned(inserted(good, 2, packet), good);
    check_turned(inserted(inserted(good, 2, packet), 2, app1(exif(1, 3))), good, false);  // EXIF wins
    check_turned(inserted(inserted(good, 2, packet), 2, app1(exif(0, 3))), good);  // which says nothing
  }
  for (const char* form : {"tiff:Orientation=\"9\"", "tiff:Orientation=\"66\"", "tiff:Orientation", ""}) {
    check_turned(inserted(good, 2, app1(bytes_of(header + xmp(form)))), good, false);
  }
}

TEST_CASE("a PNG is turned by eXIf, by EXIF as text, or by XMP, in this order", "[image]") {
  const FileBytes good = file_bytes(golden_path("plain.png"));
  const auto itxt = [](const std::string& packet) {
    return bytes_of(std::string("XML:com.adobe.xmp\0\0\0\0\0", 22) + packet);
  };
  const auto raw_profile = [](const char* name, const FileBytes& block) {
    std::string text = std::string("Raw profile type ") + name + '\0' + '\n' + name + "\n      " +
                       std::to_string(block.size());
    char hex[4];
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (i % 36 == 0) text += '\n';
      std::snprintf(hex, sizeof hex, "%02x", block[i]);
      text += hex;
    }
    return bytes_of(text + '\n');
  };
  const FileBytes by_xmp = with_png_chunk(good, "iTXt", itxt(xmp("tiff:Orientation=\"6\"")));
  check_turned(by_xmp, good);
  check_turned(with_png_chunk(good, "eXIf", exif(6, 3, false)), good);
  check_turned(with_png_chunk(good, "tEXt", raw_profile("exif", exif(6, 3))), good);
  check_turned(with_png_chunk(good, "tEXt", raw_profile("APP1", exif(6, 3))), good);
  check_turned(with_png_chunk(by_xmp, "tEXt", raw_profile("exif", exif(1, 3))), good, false);
  check_turned(with_png_chunk(by_xmp, "eXIf", exif(1, 3, false)), good, false);

  const FileBytes plain = raw_profile("exif", exif(6, 3));
  const auto text = std::find(plain.begin(), plain.end(), 0) + 1;
  FileBytes packed(compressBound(plain.size()));
  uLongf size = packed.size();
  REQUIRE(compress(packed.data(), &size, &*text, static_cast<uLong>(plain.end() - text)) == Z_OK);
  packed.resize(size);
  const std::string ztxt =
      std::string(plain.begin(), text) + '\0' + std::string(packed.begin(), packed.end());
  check_turned(with_png_chunk(good, "zTXt", bytes_of(ztxt)), good);
}

TEST_CASE("the XMP reader says 1 to 8 of any text", "[image]") {
  for (const std::string text :
       {"", "tiff:Orientation", "tiff:Orientation=", "tiff:Orientation=\"", "tiff:Orientation>"}) {
    CHECK(codec::xmp_orientation(bytes_of(text)) == 1);
  }
  CHECK(codec::xmp_orientation(bytes_of("tiff:Orientation=x tiff:Orientation>\n 3")) == 3);
}

// --- Other formats --------------------------------------------------------------------------------------

TEST_CASE("a file of another format is named, with the next step", "[image]") {
  const auto box = [](const std::string& brand) {
    return bytes_of(std::string("\0\0\0\x18", 4) + "ftyp" + brand + std::string(4, '\0') + "mif1" + brand);
  };
  const std::vector<std::tuple<FileBytes, std::string, std::string>> files = {
      {bytes_of("GIF89a\x01"), "a GIF picture", "magick"},
      {bytes_of(std::string("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", 18)), "a BMP picture", "magick"},
      {box("heic"), "a HEIC picture", "heif-convert"},
      {box("avif"), "an AVIF picture", "avifdec"},
      {bytes_of(std::string("\0\0\0\x0cJXL \r\n\x87\n", 12)), "a JPEG XL picture", "djxl"},
      {bytes_of("<!DOCTYPE html><html></html>"), "a web page", "download the picture itself"},
      {bytes_of("version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer", "git lfs pull"},
      {bytes_of("FUJIFILMCCD-RAW 0201"), "a raw camera picture (RAF)", "develop it"},
      {bytes_of("%PDF-1.4\n"), "a PDF document", "export it as PNG"},
      {bytes_of(std::string("\x89HDF\r\n\x1a\n\0\0", 10)), "an HDF5 file", "--weights"},
      {bytes_of("<svg xmlns='http://www.w3.org/2000/svg'/>"), "an SVG picture", "export it as PNG"},
  };
  for (const auto& [bytes, kind, next] : files) {
    CHECK_THAT(error_of(ErrorCode::kBadInput, [&, &file = bytes] { (void)decode(file); }),
               ContainsSubstring("test: expected a JPEG, PNG, WebP or TIFF picture, found " + kind + "; ") &&
                   ContainsSubstring(next));
  }
}

TEST_CASE("of an animated PNG the first picture is read, with one line of warning", "[image]") {
  const FileBytes good = file_bytes(golden_path("plain.png"));
  const FileBytes file = with_png_chunk(good, "acTL", {0, 0, 0, 3, 0, 0, 0, 0});
  check_same(decode(file), decode(good));
  const std::vector<std::string> warnings = warnings_of(file);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], ContainsSubstring("animation of 3 frames"));
}

TEST_CASE("Apple's variant of PNG is refused by name", "[image]") {
  FileBytes file = file_bytes(golden_path("plain.png"));
  const FileBytes chunk = {0, 0, 0, 4, 'C', 'g', 'B', 'I', 0, 0, 0, 2, 0, 0, 0, 0};
  check_refused(inserted(file, 8, chunk), "CgBI");
}
