#include "engine/image/png_chunks.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/image/color.h"
#include "engine/image/exif.h"

namespace impasto::codec {
namespace {

struct PngChunk {
  std::string_view name;
  Bytes data;
};

Bytes find(std::span<const PngChunk> chunks, std::string_view name) {
  const auto found =
      std::find_if(chunks.begin(), chunks.end(), [&](const PngChunk& c) { return c.name == name; });
  return found == chunks.end() ? Bytes() : found->data;
}

std::uint32_t number(Bytes data, std::size_t at) {
  return std::uint32_t{data[at]} << 24 | std::uint32_t{data[at + 1]} << 16 |
         std::uint32_t{data[at + 2]} << 8 | data[at + 3];
}

bool is_of_use(std::string_view name) {
  constexpr std::string_view kNames(kPngChunkNames, sizeof kPngChunkNames);
  for (std::size_t at = 0; at < kNames.size(); at += 5) {
    if (kNames.substr(at, 4) == name) return true;
  }
  return false;
}

/// The chunks that are of use and whole. A chunk beside the pixels whose checksum is wrong is not used, nor
/// is another of its name; the warning has the names.
std::vector<PngChunk> read_chunks(Bytes file, std::vector<std::string>& warnings) {
  constexpr std::size_t kSignature = 8, kFrame = 12;         // a chunk's length, name and checksum
  constexpr std::size_t kMostChunks = 998, kMostNamed = 12;  // any file has fewer: bounds on work and words
  std::vector<PngChunk> chunks;
  std::vector<std::string_view> damaged;
  for (std::size_t at = kSignature; file.size() - at >= kFrame;) {
    const std::size_t length = number(file, at);
    if (length > file.size() - at - kFrame) break;
    const Bytes named = file.subspan(at + 4, 4 + length);
    const std::string_view name(reinterpret_cast<const char*>(named.data()), 4);
    const auto is_letter = [](unsigned char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
    if (name == "IEND" || !std::all_of(name.begin(), name.end(), is_letter)) break;
    const bool beside_pixels = (named[0] & 0x20U) != 0;  // small letter: ancillary (PNG specification, 5.4)
    if (beside_pixels && crc32_z(0, named.data(), named.size()) != number(file, at + 8 + length)) {
      damaged.push_back(name);
    } else if (is_of_use(name) && chunks.size() < kMostChunks) {
      chunks.push_back({name, named.subspan(4)});
    }
    at += kFrame + length;
  }
  if (damaged.empty()) return chunks;
  std::erase_if(chunks, [&](const PngChunk& chunk) {
    return std::find(damaged.begin(), damaged.end(), chunk.name) != damaged.end();
  });
  std::string names;
  for (std::size_t i = 0; i < std::min(damaged.size(), kMostNamed); ++i) names.append(damaged[i]) += ' ';
  warnings.push_back("expected whole chunks beside the pixels, found damaged ones: " + names + "not used");
  return chunks;
}

/// Empty where the data are no whole zlib stream, or more than any profile or packet has.
std::vector<std::uint8_t> inflated(Bytes data) {
  constexpr std::size_t kMaxBytes = 64 << 20;
  std::vector<std::uint8_t> out(std::min(kMaxBytes, 4 * data.size() + 1024));
  z_stream z{};
  if (inflateInit(&z) != Z_OK) return {};
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> owner(&z, &inflateEnd);
  z.next_in = const_cast<Bytef*>(data.data());
  z.avail_in = static_cast<uInt>(data.size());
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (z.total_out == out.size()) {
      if (out.size() == kMaxBytes) return {};
      out.resize(std::min(kMaxBytes, 2 * out.size()));
    }
    z.next_out = out.data() + z.total_out;
    z.avail_out = static_cast<uInt>(out.size() - z.total_out);
    status = inflate(&z, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) return {};
  }
  out.resize(z.total_out);
  return out;
}

/// Splits at the first zero byte: what is before it, and the rest. Nothing where there is none.
std::optional<std::pair<std::string_view, Bytes>> split(Bytes data) {
  const auto end = std::find(data.begin(), data.end(), 0);
  if (end == data.end()) return std::nullopt;
  const auto length = static_cast<std::size_t>(end - data.begin());
  return std::pair{std::string_view(reinterpret_cast<const char*>(data.data()), length),
                   data.subspan(length + 1)};
}

struct Text {
  std::string_view keyword;
  std::vector<std::uint8_t> value;
};

/// tEXt, zTXt and iTXt (PNG specification, 11.3.3).
std::optional<Text> read_text(const PngChunk& chunk) {
  if (chunk.name != "tEXt" && chunk.name != "zTXt" && chunk.name != "iTXt") return std::nullopt;
  const auto parts = split(chunk.data);
  if (!parts) return std::nullopt;
  const auto [keyword, rest] = *parts;
  // Only these are of use, and others may be large.
  if (!keyword.starts_with("Raw profile type ") && keyword != "XML:com.adobe.xmp") return std::nullopt;
  Bytes value = rest;
  bool compressed = chunk.name == "zTXt";
  if (chunk.name == "iTXt") {
    if (rest.size() < 2) return std::nullopt;
    compressed = rest[0] == 1;
    const auto language = split(rest.subspan(2));
    const auto translated = language ? split(language->second) : std::nullopt;
    if (!translated) return std::nullopt;
    value = translated->second;
  } else if (compressed) {
    if (rest.empty()) return std::nullopt;
    value = rest.subspan(1);  // the method, which is always zlib's
  }
  return Text{keyword, compressed ? inflated(value) : std::vector<std::uint8_t>(value.begin(), value.end())};
}

/// "Raw profile type ..." as ImageMagick writes it: a name, a length in decimal, then hexadecimal digits, all
/// apart by white space.
std::vector<std::uint8_t> from_hexadecimal(Bytes text) {
  const auto is_space = [](std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  auto at = text.begin();
  for (int word = 0; word < 2; ++word) {
    at = std::find_if_not(at, text.end(), is_space);
    at = std::find_if(at, text.end(), is_space);
  }
  std::vector<std::uint8_t> bytes;
  int digits = 0, value = 0;
  for (; at != text.end(); ++at) {
    const int c = *at;
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                               : -1;
    if (digit < 0) {
      if (is_space(*at)) continue;
      break;
    }
    value = value * 16 + digit;
    if (++digits % 2 == 0) bytes.push_back(static_cast<std::uint8_t>(std::exchange(value, 0)));
  }
  return bytes;
}

int orientation(std::span<const PngChunk> chunks) {
  int by_xmp = 1, by_text = 0;  // 0: says nothing
  for (const PngChunk& chunk : chunks) {
    const auto text = read_text(chunk);
    if (!text) continue;
    if (text->keyword == "XML:com.adobe.xmp") {
      by_xmp = xmp_orientation(text->value);
    } else if (text->keyword == "Raw profile type exif" || text->keyword == "Raw profile type APP1") {
      by_text = exif_orientation(from_hexadecimal(text->value), by_text);
    } else if (text->keyword == "Raw profile type xmp") {
      by_xmp = xmp_orientation(from_hexadecimal(text->value));
    }
  }
  return exif_orientation(find(chunks, "eXIf"), by_text != 0 ? by_text : by_xmp);
}

/// Colour primaries of ITU-T H.273, table 2, by their code.
std::optional<RgbSpace> primaries(int code) {
  RgbSpace s;  // those of BT.709
  switch (code) {
    case 1: return s;
    case 4: return RgbSpace{{0.310, 0.316}, {0.67, 0.33}, {0.21, 0.71}, {0.14, 0.08}};
    case 5: return RgbSpace{{0.3127, 0.3290}, {0.64, 0.33}, {0.29, 0.60}, {0.15, 0.06}};
    case 6:
    case 7: return RgbSpace{{0.3127, 0.3290}, {0.630, 0.340}, {0.310, 0.595}, {0.155, 0.070}};
    case 9: return RgbSpace{{0.3127, 0.3290}, {0.708, 0.292}, {0.170, 0.797}, {0.131, 0.046}};
    case 11: return RgbSpace{{0.314, 0.351}, {0.680, 0.320}, {0.265, 0.690}, {0.150, 0.060}};
    case 12: return RgbSpace{{0.3127, 0.3290}, {0.680, 0.320}, {0.265, 0.690}, {0.150, 0.060}};
    case 22: return RgbSpace{{0.3127, 0.3290}, {0.630, 0.340}, {0.295, 0.605}, {0.155, 0.077}};
    default: return std::nullopt;
  }
}

/// Coding-independent code points: primaries, transfer function (H.273, table 3), matrix (0: RGB), and
/// whether the whole range is used. Nothing where they are of a kind that is not converted.
std::optional<RgbSpace> from_cicp(Bytes cicp) {
  std::optional<RgbSpace> space = primaries(cicp[0]);
  if (!space || cicp[2] != 0 || cicp[3] != 1) return std::nullopt;
  switch (cicp[1]) {
    case 1:
    case 6:
    case 14:
    case 15: space->curve = RgbSpace::Curve::kBt709; return space;
    case 4:
    case 5:
    case 8:
      space->curve = RgbSpace::Curve::kPower;
      space->power = cicp[1] == 4 ? 2.2 : cicp[1] == 5 ? 2.8 : 1.0;
      return space;
    case 13: return space;
    default: return std::nullopt;
  }
}

std::string name_of(Bytes cicp) {
  const char* kind = cicp[1] == 16 ? " (PQ, HDR)" : cicp[1] == 18 ? " (HLG, HDR)" : "";
  return fmt::format("cICP {}/{}/{}/{}{}", cicp[0], cicp[1], cicp[2], cicp[3], kind);
}

/// Whether two spaces have the same chromaticities, as far as eyes can tell.
bool same_points(const RgbSpace& a, const RgbSpace& b) {
  constexpr double kTolerance = 0.005;
  const double* const of_a[] = {a.white, a.red, a.green, a.blue};
  const double* const of_b[] = {b.white, b.red, b.green, b.blue};
  for (int p = 0; p < 4; ++p) {
    for (int i = 0; i < 2; ++i) {
      if (std::abs(of_a[p][i] - of_b[p][i]) > kTolerance) return false;
    }
  }
  return true;
}

/// gAMA and cHRM, either of which may be absent: then it is sRGB's. A gamma of 1/2.2 (within one percent)
/// with sRGB's chromaticities, or none, is what programs write that mean sRGB, so that it is taken for that.
std::vector<std::uint8_t> from_gamma(Bytes gama, Bytes chrm, std::vector<std::string>& warnings) {
  constexpr double kUnit = 1e-5, kSrgbGamma = 1 / 2.2, kMost = 10;
  RgbSpace space;
  if (chrm.size() == 32) {
    RgbSpace found;
    std::size_t at = 0;
    for (double* point : {found.white, found.red, found.green, found.blue}) {
      for (int i = 0; i < 2; ++i, at += 4) point[i] = number(chrm, at) * kUnit;
    }
    if (!rgb_profile(found).empty()) {
      space = found;
    } else {
      warnings.emplace_back("expected chromaticities of a colour space, found others in cHRM; not used");
    }
  }
  const bool usual_points = same_points(space, RgbSpace());
  const double gamma = gama.size() == 4 ? number(gama, 0) * kUnit : kSrgbGamma;
  if (gamma < 1 / kMost || gamma > kMost) {
    warnings.emplace_back("expected a gamma of 0.1 to 10, found another in gAMA; not used");
  } else if (gama.size() == 4 && !(usual_points && std::abs(gamma / kSrgbGamma - 1) < 0.01)) {
    space.curve = RgbSpace::Curve::kPower;
    space.power = 1 / gamma;
  }
  const bool srgb = usual_points && space.curve == RgbSpace::Curve::kSrgb;
  return srgb ? std::vector<std::uint8_t>() : rgb_profile(space);
}

std::vector<std::uint8_t> profile(std::span<const PngChunk> chunks, std::vector<std::string>& warnings) {
  if (const Bytes cicp = find(chunks, "cICP"); cicp.size() == 4) {
    if (const auto space = from_cicp(cicp)) return rgb_profile(*space);
    warnings.push_back("expected colours that can be converted, found " + name_of(cicp) +
                       "; taken by what else the file says of them, or as sRGB");
  }
  if (const Bytes iccp = find(chunks, "iCCP"); !iccp.empty()) {
    const auto parts = split(iccp);
    std::vector<std::uint8_t> icc;
    if (parts && parts->second.size() > 1) icc = inflated(parts->second.subspan(1));
    if (!icc.empty()) return icc;
    warnings.emplace_back(kProfileUnused);
  }
  if (!find(chunks, "sRGB").empty()) return {};
  return from_gamma(find(chunks, "gAMA"), find(chunks, "cHRM"), warnings);
}

}  // namespace

void read_png_chunks(Bytes file, Header& header) {
  const std::vector<PngChunk> chunks = read_chunks(file, header.warnings);
  header.icc = profile(chunks, header.warnings);
  header.orientation = orientation(chunks);
  if (const Bytes animation = find(chunks, "acTL"); animation.size() == 8) {
    header.warnings.push_back(animation_warning(number(animation, 0)));
  }
}

}  // namespace impasto::codec
