// Files that are cut, flipped or lie: each is an Error, or, where nothing can tell, a picture; never a crash.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include <cerrno>
#include <cstdio>
#include <random>

#include "engine/core/sanitizers.h"
#include "engine/image/codec.h"
#include "engine/image/exif.h"
#include "tests/support/forked.h"
#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// Good files of every format and of different makers.
std::map<std::string, FileBytes> samples() {
  std::map<std::string, FileBytes> files;
  for (const char* name :
       {"plain.png", "palette.png", "orientation_6_exif.png", "plain_420.jpg", "plain_progressive.jpg",
        "grey.jpg", "cmyk.jpg", "orientation_6.jpg", "orientation_6.webp", "orientation_6.tiff", "cmyk.tiff",
        "palette.tiff", "bilevel.tiff", "jpeg_inside.tiff"}) {
    files[name] = file_bytes(golden_path(name));
  }
  const TemporaryFolder folder;
  WriteOptions options;
  options.metadata = {{"Software", "Impasto"}, {"Comment", "text behind the pixels"}};
  for (const std::string name : {"own.png", "own.jpg", "own.webp", "own.tif"}) {
    for (const int bits : {8, 16}) {
      options.bits = bits;
      write_image(folder / name, make_picture(40, 30, name != "own.jpg"), options);
      files[std::to_string(bits) + "-bit " + name] = file_bytes(folder / name);
    }
  }
  return files;
}

/// What is left in place of stderr, to see that no library prints.
struct CapturedStderr {
  std::FILE* file = std::tmpfile();
  int saved = ::dup(2);
  CapturedStderr() {
    std::fflush(stderr);
    ::dup2(::fileno(file), 2);
  }
  long end() {
    if (saved < 0) return -1;
    std::fflush(stderr);
    ::dup2(saved, 2);
    ::close(saved);
    saved = -1;
    std::fseek(file, 0, SEEK_END);
    const long size = std::ftell(file);
    std::fclose(file);
    return size;
  }
  ~CapturedStderr() { end(); }
};

enum class Outcome { kPicture, kRefused };
Outcome try_decode(const FileBytes& bytes) {
  try {
    const Image image = decode(bytes, 1'000'000);
    REQUIRE(image.rgb.size() == static_cast<std::size_t>(image.pixels()) * 3);
    return Outcome::kPicture;
  } catch (const Error& error) {
    REQUIRE(error.code() == ErrorCode::kBadInput);
    REQUIRE_THAT(error.what(), ContainsSubstring("test: expected"));
    return Outcome::kRefused;
  }
}

}  // namespace

TEST_CASE("a file cut anywhere is an error, or the whole picture with a warning", "[image]") {
  CapturedStderr captured;
  for (const auto& [name, whole] : samples()) {
    REQUIRE(try_decode(whole) == Outcome::kPicture);
    const Image expected = decode(whole);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      if (size > 300 && size + 100 < whole.size() && size % 7 != 0) continue;
      const FileBytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      if (try_decode(cut) == Outcome::kRefused) continue;
      INFO(name << " cut to " << size << " of " << whole.size() << " bytes");
      CHECK(warnings_of(cut).size() == 1);
      check_same(decode(cut), expected);
    }
  }
  CHECK(captured.end() == 0);
}

TEST_CASE("flipped bytes give a picture or an error, and no output", "[image]") {
  CapturedStderr captured;
  std::mt19937 random(20240501);
  for (const auto& [name, whole] : samples()) {
    int refused = 0;
    for (int round = 0; round < 400; ++round) {
      FileBytes bytes = whole;
      const unsigned flips = 1 + random() % 4;
      for (unsigned i = 0; i < flips; ++i) {
        const std::size_t limit = round % 2 == 0 ? std::min<std::size_t>(bytes.size(), 128) : bytes.size();
        bytes[random() % limit] = static_cast<std::uint8_t>(random());
      }
      refused += try_decode(bytes) == Outcome::kRefused ? 1 : 0;
    }
    INFO(name);
    CHECK(refused > 20);
  }
  CHECK(captured.end() == 0);
}

