#include "engine/image/tiff_directories.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <utility>

namespace impasto::codec {
namespace {

constexpr std::size_t kMaxDirectories = 1000;

/// Bounds-checked integers; 0 past the end, where `ok` becomes false.
struct Reader {
  Bytes data;
  bool big_endian = false;
  bool wide = false;  ///< BigTIFF
  bool ok = true;

  std::uint64_t number(std::uint64_t at, std::size_t bytes) {
    if (at > data.size() || data.size() - at < bytes) {
      ok = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | data[at + (big_endian ? i : bytes - 1 - i)];
    return value;
  }
  [[nodiscard]] std::size_t offset_bytes() const { return wide ? 8 : 4; }
};

/// Bytes of each field type that is a whole number: BYTE, ASCII, SHORT, LONG, IFD, LONG8, IFD8.
std::size_t type_bytes(std::uint64_t type) {
  switch (type) {
    case 1:
    case 2: return 1;
    case 3: return 2;
    case 4:
    case 13: return 4;
    case 16:
    case 18: return 8;
    default: return 0;
  }
}

/// The values of a field, `most` at most; none where they lie outside of the file.
std::vector<std::uint64_t> values(Reader& in, std::uint64_t entry, std::size_t most) {
  const std::size_t each = type_bytes(in.number(entry + 2, 2));
  const std::uint64_t count = in.number(entry + 4, in.offset_bytes());
  const std::uint64_t field = entry + 4 + in.offset_bytes();
  const auto taken = std::min<std::uint64_t>(count, most);
  if (each == 0) return {};
  const bool inside = count <= in.offset_bytes() / each;
  const std::uint64_t start = inside ? field : in.number(field, in.offset_bytes());
  if (start > in.data.size() || (in.data.size() - start) / each < taken) return {};
  std::vector<std::uint64_t> result;
  for (std::uint64_t i = 0; i < taken; ++i) result.push_back(in.number(start + i * each, each));
  return result;
}

void read_field(Reader& in, std::uint64_t entry, TiffDirectory& to) {
  constexpr std::size_t kMaxText = 32, kMaxBelow = 64;
  const auto first = [&] {
    const std::vector<std::uint64_t> found = values(in, entry, 1);
    return found.empty() ? 0U : static_cast<std::uint32_t>(found[0]);
  };
  switch (in.number(entry, 2)) {
    case 254: to.new_subfile_type = first(); break;
    case 255: to.subfile_type = first(); break;
    case 259: to.compression = first(); break;
    case 262:
      to.photometric = first();
      to.has_photometric = true;
      break;
    case 271:
      for (const std::uint64_t c : values(in, entry, kMaxText)) to.make += static_cast<char>(c);
      break;
    case 274: to.orientation = first(); break;
    case 330: to.sub_offsets = values(in, entry, kMaxBelow); break;
    case 338: to.extra_samples = static_cast<std::uint32_t>(in.number(entry + 4, in.offset_bytes())); break;
    case 50706: to.has_dng_version = true; break;
    default: break;
  }
}

/// Reads the directory at `offset`; the next one's offset, or 0.
std::uint64_t read_directory(Reader& in, std::uint64_t offset, TiffDirectory& to) {
  const std::size_t count_bytes = in.wide ? 8 : 2, entry_bytes = in.wide ? 20 : 12;
  const std::uint64_t entries = in.number(offset, count_bytes);
  to.offset = offset;
  if (!in.ok || entries > in.data.size() / entry_bytes) return 0;
  const std::uint64_t start = offset + count_bytes;
  for (std::uint64_t i = 0; i < entries && in.ok; ++i) read_field(in, start + i * entry_bytes, to);
  const std::uint64_t next = in.number(start + entries * entry_bytes, in.offset_bytes());
  return std::exchange(in.ok, true) ? next : 0;
}

}  // namespace

std::vector<TiffDirectory> tiff_directories(Bytes file) {
  Reader in{file};
  in.big_endian = !file.empty() && file[0] == 'M';
  in.wide = in.number(2, 2) == 43;
  std::vector<TiffDirectory> result;
  std::set<std::uint64_t> seen;
  std::uint64_t offset = in.number(in.wide ? 8 : 4, in.offset_bytes());
  while (offset != 0 && offset < file.size() && seen.insert(offset).second &&
         result.size() < kMaxDirectories) {
    offset = read_directory(in, offset, result.emplace_back());
  }
  const std::size_t pages = result.size();
  for (std::size_t i = 0; i < pages; ++i) {
    const std::vector<std::uint64_t> below = result[i].sub_offsets;
    for (const std::uint64_t at : below) {
      if (at == 0 || at >= file.size() || result.size() >= kMaxDirectories || !seen.insert(at).second)
        continue;
      read_directory(in, at, result.emplace_back());
      result.back().in_chain = false;
    }
  }
  return result;
}

std::string raw_camera_kind(Bytes file, const std::vector<TiffDirectory>& directories) {
  constexpr std::uint32_t kColourFilterArray = 32803, kLinearRaw = 34892;
  if (file.size() >= 10 && std::memcmp(file.data() + 8, "CR", 2) == 0) return "a raw camera picture (CR2)";
  bool raw = false;
  std::string make;
  for (const TiffDirectory& d : directories) {
    if (d.has_dng_version) return "a raw camera picture (DNG)";
    raw = raw || d.photometric == kColourFilterArray || d.photometric == kLinearRaw;
    if (make.empty()) make = d.make;
  }
  if (!raw) return "";
  struct Maker {
    const char* name;
    const char* format;
  };
  constexpr std::array<Maker, 6> kMakers{{{"NIKON", "NEF"},
                                          {"SONY", "ARW"},
                                          {"PENTAX", "PEF"},
                                          {"RICOH", "PEF"},
                                          {"SAMSUNG", "SRW"},
                                          {"Hasselblad", "3FR"}}};
  for (const Maker& maker : kMakers) {
    if (make.starts_with(maker.name)) return std::string("a raw camera picture (") + maker.format + ")";
  }
  return "a raw camera picture";
}

const TiffDirectory& main_picture(const std::vector<TiffDirectory>& directories) {
  const auto found = std::find_if(directories.begin(), directories.end(),
                                  [](const TiffDirectory& d) { return !d.is_reduced() && !d.is_mask(); });
  return found == directories.end() ? directories.front() : *found;
}

std::int64_t count_pages(const std::vector<TiffDirectory>& directories) {
  return std::count_if(directories.begin(), directories.end(),
                       [](const TiffDirectory& d) { return d.in_chain && !d.is_reduced() && !d.is_mask(); });
}

}  // namespace impasto::codec
