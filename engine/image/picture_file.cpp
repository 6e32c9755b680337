// The bytes of a picture file, no more of them than a picture can need.
#include "engine/image/picture_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>

#include "engine/core/file.h"
#include "engine/core/text.h"

namespace impasto::codec {
namespace {

/// What a file may have for each pixel, of the widest format and more, and for all that is not pixels.
constexpr std::int64_t kBytesAPixel = 64, kBytesBeside = std::int64_t{1} << 30;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 46;

std::size_t most_bytes(std::int64_t max_pixels) {
  const std::int64_t pixels = std::clamp<std::int64_t>(max_pixels, 0, kMostBytes / kBytesAPixel);
  return static_cast<std::size_t>(pixels * kBytesAPixel + kBytesBeside);
}

Error unreadable(const std::string& what) {
  return make_error(ErrorCode::kBadInput, "{}: expected a readable file, found: {}", what,
                    std::strerror(errno));
}

/// Reads until `bytes` is full or the file ends; it then has what came.
void fill(const std::string& what, const Descriptor& in, std::vector<std::uint8_t>& bytes, std::size_t from) {
  const auto got = in.read(bytes.data() + from, bytes.size() - from);
  if (!got) throw unreadable(what);
  bytes.resize(from + *got);
}

std::vector<std::uint8_t> read(const std::string& what, const Descriptor& in, std::size_t size,
                               std::size_t most, const std::function<void(Bytes)>& check_start) {
  std::vector<std::uint8_t> bytes(kStartBytes);
  fill(what, in, bytes, 0);
  check_start(bytes);
  for (std::size_t wanted = size + 1; bytes.size() >= kStartBytes; wanted = 2 * bytes.size()) {
    if (size > most || bytes.size() > most) {
      throw make_error(ErrorCode::kBadInput,
                       "{}: expected a file of at most {}, more than any picture of the pixels allowed has, "
                       "found {} or more",
                       what, format_bytes(static_cast<double>(most)),
                       format_bytes(static_cast<double>(std::max(size, bytes.size()))));
    }
    const std::size_t from = bytes.size();
    bytes.resize(std::max(wanted, from + kStartBytes));
    const std::size_t room = bytes.size();
    fill(what, in, bytes, from);
    if (bytes.size() < room) break;
  }
  return bytes;
}

}  // namespace

std::vector<std::uint8_t> read_picture_file(const std::filesystem::path& file, std::int64_t max_pixels,
                                            const std::function<void(Bytes)>& check_start) {
  const std::string what = file.string();
  const Descriptor in = Descriptor::open(file, Access::kRead);
  struct stat status {};
  if (!in.valid() || ::fstat(in.number(), &status) != 0) throw unreadable(what);
  if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) {
    throw file_error(what, "a file", S_ISDIR(status.st_mode) ? "a folder" : "a device");
  }
  const auto size = S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) : 0;
  try {
    return read(what, in, size, most_bytes(max_pixels), check_start);
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  throw make_error(ErrorCode::kResources, "{}: expected enough memory for the file, found too little", what);
}

}  // namespace impasto::codec
