// Embedded profiles, and CMYK with and without one.
#include <cstdio>

#include <jpeglib.h>
#include <lcms2.h>
#include <png.h>
#include <tiffio.h>
#include <webp/mux.h>

#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

FileBytes saved(cmsHPROFILE profile) {
  cmsUInt32Number size = 0;
  REQUIRE(cmsSaveProfileToMem(profile, nullptr, &size));
  FileBytes bytes(size);
  REQUIRE(cmsSaveProfileToMem(profile, bytes.data(), &size));
  cmsCloseProfile(profile);
  return bytes;
}

/// The primaries, white and curve of Adobe RGB (1998).
FileBytes adobe_rgb() {
  const cmsCIExyY white{0.3127, 0.3290, 1};
  const cmsCIExyYTRIPLE primaries{{0.64, 0.33, 1}, {0.21, 0.71, 1}, {0.15, 0.06, 1}};
  cmsToneCurve* curve = cmsBuildGamma(nullptr, 563.0 / 256);
  cmsToneCurve* curves[3] = {curve, curve, curve};
  cmsHPROFILE profile = cmsCreateRGBProfile(&white, &primaries, curves);
  cmsFreeToneCurve(curve);
  return saved(profile);
}

FileBytes linear_grey() {
  cmsToneCurve* curve = cmsBuildGamma(nullptr, 1.0);
  cmsHPROFILE profile = cmsCreateGrayProfile(cmsD50_xyY(), curve);
  cmsFreeToneCurve(curve);
  return saved(profile);
}

/// An ink set of pure fancy, so that use of the profile cannot be mistaken for anything else: L = 100 - K,
/// a and b are 0.
FileBytes black_only_cmyk() {
  cmsHPROFILE profile = cmsCreateProfilePlaceholder(nullptr);
  cmsSetProfileVersion(profile, 2.4);
  cmsSetDeviceClass(profile, cmsSigOutputClass);
  cmsSetColorSpace(profile, cmsSigCmykData);
  cmsSetPCS(profile, cmsSigLabData);
  cmsPipeline* to_lab = cmsPipelineAlloc(nullptr, 4, 3);
  cmsStage* table = cmsStageAllocCLut16bit(nullptr, 2, 4, 3, nullptr);
  REQUIRE(cmsStageSampleCLut16bit(
      table,
      [](const cmsUInt16Number in[], cmsUInt16Number out[], void*) -> cmsInt32Number {
        out[0] = static_cast<cmsUInt16Number>((65535 - in[3]) * 0xFF00LL / 0xFFFF);  // version 2's L* = 100
        out[1] = out[2] = 0x8000;
        return 1;
      },
      nullptr, 0));
  cmsPipelineInsertStage(to_lab, cmsAT_END, table);
  for (const cmsTagSignature tag : {cmsSigAToB0Tag, cmsSigAToB1Tag})
    REQUIRE(cmsWriteTag(profile, tag, to_lab));
  cmsPipelineFree(to_lab);
  return saved(profile);
}

/// An 8 x 8 JPEG of one colour, at quality 100; `in` is the colour space of the sample, `stored` the file's.
FileBytes make_jpeg(const std::vector<std::uint8_t>& sample, J_COLOR_SPACE in, J_COLOR_SPACE stored,
                    const FileBytes& profile, bool adobe_marker = true) {
  jpeg_compress_struct out{};
  jpeg_error_mgr errors{};
  out.err = jpeg_std_error(&errors);
  jpeg_create_compress(&out);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&out, &data, &size);
  out.image_width = out.image_height = 8;
  out.input_components = static_cast<int>(sample.size());
  out.in_color_space = in;
  jpeg_set_defaults(&out);
  jpeg_set_colorspace(&out, stored);
  jpeg_set_quality(&out, 100, TRUE);
  if (!adobe_marker) out.write_Adobe_marker = FALSE;
  jpeg_start_compress(&out, TRUE);
  if (!profile.empty())
    jpeg_write_icc_profile(&out, profile.data(), static_cast<unsigned int>(profile.size()));
  std::vector<std::uint8_t> row;
  for (int x = 0; x < 8; ++x) row.insert(row.end(), sample.begin(), sample.end());
  JSAMPROW pointer = row.data();
  for (int y = 0; y < 8; ++y) jpeg_write_scanlines(&out, &pointer, 1);
  jpeg_finish_compress(&out);
  jpeg_destroy_compress(&out);
  FileBytes bytes(data, data + size);
  std::free(data);
  return bytes;
}

