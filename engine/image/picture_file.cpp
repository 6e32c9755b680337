#include "engine/image/picture_file.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

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

}  // namespace

std::vector<std::uint8_t> read_picture_file(const std::filesystem::path& file, std::int64_t max_pixels,
                                            const std::function<void(Bytes)>& check_start) {
  const std::string what = file.string();
  const std::size_t most = most_bytes(max_pixels);
  bool started = false;
  const auto check = [&](Bytes so_far, std::size_t size) {
    if (!std::exchange(started, true)) check_start(so_far);
    if (size <= most) return;
    throw make_error(ErrorCode::kBadInput,
                     "{}: expected a file of at most {}, more than any picture of the pixels allowed has, "
                     "found {} or more",
                     what, format_bytes(static_cast<double>(most)), format_bytes(static_cast<double>(size)));
  };
  try {
    return read_file(what, file, check);
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  throw make_error(ErrorCode::kResources, "{}: expected enough memory for the file, found too little", what);
}

std::vector<std::uint8_t> read_known_picture_file(const std::filesystem::path& file,
                                                  std::int64_t max_pixels) {
  return read_picture_file(file, max_pixels, [&](Bytes start) {
    run_named(file.string(), [&] { (void)codec_for_content(start); });
  });
}

}  // namespace impasto::codec
