// Round trips, metadata, profiles and where files may be written.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>

#include <jpeglib.h>
#include <lcms2.h>
#include <png.h>
#include <tiffio.h>
#include <webp/mux.h>

#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

Image round_trip(const std::string& file, const Image& picture, const WriteOptions& options = {}) {
  const TemporaryFolder folder;
  write_image(folder / file, picture, options);
  CHECK(folder.entries() == 1);
  return read_image(folder / file);
}

bool contains(const FileBytes& bytes, const std::string& text) {
  return std::search(bytes.begin(), bytes.end(), text.begin(), text.end()) != bytes.end();
}

}  // namespace

TEST_CASE("PNG and TIFF keep every 8-bit and every 16-bit value, with and without alpha", "[image]") {
  for (const std::string file : {"a.png", "a.tif", "a.TIFF"}) {
    for (const int bits : {8, 16}) {
      for (const bool alpha : {false, true}) {
        INFO(file << " " << bits << " " << alpha);
        const Image picture = make_picture(67, 41, alpha, bits == 8 ? 255 : 65535);
        WriteOptions options;
        options.bits = bits;
        check_same(round_trip(file, picture, options), picture);
      }
    }
  }
}

TEST_CASE("all 65536 values survive a 16-bit PNG", "[image]") {
  Image picture;
  picture.width = picture.height = 256;
  for (int i = 0; i < 65536; ++i) {
    picture.rgb.insert(picture.rgb.end(),
                       {static_cast<float>(i) / 65535.0F, static_cast<float>(65535 - i) / 65535.0F,
                        static_cast<float>(i ^ 0x5555) / 65535.0F});
  }
  WriteOptions options;
  options.bits = 16;
  check_same(round_trip("a.png", picture, options), picture);
}

TEST_CASE("JPEG and WebP come back close, and WebP keeps alpha", "[image]") {
  const Image picture = make_picture(64, 48, true);
  Image opaque = picture;
  opaque.alpha.clear();
  const Difference jpeg = difference(round_trip("a.jpg", opaque).rgb, opaque.rgb);
  CHECK(jpeg.mean < 0.005);
  CHECK(jpeg.max < 0.05);
  const Image webp = round_trip("a.webp", picture);
  CHECK(difference(webp.rgb, picture.rgb).mean < 0.01);
  CHECK(difference(webp.alpha, picture.alpha).max == 0);
  CHECK_FALSE(round_trip("a.webp", opaque).has_alpha());
}

TEST_CASE("JPEG keeps colour at full resolution", "[image]") {
  Image stripes = make_picture(32, 32);
  for (std::size_t i = 0; i < stripes.rgb.size(); i += 3) {
    const bool red = i / 3 % 2 == 0;
    stripes.rgb[i] = red ? 0.9F : 0.1F;
    stripes.rgb[i + 1] = red ? 0.1F : 0.5F;
    stripes.rgb[i + 2] = 0.2F;
  }
  CHECK(difference(round_trip("a.jpeg", stripes).rgb, stripes.rgb).mean < 0.02);
}

TEST_CASE("a higher quality is closer to the picture", "[image]") {
  const Image picture = read_image(golden_path("resize_source.png"));
  for (const std::string file : {"a.jpg", "a.webp"}) {
    WriteOptions low, high;
    low.quality = 30;
    high.quality = 98;
    CHECK(difference(round_trip(file, picture, high).rgb, picture.rgb).mean <
          0.5 * difference(round_trip(file, picture, low).rgb, picture.rgb).mean);
  }
}

TEST_CASE("values outside of 0..1 are clamped", "[image]") {
  Image picture = make_picture(2, 1);
  picture.rgb = {-3, 2, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max(), -0.0F, 0.5F};
  const Image result = round_trip("a.png", picture);
  const std::vector<float> expected = {0, 1, 0, 1, 0, 128.0F / 255};
  CHECK(difference(result.rgb, expected).max == 0);
}

TEST_CASE("alpha is composited over white where the format has none", "[image]") {
  CHECK(output_format_keeps_alpha("a.png"));
  CHECK(output_format_keeps_alpha("a.webp"));
  CHECK(output_format_keeps_alpha("a.TIFF"));
  CHECK_FALSE(output_format_keeps_alpha("a.jpg"));
  for (const char* name : {"a.png", "a.Png", "a.PNG", "a.tif", "a.Tiff", "a.tIF"}) {
    CHECK(output_format_keeps_16_bits(name));
  }
  for (const char* name : {"a.jpg", "a.JPeG", "a.WebP"}) CHECK_FALSE(output_format_keeps_16_bits(name));
  Image picture = make_picture(16, 16, true);
  for (float& v : picture.rgb) v = 0.2F;
  for (float& a : picture.alpha) a = 0.5F;
  for (const float v : round_trip("a.jpg", picture).rgb) CHECK(v == Approx(0.6).margin(0.01));
}

