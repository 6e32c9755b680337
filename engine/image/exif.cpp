#include "engine/image/exif.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>

namespace impasto::codec {
namespace {

/// Bounds-checked integers of either byte order (TIFF 6.0, section 2).
struct Reader {
  Bytes data;
  bool big_endian = false;
  bool ok = true;

  std::uint32_t number(std::size_t offset, std::size_t size) {
    if (offset > data.size() || data.size() - offset < size) {
      ok = false;
      return 0;
    }
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value = value << 8 | data[offset + (big_endian ? i : size - 1 - i)];
    }
    return value;
  }
};

}  // namespace

int exif_orientation(Bytes exif, int otherwise) {
  constexpr std::uint16_t kOrientationTag = 0x0112;
  // TIFF 6.0's types: BYTE, SHORT, LONG, and the signed SBYTE, SSHORT, SLONG. The standard says SHORT.
  constexpr std::size_t kTypeBytes[10] = {0, 1, 0, 2, 4, 0, 1, 0, 2, 4};
  if (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0\0", 6) == 0) exif = exif.subspan(6);
  Reader in{exif};
  if (exif.size() < 8) return otherwise;
  if (std::memcmp(exif.data(), "MM", 2) == 0) {
    in.big_endian = true;
  } else if (std::memcmp(exif.data(), "II", 2) != 0) {
    return otherwise;
  }
  if (in.number(2, 2) != 42) return otherwise;
  const std::size_t directory = in.number(4, 4);
  const std::uint32_t entries = in.number(directory, 2);
  for (std::uint32_t i = 0; i < entries && in.ok; ++i) {
    const std::size_t entry = directory + 2 + 12 * static_cast<std::size_t>(i);
    if (in.number(entry, 2) != kOrientationTag) continue;
    const std::uint32_t type = in.number(entry + 2, 2);
    const std::size_t bytes = type < std::size(kTypeBytes) ? kTypeBytes[type] : 0;
    const bool one = bytes > 0 && in.number(entry + 4, 4) == 1;
    const std::uint32_t value = in.number(entry + 8, bytes);
    return in.ok && one && value >= 1 && value <= 8 ? static_cast<int>(value) : otherwise;
  }
  return otherwise;
}

int xmp_orientation(Bytes packet) {
  constexpr std::string_view kName = "tiff:Orientation", kSpace = " \t\r\n";
  const std::string_view text(reinterpret_cast<const char*>(packet.data()), packet.size());
  const auto next = [&](std::size_t from) {
    return std::min(text.find_first_not_of(kSpace, from), text.size());
  };
  for (std::size_t at = text.find(kName); at != text.npos; at = text.find(kName, at + 1)) {
    std::size_t i = next(at + kName.size());
    if (i < text.size() && text[i] == '=') {  // tiff:Orientation="6"
      i = next(i + 1);
      if (i >= text.size() || (text[i] != '"' && text[i] != '\'')) continue;
    } else if (i >= text.size() || text[i] != '>') {  // <tiff:Orientation>6</tiff:Orientation>
      continue;
    }
    i = next(i + 1);
    const bool one_digit =
        i < text.size() && (i + 1 == text.size() || text[i + 1] < '0' || text[i + 1] > '9');
    if (one_digit && text[i] >= '1' && text[i] <= '8') return text[i] - '0';
  }
  return 1;
}

}  // namespace impasto::codec