template <class T>
FileBytes make_png(const std::vector<T>& sample, const FileBytes& profile) {
  FileBytes file;
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, [](png_structp, const char*) {});
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp p, png_bytep data, std::size_t size) {
        auto* to = static_cast<FileBytes*>(png_get_io_ptr(p));
        to->insert(to->end(), data, data + size);
      },
      [](png_structp) {});
  constexpr int kTypes[5] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                             PNG_COLOR_TYPE_RGB_ALPHA};
  png_set_IHDR(png, info, 2, 2, 8 * static_cast<int>(sizeof(T)), kTypes[sample.size()], PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!profile.empty()) {
    png_set_iCCP(png, info, "profile", 0, profile.data(), static_cast<png_uint_32>(profile.size()));
  }
  png_write_info(png, info);
  if (sizeof(T) == 2) png_set_swap(png);
  std::vector<T> row(sample);
  row.insert(row.end(), sample.begin(), sample.end());
  for (int y = 0; y < 2; ++y) png_write_row(png, reinterpret_cast<png_const_bytep>(row.data()));
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

template <class T>
FileBytes make_tiff(const std::vector<T>& sample, std::uint16_t photometric, const FileBytes& profile) {
  const TemporaryFolder folder;
  TIFF* out = TIFFOpen((folder / "a.tif").c_str(), "w");
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, 1);
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, 1);
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, static_cast<int>(8 * sizeof(T)));
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, static_cast<int>(sample.size()));
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, photometric);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  if (!profile.empty()) {
    TIFFSetField(out, TIFFTAG_ICCPROFILE, static_cast<std::uint32_t>(profile.size()), profile.data());
  }
  std::vector<T> copy(sample);
  TIFFWriteEncodedStrip(out, 0, copy.data(), static_cast<tmsize_t>(copy.size() * sizeof(T)));
  TIFFClose(out);
  return file_bytes(folder / "a.tif");
}

FileBytes make_webp(std::uint8_t r, std::uint8_t g, std::uint8_t b, const FileBytes& profile) {
  // Lossless WebP through libwebp's own encoder would need a further include; the mux takes any still.
  const TemporaryFolder folder;
  Image flat = make_picture(16, 16);
  for (std::size_t i = 0; i < flat.rgb.size(); ++i) {
    const std::uint8_t value = i % 3 == 0 ? r : i % 3 == 1 ? g : b;
    flat.rgb[i] = static_cast<float>(value) / 255.0F;
  }
  write_image(folder / "a.webp", flat);
  const FileBytes still = file_bytes(folder / "a.webp");
  const WebPData input{still.data(), still.size()}, chunk{profile.data(), profile.size()};
  WebPMux* mux = WebPMuxCreate(&input, 1);
  REQUIRE(WebPMuxSetChunk(mux, "ICCP", &chunk, 1) == WEBP_MUX_OK);
  WebPData output{};
  REQUIRE(WebPMuxAssemble(mux, &output) == WEBP_MUX_OK);
  WebPMuxDelete(mux);
  FileBytes bytes(output.bytes, output.bytes + output.size);
  WebPDataClear(&output);
  return bytes;
}

void check_pixel(const FileBytes& file, double r, double g, double b, double tolerance) {
  const Image image = decode(file);
  CHECK(image.rgb[0] * 255 == Approx(r).margin(tolerance));
  CHECK(image.rgb[1] * 255 == Approx(g).margin(tolerance));
  CHECK(image.rgb[2] * 255 == Approx(b).margin(tolerance));
}

}  // namespace