TEST_CASE("pictures of one pixel a side can be written and read", "[image]") {
  for (const std::string file : {"a.png", "a.jpg", "a.webp", "a.tif"}) {
    for (const auto& [w, h] : {std::pair{1, 1}, {1, 50}, {50, 1}}) {
      const Image result = round_trip(file, make_picture(w, h));
      CHECK(result.width == w);
      CHECK(result.height == h);
    }
  }
}

TEST_CASE("the same picture gives the same bytes", "[image]") {
  const TemporaryFolder folder;
  for (const std::string suffix : {".png", ".jpg", ".webp", ".tif"}) {
    write_image(folder / ("a" + suffix), make_picture(20, 20));
    write_image(folder / ("b" + suffix), make_picture(20, 20));
    CHECK(file_bytes(folder / ("a" + suffix)) == file_bytes(folder / ("b" + suffix)));
  }
}

TEST_CASE("a picture that makes no sense is refused", "[image]") {
  const TemporaryFolder folder;
  Image empty, broken = make_picture(4, 4);
  broken.rgb.pop_back();
  CHECK_THROWS_AS(write_image(folder / "a.png", empty), Error);
  CHECK_THROWS_AS(write_image(folder / "a.png", broken), Error);
  WriteOptions options;
  options.bits = 12;
  error_of(ErrorCode::kUsage, [&] { write_image(folder / "a.png", make_picture(4, 4), options); });
  options = {};
  options.quality = 101;
  error_of(ErrorCode::kUsage, [&] { write_image(folder / "a.jpg", make_picture(4, 4), options); });
  const std::string message =
      error_of(ErrorCode::kUsage, [&] { write_image(folder / "a.bmp", make_picture(4, 4)); });
  CHECK_THAT(message, ContainsSubstring(".jpeg") && ContainsSubstring("'.bmp'"));
  error_of(ErrorCode::kBadInput, [&] { write_image(folder / "a.webp", make_picture(16384, 1)); });
  error_of(ErrorCode::kBadInput, [&] { write_image(folder / "a.jpg", make_picture(1, 65501)); });
  CHECK(folder.entries() == 0);
}

// --- What stands beside the pixels ---------------------------------------------------------------------

namespace {
WriteOptions with_metadata() {
  WriteOptions options;
  options.metadata = {{"Software", "Impasto 0.1"},
                      {"Comment", "caf\xC3\xA9 <&> \"quoted\""},
                      {"Content weight", "5"},
                      {"Seed", "42"}};
  return options;
}
}  // namespace

TEST_CASE("PNG text is found by libpng, and the file says that it is sRGB", "[image]") {
  const TemporaryFolder folder;
  WriteOptions options = with_metadata();
  options.metadata[std::string(90, 'k')] = "a key that PNG must shorten";
  options.metadata[""] = "no key";
  write_image(folder / "a.png", make_picture(8, 8), options);
  std::FILE* file = std::fopen((folder / "a.png").c_str(), "rb");
  REQUIRE(file != nullptr);
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_read_info(png, info);
  int intent = -1;
  CHECK(png_get_sRGB(png, info, &intent) != 0);
  png_textp text = nullptr;
  int count = 0;
  png_get_text(png, info, &text, &count);
  std::map<std::string, std::string> found;
  for (int i = 0; i < count; ++i) found[text[i].key] = text[i].text;
  png_destroy_read_struct(&png, &info, nullptr);
  std::fclose(file);
  CHECK(found.size() == 5);
  for (const auto& [key, value] : with_metadata().metadata) CHECK(found[key] == value);
  CHECK(found[std::string(79, 'k')] == "a key that PNG must shorten");
}