TEST_CASE("any flipped byte of a PNG's pixels is found", "[image]") {
  const FileBytes whole = file_bytes(golden_path("plain.png"));
  for (std::size_t i = 60; i + 16 < whole.size(); i += 5) {
    FileBytes bytes = whole;
    bytes[i] ^= 0x40;
    CHECK(try_decode(bytes) == Outcome::kRefused);
  }
}

TEST_CASE("a JPEG with lost data in the middle is an error, not a grey picture", "[image]") {
  const TemporaryFolder folder;
  write_image(folder / "a.jpg", resize(read_image(golden_path("resize_source.png")), {200, 150}));
  const FileBytes whole = file_bytes(folder / "a.jpg");
  FileBytes bytes = whole;
  const auto middle = bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2);
  bytes.erase(middle, middle + 400);
  CHECK(try_decode(bytes) == Outcome::kRefused);
  bytes = whole;
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2), bytes.end() - 2, std::uint8_t{0});
  CHECK(try_decode(bytes) == Outcome::kRefused);
}

TEST_CASE("a fax with damage, or of fewer rows than it claims, is an error", "[image]") {
  const FileBytes whole = file_bytes(golden_path("bilevel.tiff"));
  FileBytes damaged = whole, shorter = whole;
  damaged[0x40] ^= 0xff;                         // in the middle of a row
  for (const std::size_t at : {0x116, 0x152}) {  // ImageLength, RowsPerStrip
    REQUIRE(shorter[at] == 24);
    shorter[at] = 200;
  }
  CHECK(try_decode(whole) == Outcome::kPicture);
  CHECK(try_decode(damaged) == Outcome::kRefused);
  CHECK(try_decode(shorter) == Outcome::kRefused);  // libtiff leaves the other rows as memory was
}

TEST_CASE("a few bytes before a JPEG's end marker, as some cameras leave, do no harm", "[image]") {
  FileBytes bytes = file_bytes(golden_path("plain_420.jpg"));
  const Image expected = decode(bytes);
  bytes.insert(bytes.end() - 2, {0x11, 0x22, 0x33, 0x44});
  check_same(decode(bytes), expected);
  bytes.insert(bytes.end(), 100, std::uint8_t{0x55});  // and anything may follow it
  check_same(decode(bytes), expected);
}

TEST_CASE("a header that claims too many pixels is refused, whatever the format", "[image]") {
  for (const char* name :
       {"plain.png", "plain_420.jpg", "orientation_6.webp", "orientation_6.tiff", "palette.tiff"}) {
    INFO(name);
    const FileBytes bytes = file_bytes(golden_path(name));
    const std::int64_t pixels = decode(bytes).pixels();
    CHECK_NOTHROW(decode(bytes, pixels));
    CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)decode(bytes, pixels - 1); }),
               ContainsSubstring("expected at most " + std::to_string(pixels - 1) + " pixels"));
  }
}

TEST_CASE("a JPEG header of 65500 x 65500 pixels is refused without its memory", "[image]") {
  FileBytes bytes = file_bytes(golden_path("plain_420.jpg"));
  for (std::size_t i = 0; i + 8 < bytes.size(); ++i) {
    if (bytes[i] == 0xFF && bytes[i + 1] == 0xC0) {
      bytes[i + 5] = bytes[i + 7] = 0xFF;
      bytes[i + 6] = bytes[i + 8] = 0xDC;
      break;
    }
  }
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)decode(bytes); }),
             ContainsSubstring("65500 x 65500"));
}

TEST_CASE("files that are no picture are named as such", "[image]") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)read_image(folder / "none.png"); }),
             ContainsSubstring("none.png") && ContainsSubstring("No such file"));
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)read_image(folder.path); }),
             ContainsSubstring("folder"));
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)read_image("/dev/zero"); }),
             ContainsSubstring("device"));
  write_bytes(folder / "empty.png", {});
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)read_image(folder / "empty.png"); }),
             ContainsSubstring("empty file"));
  write_bytes(folder / "text.png", {'h', 'e', 'l', 'l', 'o'});
  CHECK_THAT(error_of(ErrorCode::kBadInput, [&] { (void)read_image(folder / "text.png"); }),
             ContainsSubstring("text.png: expected a JPEG, PNG, WebP or TIFF"));
}