TEST_CASE("an Adobe RGB profile is converted to sRGB in every format", "[image]") {
  const FileBytes profile = adobe_rgb();
  check_pixel(make_png<std::uint8_t>({200, 100, 50}, profile), 227, 100, 42, 1);
  check_pixel(make_tiff<std::uint8_t>({200, 100, 50}, PHOTOMETRIC_RGB, profile), 227, 100, 42, 1);
  check_pixel(make_jpeg({200, 100, 50}, JCS_RGB, JCS_RGB, profile), 227, 100, 42, 2);
  check_pixel(make_webp(200, 100, 50, profile), 227, 100, 42, 4);
  check_pixel(make_png<std::uint8_t>({200, 100, 50}, {}), 200, 100, 50, 1e-4);
}

TEST_CASE("16-bit pixels are converted with 16-bit accuracy", "[image]") {
  const FileBytes profile = adobe_rgb();
  const Image image = decode(make_png<std::uint16_t>({200 * 257, 100 * 257, 50 * 257}, profile));
  // By hand: x^(563/256), the two matrices, sRGB's curve.
  CHECK(image.rgb[0] * 255 == Approx(227.0).margin(1));
  const Image next = decode(make_png<std::uint16_t>({200 * 257 + 3, 100 * 257, 50 * 257}, profile));
  CHECK(next.rgb[0] > image.rgb[0]);
  CHECK(next.rgb[0] - image.rgb[0] < 2.0F / 10'000);
}

TEST_CASE("out-of-gamut colours end at the border", "[image]") {
  for (const FileBytes& file : {make_png<std::uint8_t>({0, 255, 0}, adobe_rgb()),
                                make_png<std::uint16_t>({0, 65535, 0}, adobe_rgb())}) {
    check_pixel(file, 0, 255, 0, 0.01);
  }
}

TEST_CASE("alpha passes by the profile untouched", "[image]") {
  const Image narrow = decode(make_png<std::uint8_t>({200, 100, 50, 77}, adobe_rgb()));
  CHECK(narrow.rgb[0] * 255 == Approx(227).margin(1));
  CHECK(narrow.alpha[3] == Approx(77.0 / 255));
  const Image wide = decode(make_png<std::uint16_t>({51400, 25700, 12850, 777}, adobe_rgb()));
  CHECK(wide.rgb[9] * 255 == Approx(227).margin(1));
  CHECK(wide.alpha[3] == Approx(777.0 / 65535));
}

TEST_CASE("a grey profile is converted", "[image]") {
  // Linear light of 64/255 is 137.2/255 in sRGB.
  const double expected = 255 * (1.055 * std::pow(64.0 / 255, 1 / 2.4) - 0.055);
  check_pixel(make_png<std::uint8_t>({64}, linear_grey()), expected, expected, expected, 0.3);
  check_pixel(make_png<std::uint16_t>({64 * 257, 0xFFFF}, linear_grey()), expected, expected, expected, 0.3);
  check_pixel(make_jpeg({64}, JCS_GRAYSCALE, JCS_GRAYSCALE, linear_grey()), expected, expected, expected, 1);
}

TEST_CASE("an RGB profile on a grey picture gives its curve", "[image]") {
  check_pixel(make_jpeg({64}, JCS_GRAYSCALE, JCS_GRAYSCALE, saved(cmsCreate_sRGBProfile())), 64, 64, 64,
              0.01);
  const double expected = 255 * (1.055 * std::pow(std::pow(64.0 / 255, 563.0 / 256), 1 / 2.4) - 0.055);
  check_pixel(make_jpeg({64}, JCS_GRAYSCALE, JCS_GRAYSCALE, adobe_rgb()), expected, expected, expected, 0.5);
}

TEST_CASE("an sRGB profile changes no pixel", "[image]") {
  cmsHPROFILE srgb = cmsCreate_sRGBProfile();
  cmsSetProfileVersion(srgb, 2.1);
  check_pixel(make_png<std::uint8_t>({201, 33, 7}, saved(srgb)), 201, 33, 7, 1e-4);
}

TEST_CASE("a broken or unfit profile is ignored", "[image]") {
  FileBytes broken = adobe_rgb();
  for (std::size_t i = 128; i < broken.size(); ++i) broken[i] = static_cast<std::uint8_t>(i * 31);
  FileBytes cut = adobe_rgb();
  cut.resize(cut.size() / 2);
  for (const FileBytes& profile :
       {broken, cut, FileBytes(200, 7), FileBytes{1, 2, 3}, linear_grey(), black_only_cmyk()}) {
    check_pixel(make_tiff<std::uint8_t>({201, 33, 7}, PHOTOMETRIC_RGB, profile), 201, 33, 7, 1e-4);
    check_pixel(make_jpeg({200, 100, 50}, JCS_RGB, JCS_RGB, profile), 200, 100, 50, 1.01);
  }
  check_pixel(make_jpeg({100}, JCS_GRAYSCALE, JCS_GRAYSCALE, black_only_cmyk()), 100, 100, 100, 1e-4);
}

TEST_CASE("a profile that cannot be used is said in one line", "[image]") {
  const FileBytes good = make_png<std::uint8_t>({200, 100, 50}, {});
  const FileBytes deflated = bytes_of("name" + std::string("\0\0 not zlib", 11));
  for (const FileBytes& file : {make_tiff<std::uint8_t>({201, 33, 7}, PHOTOMETRIC_RGB, black_only_cmyk()),
                                make_tiff<std::uint8_t>({201, 33, 7, 0}, PHOTOMETRIC_SEPARATED, adobe_rgb()),
                                make_jpeg({200, 100, 50}, JCS_RGB, JCS_RGB, FileBytes(200, 7)),
                                with_png_chunk(good, "iCCP", deflated)}) {
    const std::vector<std::string> warnings = warnings_of(file);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], ContainsSubstring("test: expected a colour profile"));
  }
  CHECK(warnings_of(make_tiff<std::uint8_t>({201, 33, 7}, PHOTOMETRIC_RGB, adobe_rgb())).empty());
}