TEST_CASE("JPEG carries comments, an XMP packet and the sRGB profile", "[image]") {
  const TemporaryFolder folder;
  write_image(folder / "a.jpg", make_picture(8, 8), with_metadata());
  std::FILE* file = std::fopen((folder / "a.jpg").c_str(), "rb");
  REQUIRE(file != nullptr);
  jpeg_decompress_struct in{};
  jpeg_error_mgr errors{};
  in.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&in);
  jpeg_stdio_src(&in, file);
  jpeg_save_markers(&in, JPEG_COM, 0xFFFF);
  jpeg_save_markers(&in, JPEG_APP0 + 1, 0xFFFF);
  jpeg_save_markers(&in, JPEG_APP0 + 2, 0xFFFF);
  jpeg_read_header(&in, TRUE);
  CHECK(in.comp_info[0].h_samp_factor == 1);
  std::string comments, xmp;
  for (jpeg_saved_marker_ptr m = in.marker_list; m != nullptr; m = m->next) {
    const std::string text(reinterpret_cast<const char*>(m->data), m->data_length);
    if (m->marker == JPEG_COM) comments += text + "\n";
    if (m->marker == JPEG_APP0 + 1) xmp = text;
  }
  JOCTET* profile = nullptr;
  unsigned int profile_size = 0;
  CHECK(jpeg_read_icc_profile(&in, &profile, &profile_size));
  cmsHPROFILE opened = cmsOpenProfileFromMem(profile, profile_size);
  REQUIRE(opened != nullptr);
  std::tm made{};
  CHECK(cmsGetHeaderCreationDateTime(opened, &made));
  CHECK(made.tm_year == 100);  // not today: the same picture has the same bytes tomorrow
  cmsCloseProfile(opened);
  std::free(profile);
  jpeg_destroy_decompress(&in);
  std::fclose(file);
  CHECK_THAT(comments, ContainsSubstring("Software: Impasto 0.1\n") && ContainsSubstring("Seed: 42\n") &&
                           ContainsSubstring("caf\xC3\xA9 <&> \"quoted\""));
  CHECK_THAT(xmp, ContainsSubstring("<xmp:CreatorTool>Impasto 0.1</xmp:CreatorTool>") &&
                      ContainsSubstring("<impasto:Content_weight>5</impasto:Content_weight>") &&
                      ContainsSubstring("&lt;&amp;&gt;"));
}