TEST_CASE("a format is recognised by content, not by suffix", "[image]") {
  const TemporaryFolder folder;
  fs::copy_file(golden_path("plain.png"), folder / "really_png.jpg");
  check_same(read_image(folder / "really_png.jpg"), read_image(golden_path("plain.png")));
}

TEST_CASE("the EXIF reader stays inside of any block and says 1 to 8", "[image]") {
  std::mt19937 random(7);
  const FileBytes good = {'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                          1,   18,  0,   3,   0, 0, 0,   1,   0, 6,  0, 0, 0, 0, 0, 0};
  CHECK(codec::exif_orientation(good) == 6);
  CHECK(codec::exif_orientation(codec::Bytes(good).subspan(6)) == 6);
  CHECK(codec::exif_orientation({}) == 1);
  for (int round = 0; round < 20'000; ++round) {
    // Of its own size on the heap, so that AddressSanitizer sees one byte too many.
    FileBytes bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(random() % (good.size() + 1)));
    for (unsigned i = 0; i < random() % 5 && !bytes.empty(); ++i) {
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
    bytes.shrink_to_fit();
    const int orientation = codec::exif_orientation(bytes);
    REQUIRE(orientation >= 1);
    REQUIRE(orientation <= 8);
  }
  FileBytes wild = good;
  for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{9}, std::uint8_t{255}}) {
    wild[25] = value;
    CHECK(codec::exif_orientation(wild) == 1);
  }
}

#if !IMPASTO_SANITIZED
namespace {

/// A file of `start` and then nothing up to `bytes`, which take no room on the disk.
void write_sparse(const std::filesystem::path& file, const std::string& start, std::uintmax_t bytes) {
  std::ofstream(file, std::ios::binary) << start;
  std::filesystem::resize_file(file, bytes);
}

std::string with_little_memory(const std::function<std::string()>& work) {
  return testing::said_with_memory(rlim_t{1} << 30, work);
}

}  // namespace

TEST_CASE("a large file of another kind is refused by its first bytes", "[image]") {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("impasto-large-" + std::to_string(::getpid()));
  const std::uintmax_t bytes = std::uintmax_t{6} << 30;
  write_sparse(file, "PK\x03\x04 and more", bytes);
  for (const bool probe : {false, true}) {
    const std::string said = with_little_memory([&] {
      if (probe) {
        (void)probe_image(file);
      } else {
        (void)read_image(file);
      }
      return std::string("read");
    });
    CHECK_THAT(said, ContainsSubstring("expected a JPEG, PNG, WebP or TIFF picture, found"));
  }
  // A JPEG by its first bytes, with more behind them than memory has or any picture allowed.
  write_sparse(file, "\xFF\xD8\xFF\xE0 and more", bytes);
  CHECK_THAT(with_little_memory([&] { return (void)read_image(file), std::string("read"); }),
             ContainsSubstring("expected enough memory for the file"));
  CHECK_THAT(with_little_memory([&] { return (void)read_image(file, 1000), std::string("read"); }),
             ContainsSubstring("expected a file of at most 1.00 GiB"));
  std::filesystem::remove(file);
}
#endif

TEST_CASE("a library that finds no memory is told from a file that is damaged", "[image]") {
  const auto code_of = [](int number) {
    errno = ENOMEM;  // of long ago
    try {
      codec::run_named("photo.png", [&] {
        if (number != 0) errno = number;
        throw codec::damaged("PNG", "insufficient memory");
      });
    } catch (const Error& error) {
      CHECK(std::string(error.what()).starts_with("photo.png: "));
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  CHECK(code_of(ENOMEM) == ErrorCode::kResources);
  CHECK(code_of(0) == ErrorCode::kBadInput);
  CHECK(code_of(EINVAL) == ErrorCode::kBadInput);
}