// --- What PNG says of colours ---------------------------------------------------------------------------

namespace {

/// An iCCP chunk's data.
FileBytes iccp(const FileBytes& profile) {
  FileBytes packed(compressBound(static_cast<uLong>(profile.size())));
  uLongf size = packed.size();
  REQUIRE(compress(packed.data(), &size, profile.data(), static_cast<uLong>(profile.size())) == Z_OK);
  packed.resize(size);
  return bytes_of(std::string("name\0\0", 6) + std::string(packed.begin(), packed.end()));
}

FileBytes gama(double gamma) {
  return bytes_of(big_endian(static_cast<std::uint32_t>(std::lround(gamma * 1e5))));
}

FileBytes chrm(const std::vector<double>& points) {
  std::string data;
  for (const double p : points) data += big_endian(static_cast<std::uint32_t>(std::lround(p * 1e5)));
  return bytes_of(data);
}

const std::vector<double> kSrgbPoints = {0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06};
const std::vector<double> kAdobePoints = {0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06};

double srgb_of_light(double v) {
  return 255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055);
}

}  // namespace

TEST_CASE("a PNG's profile counts whatever other chunks say and whether the picture is grey", "[image]") {
  const FileBytes rgb = with_png_chunk(make_png<std::uint8_t>({200, 100, 50}, {}), "iCCP", iccp(adobe_rgb()));
  check_pixel(rgb, 227, 100, 42, 1);
  check_pixel(with_png_chunk(rgb, "cHRM", FileBytes(32, 0)), 227, 100, 42, 1);
  check_pixel(with_png_chunk(rgb, "cHRM", chrm(kSrgbPoints)), 227, 100, 42, 1);
  check_pixel(with_png_chunk(rgb, "gAMA", gama(1)), 227, 100, 42, 1);
  check_pixel(with_png_chunk(rgb, "sRGB", {0}), 227, 100, 42, 1);
  CHECK(warnings_of(with_png_chunk(rgb, "cHRM", FileBytes(32, 0))).empty());

  const Image grey = decode(make_jpeg({64}, JCS_GRAYSCALE, JCS_GRAYSCALE, adobe_rgb()));
  const double expected = 255.0 * static_cast<double>(grey.rgb[0]);
  check_pixel(with_png_chunk(make_png<std::uint8_t>({64}, {}), "iCCP", iccp(adobe_rgb())), expected, expected,
              expected, 0.01);
}

