// Format and size of picture files without their pixels. That a probe agrees with the decoder on every file
// that the other tests of pictures decode is checked by test_image_support.h.
#include <webp/mux.h>

#include <algorithm>
#include <map>

#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// A file of 24 x 16 pixels in each format, by its suffix.
std::map<std::string, FileBytes> samples() {
  const TemporaryFolder folder;
  std::map<std::string, FileBytes> files;
  for (const std::string suffix : {".png", ".jpg", ".webp", ".tif"}) {
    write_image(folder / ("a" + suffix), make_picture(24, 16, suffix != ".jpg"));
    files[suffix] = file_bytes(folder / ("a" + suffix));
  }
  return files;
}

std::size_t find(const FileBytes& file, const std::string& text) {
  const FileBytes bytes = bytes_of(text);
  const auto found = std::search(file.begin(), file.end(), bytes.begin(), bytes.end());
  REQUIRE(found != file.end());
  return static_cast<std::size_t>(found - file.begin());
}

FileBytes with_webp_chunk(const FileBytes& file, const char* name, const FileBytes& data) {
  const WebPData whole{file.data(), file.size()}, content{data.data(), data.size()};
  WebPData out{};
  WebPMux* mux = WebPMuxCreate(&whole, 1);
  REQUIRE(WebPMuxSetChunk(mux, name, &content, 1) == WEBP_MUX_OK);
  REQUIRE(WebPMuxAssemble(mux, &out) == WEBP_MUX_OK);
  FileBytes result(out.bytes, out.bytes + out.size);
  WebPDataClear(&out);
  WebPMuxDelete(mux);
  return result;
}

/// The sample, held as `orientation` says: all ways in which its format can say so.
std::vector<FileBytes> turned(const std::string& suffix, const FileBytes& file, int orientation) {
  const FileBytes block = exif(orientation, 3);
  const std::string packet = xmp("tiff:Orientation=\"" + std::to_string(orientation) + "\"");
  if (suffix == ".jpg") {
    const std::string header("http://ns.adobe.com/xap/1.0/\0", 29);
    return {inserted(file, 2, app1(block)), inserted(file, 2, app1(bytes_of(header + packet)))};
  }
  if (suffix == ".webp") {
    return {with_webp_chunk(file, "EXIF", block), with_webp_chunk(file, "XMP ", bytes_of(packet))};
  }
  if (suffix == ".png") {
    std::vector<FileBytes> files;
    for (const std::size_t at : {kBehindPngHeader, file.size() - kPngEndBytes}) {
      files.push_back(with_png_chunk(file, "eXIf", exif(orientation, 3, false), at));
      files.push_back(with_png_chunk(file, "iTXt",
                                     bytes_of(std::string("XML:com.adobe.xmp\0\0\0\0\0", 22) + packet), at));
    }
    return files;
  }
  FileBytes tagged = file;
  const std::string tag("\x12\x01\x03\0\x01\0\0\0", 8);
  tagged[find(file, tag) + tag.size()] = static_cast<std::uint8_t>(orientation);
  return {tagged};
}

/// The sample with other bytes where its pixels are.
FileBytes with_other_pixels(const std::string& suffix, FileBytes file) {
  const std::map<std::string, std::pair<std::string, std::size_t>> places = {
      {".png", {"IDAT", 4}}, {".jpg", {"\xFF\xDA", 14}}, {".webp", {"VP8 ", 18}}, {".tif", {"", 10}}};
  const auto& [mark, behind] = places.at(suffix);
  const std::size_t at = find(file, mark) + behind;
  std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at), 60, std::uint8_t{0xFF});
  return file;
}

template <class Body>
std::string text_of(const Body& body) {
  return error_of(ErrorCode::kBadInput, body);
}

}  // namespace

TEST_CASE("a probe gives format, size and warnings of every golden picture as reading does", "[image]") {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(golden_path(""))) {
    const fs::path& path = entry.path();
    const std::map<std::string, std::string> formats = {
        {".png", "PNG"}, {".jpg", "JPEG"}, {".webp", "WebP"}, {".tiff", "TIFF"}};
    const auto format = formats.find(path.extension().string());
    if (format == formats.end()) continue;
    INFO(path);
    std::vector<std::string> warnings, probed_warnings;
    const Image image = read_image(path, kDefaultMaxPixels, &warnings);
    const PictureInfo info = probe_image(path, kDefaultMaxPixels, &probed_warnings);
    CHECK(info.format == format->second);
    CHECK(info.size == image.size());
    // The others need pixels.
    std::erase_if(warnings, [](const std::string& warning) {
      return warning.find("the pixels are all there") != warning.npos ||
             warning.find("its values are taken") != warning.npos ||
             warning.find("; clipped") != warning.npos || warning.find("all but black") != warning.npos;
    });
    CHECK(probed_warnings == warnings);
    ++files;
  }
  CHECK(files > 60);
}

TEST_CASE("a probe turns the size by each orientation, wherever the file says it", "[image]") {
  for (const auto& [suffix, upright] : samples()) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      for (const FileBytes& file : turned(suffix, upright, orientation)) {
        INFO(suffix << ' ' << orientation);
        const PixelSize size = probe(file).size;
        CHECK(size == (orientation >= 5 ? PixelSize{16, 24} : PixelSize{24, 16}));
        CHECK(size == decode(file).size());
      }
    }
  }
}