TEST_CASE("JPEG metadata larger than a marker is split, not lost", "[image]") {
  const TemporaryFolder folder;
  WriteOptions options;
  options.metadata["Recipe"] = std::string(100'000, 'r');
  write_image(folder / "a.jpg", make_picture(8, 8), options);
  const FileBytes bytes = file_bytes(folder / "a.jpg");
  CHECK(std::count(bytes.begin(), bytes.end(), 'r') >= 100'000);
  CHECK(read_image(folder / "a.jpg").width == 8);
}

TEST_CASE("WebP carries an XMP packet and the sRGB profile", "[image]") {
  const TemporaryFolder folder;
  write_image(folder / "a.webp", make_picture(8, 8, true), with_metadata());
  const FileBytes bytes = file_bytes(folder / "a.webp");
  const WebPData data{bytes.data(), bytes.size()};
  WebPMux* mux = WebPMuxCreate(&data, 0);
  REQUIRE(mux != nullptr);
  WebPData xmp, profile;
  CHECK(WebPMuxGetChunk(mux, "XMP ", &xmp) == WEBP_MUX_OK);
  CHECK(WebPMuxGetChunk(mux, "ICCP", &profile) == WEBP_MUX_OK);
  CHECK(profile.size > 128);
  const std::string text(reinterpret_cast<const char*>(xmp.bytes), xmp.size);
  WebPMuxDelete(mux);
  CHECK_THAT(text,
             ContainsSubstring("<xmp:CreatorTool>Impasto 0.1<") && ContainsSubstring("<impasto:Seed>42<"));
}

TEST_CASE("TIFF carries Software, a description, an XMP packet and the sRGB profile", "[image]") {
  const TemporaryFolder folder;
  write_image(folder / "a.tif", make_picture(8, 8), with_metadata());
  TIFF* file = TIFFOpen((folder / "a.tif").c_str(), "r");
  REQUIRE(file != nullptr);
  const char *software = nullptr, *description = nullptr;
  std::uint32_t size = 0;
  void* data = nullptr;
  REQUIRE(TIFFGetField(file, TIFFTAG_SOFTWARE, &software));
  CHECK(std::string(software) == "Impasto 0.1");
  REQUIRE(TIFFGetField(file, TIFFTAG_IMAGEDESCRIPTION, &description));
  CHECK_THAT(std::string(description), ContainsSubstring("Seed: 42"));
  REQUIRE(TIFFGetField(file, TIFFTAG_XMLPACKET, &size, &data));
  CHECK_THAT(std::string(static_cast<const char*>(data), size), ContainsSubstring("<impasto:Seed>42<"));
  REQUIRE(TIFFGetField(file, TIFFTAG_ICCPROFILE, &size, &data));
  CHECK(size > 128);
  TIFFClose(file);
}

TEST_CASE("without metadata no packet is written", "[image]") {
  const TemporaryFolder folder;
  for (const std::string suffix : {".png", ".jpg", ".webp", ".tif"}) {
    write_image(folder / ("a" + suffix), make_picture(8, 8));
    CHECK_FALSE(contains(file_bytes(folder / ("a" + suffix)), "xpacket"));
  }
}

// --- Whole files or none ------------------------------------------------------------------------------

TEST_CASE("a file is replaced whole, and nothing else is left in its folder", "[image]") {
  const TemporaryFolder folder;
  write_image(folder / "a.png", make_picture(30, 20));
  write_image(folder / "a.png", make_picture(10, 10));
  CHECK(read_image(folder / "a.png").width == 10);
  CHECK(folder.entries() == 1);
}

TEST_CASE("permissions follow the umask, as for any new file", "[image]") {
  const TemporaryFolder folder;
  const mode_t before = ::umask(022);
  write_image(folder / "a.png", make_picture(3, 3));
  ::umask(before);
  struct stat status {};
  REQUIRE(::stat((folder / "a.png").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
}

TEST_CASE("a link is followed, not replaced", "[image]") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "real");
  write_image(folder / "real/a.png", make_picture(5, 5));
  fs::create_symlink("real/a.png", folder / "link.png");
  write_image(folder / "link.png", make_picture(9, 9));
  CHECK(fs::is_symlink(folder / "link.png"));
  CHECK(read_image(folder / "real/a.png").width == 9);
}

TEST_CASE("places that cannot be written are refused, and nothing appears", "[image]") {
  const TemporaryFolder folder;
  const Image picture = make_picture(4, 4);
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { write_image(folder / "none/a.png", picture); }),
             ContainsSubstring("expected a folder") && ContainsSubstring("found none"));
  fs::create_directory(folder / "a.png");
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { write_image(folder / "a.png", picture); }),
             ContainsSubstring("folder"));
  write_bytes(folder / "file", {1});
  error_of(ErrorCode::kBadInput, [&] { write_image(folder / "file/a.png", picture); });
  fs::create_symlink("/dev/null", folder / "null.png");
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { write_image(folder / "null.png", picture); }),
             ContainsSubstring("device"));
  error_of(ErrorCode::kUsage, [&] { write_image(folder / "", picture); });
  CHECK(folder.entries() == 3);
}

TEST_CASE("a folder without write permission is refused", "[image]") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "locked");
  write_image(folder / "locked/old.png", make_picture(6, 6));
  fs::permissions(folder.path, fs::perms(0755));
  fs::permissions(folder / "locked", fs::perms(0555));
  // access() asks for the real user, open() for the effective one; permissions do not bind root.
  const bool root = ::geteuid() == 0;
  constexpr uid_t kNobody = 65534;
  if (root) REQUIRE(::setresuid(kNobody, kNobody, 0) == 0);
  std::string message;
  try {
    write_image(folder / "locked/old.png", make_picture(4, 4));
  } catch (const Error& error) {
    message = error.what();
  }
  if (root) REQUIRE(::setresuid(0, 0, 0) == 0);
  CHECK_THAT(message, ContainsSubstring("can be written"));
  CHECK(read_image(folder / "locked/old.png").width == 6);
}

TEST_CASE("a full disk is an error that leaves the old file and nothing else", "[image]") {
  const TemporaryFolder folder;
  for (const std::string file : {"a.png", "a.jpg", "a.webp", "a.tif"}) {
    write_image(folder / file, make_picture(8, 8));
    // A limit on the size of files fails in write() as a full disk does.
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{600, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    std::string message;
    try {
      write_image(folder / file, read_image(golden_path("resize_source.png")));
    } catch (const Error& error) {
      message = error.what();
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
    CHECK_THAT(message, ContainsSubstring(file) && ContainsSubstring("room for"));
    CHECK(read_image(folder / file).width == 8);
  }
  CHECK(folder.entries() == 4);
}