TEST_CASE("a PNG's gAMA and cHRM are converted to sRGB", "[image]") {
  const FileBytes plain = make_png<std::uint8_t>({200, 100, 50}, {});
  const auto light = [](double v) { return srgb_of_light(v / 255); };
  check_pixel(with_png_chunk(plain, "gAMA", gama(1)), light(200), light(100), light(50), 0.5);
  const FileBytes wide = make_png<std::uint16_t>({200 * 257, 100 * 257, 50 * 257, 99 * 257}, {});
  check_pixel(with_png_chunk(wide, "gAMA", gama(1)), light(200), light(100), light(50), 0.1);
  check_pixel(with_png_chunk(make_png<std::uint8_t>({64}, {}), "gAMA", gama(1)), light(64), light(64),
              light(64), 0.1);
  check_pixel(with_png_chunk(plain, "gAMA", gama(0.5)), srgb_of_light(std::pow(200 / 255.0, 2)),
              srgb_of_light(std::pow(100 / 255.0, 2)), srgb_of_light(std::pow(50 / 255.0, 2)), 0.5);
  // Adobe RGB said in numbers.
  const FileBytes adobe =
      with_png_chunk(with_png_chunk(plain, "gAMA", gama(256.0 / 563)), "cHRM", chrm(kAdobePoints));
  check_pixel(adobe, 227, 100, 42, 2);
}

TEST_CASE("what means sRGB in a PNG changes no pixel", "[image]") {
  const FileBytes plain = make_png<std::uint8_t>({201, 33, 7}, {});
  const FileBytes gamma = with_png_chunk(plain, "gAMA", gama(0.45455));
  for (const FileBytes& file :
       {gamma, with_png_chunk(gamma, "cHRM", chrm(kSrgbPoints)), with_png_chunk(plain, "gAMA", gama(0.45)),
        with_png_chunk(plain, "cHRM", chrm(kSrgbPoints)),
        with_png_chunk(with_png_chunk(with_png_chunk(plain, "gAMA", gama(1)), "cHRM", chrm(kAdobePoints)),
                       "sRGB", {0}),
        with_png_chunk(plain, "cICP", {1, 13, 0, 1}),
        with_png_chunk(with_png_chunk(plain, "iCCP", iccp(adobe_rgb())), "cICP", {1, 13, 0, 1})}) {
    check_pixel(file, 201, 33, 7, 1e-4);
    CHECK(warnings_of(file).empty());
  }
}

TEST_CASE("numbers of a PNG that make no colours are left out, with one line of warning", "[image]") {
  const FileBytes plain = make_png<std::uint8_t>({201, 33, 7}, {});
  for (const FileBytes& file :
       {with_png_chunk(plain, "cHRM", FileBytes(32, 0)), with_png_chunk(plain, "gAMA", gama(0)),
        with_png_chunk(plain, "cHRM", FileBytes(32, 0xFF)),
        with_png_chunk(plain, "cHRM", chrm({0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3}))}) {
    check_pixel(file, 201, 33, 7, 1e-4);
    CHECK(warnings_of(file).size() == 1);
  }
  for (const FileBytes& file :
       {with_png_chunk(plain, "gAMA", {1}), with_png_chunk(plain, "cHRM", FileBytes(7, 0))}) {
    check_pixel(file, 201, 33, 7, 1e-4);
  }
}

TEST_CASE("a PNG's cICP comes first, and is said where it is not converted", "[image]") {
  const FileBytes plain = make_png<std::uint8_t>({200, 100, 50}, {});
  // Display P3's 200, 100, 50 in sRGB, by the two spaces' matrices and their common curve.
  const FileBytes p3 = with_png_chunk(plain, "cICP", {12, 13, 0, 1});
  check_pixel(p3, 214.9, 92.6, 31.0, 1);
  check_pixel(with_png_chunk(with_png_chunk(p3, "iCCP", iccp(adobe_rgb())), "sRGB", {0}), 214.9, 92.6, 31.0,
              1);
  check_pixel(with_png_chunk(plain, "cICP", {1, 8, 0, 1}), srgb_of_light(200 / 255.0),
              srgb_of_light(100 / 255.0), srgb_of_light(50 / 255.0), 0.5);
  for (const auto& [code, name] : {std::pair<FileBytes, std::string>{{9, 16, 0, 1}, "PQ"},
                                   {{9, 18, 0, 1}, "HLG"},
                                   {{1, 13, 1, 1}, "1/13/1/1"},
                                   {{1, 13, 0, 0}, "1/13/0/0"},
                                   {{200, 13, 0, 1}, "200/13"}}) {
    const FileBytes file = with_png_chunk(plain, "cICP", code);
    check_pixel(file, 200, 100, 50, 1e-4);
    REQUIRE(warnings_of(file).size() == 1);
    CHECK_THAT(warnings_of(file)[0], ContainsSubstring(name));
    check_pixel(with_png_chunk(file, "iCCP", iccp(adobe_rgb())), 227, 100, 42, 1);  // what else the file says
  }
}

