// What every room stands on: files, digests, random numbers, text.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "engine/core/digest.h"
#include "engine/core/file.h"
#include "engine/core/random.h"
#include "engine/core/size.h"
#include "engine/core/text.h"
#include "tests/support/catch.h"
#include "tests/support/weights_files.h"

namespace {

using namespace impasto;
namespace fs = std::filesystem;

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

void write_text(const fs::path& file, const std::string& text, Access access) {
  const Descriptor out = Descriptor::open(file, access);
  REQUIRE(out.valid());
  REQUIRE(out.write(text.data(), text.size()));
}

}  // namespace

TEST_CASE("a descriptor does to a file what its access says") {
  const test::TempFolder folder;
  const fs::path file = folder / "words";
  CHECK(!Descriptor::open(file, Access::kRead).valid());
  CHECK(!Descriptor::open(file, Access::kWrite).valid());
  CHECK(errno == ENOENT);
  write_text(file, "one", Access::kAppend);
  write_text(file, " two", Access::kAppend);
  CHECK(text_of(read_file("words", file)) == "one two");
  write_text(file, "ONE", Access::kWrite);
  CHECK(text_of(read_file("words", file)) == "ONE two");
  write_text(file, "three", Access::kReplace);
  CHECK(text_of(read_file("words", file)) == "three");
  CHECK(!Descriptor::open(file, Access::kNew).valid());
  CHECK(errno == EEXIST);
  const Descriptor in = Descriptor::open(file, Access::kRead);
  std::string start(4, '?');
  CHECK(in.read(start.data(), 4) == 4u);
  CHECK(start == "thre");
  CHECK(in.read(start.data(), 4) == 1u);
  CHECK(in.read(start.data(), 4) == 0u);
  CHECK(!in.write("x", 1));
}

TEST_CASE("a whole file is read, also through a pipe, and a folder or device is refused") {
  const test::TempFolder folder;
  std::string text(200'000, ' ');
  std::iota(text.begin(), text.end(), '\0');
  write_text(folder / "file", text, Access::kNew);
  CHECK(text_of(read_file("file", folder / "file")) == text);
  write_text(folder / "empty", "", Access::kNew);
  CHECK(read_file("empty", folder / "empty").empty());

  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const pid_t writer = ::fork();
  if (writer == 0) {
    const Descriptor out = Descriptor::open(folder / "pipe", Access::kWrite);
    ::_exit(out.valid() && out.write(text.data(), text.size()) ? 0 : 1);
  }
  CHECK(text_of(read_file("pipe", folder / "pipe")) == text);

  CHECK_THROWS_WITH(read_file("it", folder / "none"),
                    "it: expected a readable file, found: No such file or directory");
  CHECK_THROWS_WITH(read_file("it", folder.path()), "it: expected a file, found a folder");
  CHECK_THROWS_WITH(read_file("it", "/dev/null"), "it: expected a file, found a device");
}

TEST_CASE("digests are those of the published examples, in however many parts the bytes come") {
  Sha256 whole, parts, nothing;
  whole.update("abc");
  parts.update("a");
  parts.update("");
  parts.update("bc");
  CHECK(whole.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2
  CHECK(parts.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(nothing.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::vector<float> values{1, 2};
  Sha256 of_values, of_bytes;
  of_values.update(std::span(values));
  of_bytes.update(values.data(), 8);
  CHECK(of_values.hex() == of_bytes.hex());
  Md5 md5;
  md5.update("abc");
  const std::string hex = md5.hex();
  CHECK((hex.empty() || hex == "900150983cd24fb0d6963f7d28e17f72"));  // RFC 1321; none in FIPS mode
}

TEST_CASE("random numbers are splitmix64's everywhere") {
  std::uint64_t state = 1234567;  // the first numbers of the generator of java.util.SplittableRandom
  for (const std::uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u}) {
    CHECK(splitmix64(state) == expected);
    state += kSplitmixStep;
  }
  CHECK(unit_interval(0) == 0);
  CHECK(unit_interval(~std::uint64_t{0}) == 1 - 0x1p-53);
  CHECK(open_unit_interval(0) == 0x1p-54);
  CHECK(open_unit_interval(std::uint64_t{1} << 63) == 0.5 + 0x1p-54);
}

TEST_CASE("numbers, bytes, sizes and choices are written as people read them") {
  for (const double value : {0.05, 1e-3, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 100.0}) {
    CHECK(std::strtod(format_number(value).c_str(), nullptr) == value);
  }
  CHECK(format_number(0.05) == "0.05");
  CHECK(format_number(100) == "100");
  CHECK(format_number(1e-5) == "1e-05");
  CHECK(format_number(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1536) == "1.50 KiB");
  CHECK(format_bytes(12.34 * (1 << 20)) == "12.3 MiB");
  CHECK(format_bytes(123.4 * (1 << 30)) == "123 GiB");
  CHECK(format_bytes(5e18) == "4547474 TiB");
  CHECK(to_string(PixelSize{512, 384}) == "512x384");
  CHECK(any_of({}).empty());
  CHECK(any_of({"a"}) == "a");
  CHECK(any_of({"a", "b"}) == "a or b");
  CHECK(any_of({"a", "b", "c"}) == "a, b or c");
}