TEST_CASE("a probe decodes nothing: files whose pixels are damaged have a size", "[image]") {
  for (const auto& [suffix, good] : samples()) {
    INFO(suffix);
    for (const FileBytes& whole : turned(suffix, good, 6)) {
      const FileBytes file = with_other_pixels(suffix, whole);
      CHECK_THROWS_AS(decode(file), Error);
      CHECK(probe(file).size == PixelSize{16, 24});
    }
  }
}

TEST_CASE("JPEG and PNG that end behind their header have a size", "[image]") {
  const std::map<std::string, FileBytes> files = samples();
  for (const auto& [suffix, behind] :
       {std::pair{std::string(".jpg"), find(files.at(".jpg"), "\xFF\xDA") + 14},
        {".png", find(files.at(".png"), "IDAT") + 4}}) {
    INFO(suffix);
    FileBytes file = files.at(suffix);
    file.resize(behind);
    CHECK_THROWS_AS(decode(file), Error);
    CHECK(probe(file).size == PixelSize{24, 16});
    file.resize(behind - 6);
    CHECK(text_of([&] { (void)probe(file); }) == text_of([&] { (void)decode(file); }));
  }
}

TEST_CASE("WebP and TIFF that are cut are refused by a probe in the words of reading", "[image]") {
  const std::map<std::string, FileBytes> files = samples();
  for (const std::string suffix : {".webp", ".tif"}) {
    INFO(suffix);
    FileBytes file = files.at(suffix);
    file.resize(file.size() - 20);
    CHECK(text_of([&] { (void)probe(file); }) == text_of([&] { (void)decode(file); }));
  }
}

TEST_CASE("a probe refuses more pixels than it may in the words of reading", "[image]") {
  for (const auto& [suffix, file] : samples()) {
    INFO(suffix);
    CHECK(probe(file, 24 * 16).size == PixelSize{24, 16});
    CHECK_THAT(text_of([&, &bytes = file] { (void)probe(bytes, 24 * 16 - 1); }),
               ContainsSubstring("test: expected at most 383 pixels, found 24 x 16"));
    CHECK_THROWS_AS(decode(file, 24 * 16 - 1), Error);
  }
}

TEST_CASE("what is missing or no picture is refused by a probe in the words of reading", "[image]") {
  const TemporaryFolder folder;
  write_bytes(folder / "empty.png", {});
  write_bytes(folder / "text.png", bytes_of("hello"));
  write_bytes(folder / "a.gif", bytes_of("GIF89a\x01"));
  write_bytes(folder / "a.jpg", bytes_of(std::string("\0\0\0\x18", 4) + "ftypheic" + std::string(12, '\0')));
  for (const fs::path& path : {folder / "none.png", folder.path, fs::path("/dev/zero"), folder / "empty.png",
                               folder / "text.png", folder / "a.gif", folder / "a.jpg"}) {
    INFO(path);
    CHECK(text_of([&] { (void)probe_image(path); }) == text_of([&] { (void)read_image(path); }));
  }
}

TEST_CASE("a probe gives the warnings that need no pixels, with the file's name", "[image]") {
  const TemporaryFolder folder;
  const std::map<std::string, FileBytes> files = samples();
  FileBytes png = with_png_chunk(files.at(".png"), "acTL", {0, 0, 0, 3, 0, 0, 0, 0});
  png = with_png_chunk(png, "iCCP", {'a', 0, 0, 'b'});
  png = with_png_chunk(png, "tIME", FileBytes(7, 1), png.size() - kPngEndBytes);
  png[find(png, "tIME") + 4] = 9;
  write_bytes(folder / "a.png", png);
  std::vector<std::string> warnings, probed_warnings;
  (void)read_image(folder / "a.png", kDefaultMaxPixels, &warnings);
  (void)probe_image(folder / "a.png", kDefaultMaxPixels, &probed_warnings);
  CHECK(probed_warnings == warnings);
  REQUIRE(warnings.size() == 3);
  CHECK_THAT(warnings[0], ContainsSubstring("a.png: ") && ContainsSubstring("found damaged ones: tIME not"));

  const FileBytes odd = with_webp_chunk(files.at(".webp"), "ICCP", bytes_of("no profile"));
  CHECK(warnings_of(odd).size() == 1);
  probed_warnings.clear();
  (void)probe(odd, kDefaultMaxPixels, &probed_warnings);
  CHECK(probed_warnings == warnings_of(odd));

  FileBytes cut = files.at(".jpg");
  cut.resize(cut.size() - 2);
  CHECK(warnings_of(cut).size() == 1);  // of its end, behind the pixels
  probed_warnings.clear();
  (void)probe(cut, kDefaultMaxPixels, &probed_warnings);
  CHECK(probed_warnings.empty());
}

TEST_CASE("what is no chunk's name ends the walk, and no byte of it reaches a message", "[image]") {
  const FileBytes good = samples().at(".png");
  for (const std::string& name : {std::string(";\x1b[7"), std::string("a\nbc"), std::string("tE\0t", 4)}) {
    FileBytes png = with_png_chunk(good, name, FileBytes(4, 0), good.size() - kPngEndBytes);
    png[png.size() - kPngEndBytes - 1] ^= 1;  // its checksum
    std::vector<std::string> warnings;
    CHECK(probe(png, kDefaultMaxPixels, &warnings).size == probe(good).size);
    CHECK(warnings.empty());
  }
}