TEST_CASE("a chunk beside a PNG's pixels with a wrong checksum is said in one line", "[image]") {
  FileBytes file = with_png_chunk(make_png<std::uint8_t>({201, 33, 7}, {}), "gAMA", gama(1));
  file[33 + 8 + 4] ^= 1;
  check_pixel(file, 201, 33, 7, 1e-4);
  CHECK(warnings_of(file).size() == 1);
}

// --- CMYK -----------------------------------------------------------------------------------------------

TEST_CASE("CMYK without a profile: inks filter independently, Adobe's are inverted", "[image]") {
  // C 20 %, M 40 %, Y 60 %, K 20 % as ink, and as Adobe's light.
  const std::vector<std::uint8_t> ink = {51, 102, 153, 51}, light = {204, 153, 102, 204};
  const double r = 255 * 0.8 * 0.8, g = 255 * 0.6 * 0.8, b = 255 * 0.4 * 0.8;
  check_pixel(make_jpeg(light, JCS_CMYK, JCS_CMYK, {}), r, g, b, 1.5);
  check_pixel(make_jpeg(light, JCS_CMYK, JCS_YCCK, {}), r, g, b, 2.5);
  CHECK(warnings_of(make_jpeg(light, JCS_CMYK, JCS_CMYK, {})).empty());
  check_pixel(make_tiff<std::uint8_t>(ink, PHOTOMETRIC_SEPARATED, {}), r, g, b, 1e-3);
  check_pixel(make_tiff<std::uint16_t>({13107, 26214, 39321, 13107}, PHOTOMETRIC_SEPARATED, {}), r, g, b,
              1e-3);
}

TEST_CASE("a CMYK JPEG without Adobe's marker is taken for light, or for ink where that is all but black",
          "[image]") {
  const std::vector<std::uint8_t> ink = {51, 102, 153, 51}, light = {204, 153, 102, 204};
  const double r = 255 * 0.8 * 0.8, g = 255 * 0.6 * 0.8, b = 255 * 0.4 * 0.8;
  for (const std::vector<std::uint8_t>& stored : {light, ink}) {
    const FileBytes file = make_jpeg(stored, JCS_CMYK, JCS_CMYK, {}, false);
    check_pixel(file, r, g, b, 1.5);
    REQUIRE(warnings_of(file).size() == 1);
    CHECK_THAT(warnings_of(file)[0], ContainsSubstring("Adobe's marker"));
  }
  check_pixel(make_jpeg({255, 255, 255, 255}, JCS_CMYK, JCS_CMYK, {}, false), 255, 255, 255, 1);
  check_pixel(make_jpeg({0, 0, 0, 0}, JCS_CMYK, JCS_CMYK, {}, false), 255, 255, 255, 1);
  check_pixel(make_jpeg({120, 90, 60, 255}, JCS_CMYK, JCS_CMYK, {}, false), 120, 90, 60, 1.5);
}

TEST_CASE("CMYK with a profile goes by it", "[image]") {
  // L* = 50 is 118.9/255 in sRGB, whatever C, M and Y are.
  const FileBytes profile = black_only_cmyk();
  check_pixel(make_tiff<std::uint16_t>({65535, 0, 30000, 32768}, PHOTOMETRIC_SEPARATED, profile), 118.9,
              118.9, 118.9, 1.5);
  check_pixel(make_jpeg({255, 0, 128, 127}, JCS_CMYK, JCS_CMYK, profile), 118.9, 118.9, 118.9, 2);
  check_pixel(make_jpeg({255, 0, 128, 127}, JCS_CMYK, JCS_YCCK, profile), 118.9, 118.9, 118.9, 2);
}
