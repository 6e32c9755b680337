#include "engine/core/file_kind.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>

namespace impasto {
namespace {

using namespace std::string_view_literals;

struct Magic {
  std::size_t offset;
  std::string_view bytes;
  const char* kind;
};

// Longer and rarer ones before those that they contain.
constexpr std::array kMagics{
    Magic{0, "\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
    Magic{0, "\x8aMNG\r\n\x1a\n"sv, "an MNG animation"},
    Magic{0, "\xff\xd8\xff"sv, "a JPEG picture"},
    Magic{0, "GIF87a"sv, "a GIF picture"},
    Magic{0, "GIF89a"sv, "a GIF picture"},
    Magic{0, "8BPS"sv, "a Photoshop picture (PSD)"},
    Magic{0, "gimp xcf"sv, "a GIMP picture (XCF)"},
    Magic{0, "\0\0\0\x0cJXL \r\n\x87\n"sv, "a JPEG XL picture"},
    Magic{0, "\xff\x0a"sv, "a JPEG XL picture"},
    Magic{0, "\0\0\0\x0cjP  \r\n\x87\n"sv, "a JPEG 2000 picture"},
    Magic{0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 picture"},
    Magic{0, "\xff\xd8"sv, "a JPEG picture"},
    Magic{0, "II\xbc\x01"sv, "a JPEG XR picture"},
    Magic{0, "v/1\x01"sv, "an OpenEXR picture"},
    Magic{0, "#?RADIANCE"sv, "a Radiance HDR picture"},
    Magic{0, "#?RGBE"sv, "a Radiance HDR picture"},
    Magic{0, "qoif"sv, "a QOI picture"},
    Magic{0, "DDS "sv, "a DDS texture"},
    Magic{0, "icns"sv, "an Apple icon"},
    Magic{0, "SIMPLE  ="sv, "a FITS picture"},
    Magic{128, "DICM"sv, "a DICOM picture"},
    Magic{0, "AT&TFORM"sv, "a DjVu document"},
    Magic{0, "%PDF-"sv, "a PDF document"},
    Magic{0, "%!PS"sv, "a PostScript document"},
    Magic{0, "\xc5\xd0\xd3\xc6"sv, "a PostScript document"},
    Magic{8, "CR\x02\x00"sv, "a raw camera picture (CR2)"},
    Magic{6, "HEAPCCDR"sv, "a raw camera picture (CRW)"},
    Magic{0, "FUJIFILMCCD-RAW"sv, "a raw camera picture (RAF)"},
    Magic{0, "IIRO"sv, "a raw camera picture (ORF)"},
    Magic{0, "IIRS"sv, "a raw camera picture (ORF)"},
    Magic{0, "MMOR"sv, "a raw camera picture (ORF)"},
    Magic{0, "IIU\0"sv, "a raw camera picture (RW2)"},
    Magic{0, "FOVb"sv, "a raw camera picture (X3F)"},
    Magic{0, "\0MRM"sv, "a raw camera picture (MRW)"},
    Magic{0, "\x1a\x45\xdf\xa3"sv, "a video (Matroska or WebM)"},
    Magic{0, "\0\0\x01\xba"sv, "a video (MPEG)"},
    Magic{0, "\0\0\x01\xb3"sv, "a video (MPEG)"},
    Magic{0, "FLV\x01"sv, "a video (FLV)"},
    Magic{0, "OggS"sv, "an Ogg recording"},
    Magic{0, "ID3"sv, "an MP3 recording"},
    Magic{0, "fLaC"sv, "a FLAC recording"},
    Magic{0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
    Magic{0, "MATLAB 7.3 MAT-file"sv, "a MATLAB 7.3 file"},
    Magic{0, "MATLAB 5.0 MAT-file"sv, "a MATLAB file"},
    Magic{0, "\x93NUMPY"sv, "a NumPy array (.npy)"},
    Magic{0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv, "a PyTorch file"},
    Magic{0, "GGUF"sv, "a GGUF model"},
    Magic{4, "TFL3"sv, "a TensorFlow Lite model"},
    Magic{0, "version https://git-lfs"sv, "a Git LFS pointer"},
    Magic{0, "\x1f\x8b"sv, "a gzip-compressed file"},
    Magic{0, "BZh"sv, "a bzip2-compressed file"},
    Magic{0,
          "\xfd"
          "7zXZ\0"sv,
          "an xz-compressed file"},
    Magic{0, "\x28\xb5\x2f\xfd"sv, "a Zstandard-compressed file"},
    Magic{0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    Magic{0, "Rar!\x1a\x07"sv, "a RAR archive"},
    Magic{257, "ustar"sv, "a tar archive"},
    Magic{0,
          "\x7f"
          "ELF"sv,
          "a program (ELF)"},
    Magic{0, "SQLite format 3\0"sv, "an SQLite database"},
};

/// Reads integers of either byte order; 0 past the end.
struct Reader {
  std::string_view data;
  bool big = false;
  [[nodiscard]] std::uint64_t number(std::size_t at, std::size_t bytes) const {
    if (at > data.size() || data.size() - at < bytes) return 0;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      const auto byte = static_cast<unsigned char>(data[at + i]);
      value |= std::uint64_t{byte} << (8 * (big ? bytes - 1 - i : i));
    }
    return value;
  }
};

bool has(std::string_view data, std::size_t offset, std::string_view part) {
  return data.size() >= offset && data.substr(offset).starts_with(part);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// ISO base media: HEIC, AVIF, CR3 and videos differ in the brands of their first box, `ftyp`.
std::string iso_media(std::string_view data) {
  if (!has(data, 4, "ftyp")) return "";
  const std::size_t size = std::min(data.size(), static_cast<std::size_t>(Reader{data, true}.number(0, 4)));
  const std::string_view major = data.substr(std::min<std::size_t>(8, data.size())).substr(0, 4);
  std::string brands(major);
  for (std::size_t at = 16; at + 4 <= size; at += 4) brands += "," + std::string(data.substr(at, 4));
  const auto any = [&](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](const char* name) { return brands.find(name) != std::string::npos; });
  };
  if (any({"avif", "avis"})) return "an AVIF picture";
  if (major == "crx ") return "a raw camera picture (CR3)";
  if (any({"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"})) return "a HEIC picture";
  return major == "qt  " ? "a video (QuickTime)" : "a video (MP4)";
}

std::string riff(std::string_view data) {
  if (!data.starts_with("RIFF")) return "";
  if (has(data, 8, "WEBP")) return "a WebP picture";
  if (has(data, 8, "AVI ")) return "a video (AVI)";
  if (has(data, 8, "WAVE")) return "a WAV recording";
  return "";
}

/// TIFF, and DNG, which is one with the tag DNGVersion in its first directory.
std::string tiff(std::string_view data) {
  const bool little = data.starts_with("II*\0"sv) || data.starts_with("II+\0"sv);
  const bool big = data.starts_with("MM\0*"sv) || data.starts_with("MM\0+"sv);
  if (!little && !big) return "";
  const Reader read{data, big};
  const bool wide = read.number(2, 2) == 43;
  if (!wide) {
    const std::uint64_t directory = read.number(4, 4);
    if (directory < data.size()) {
      const std::uint64_t count = read.number(directory, 2);
      for (std::uint64_t i = 0; i < count && directory + 2 + 12 * i < data.size(); ++i) {
        if (read.number(directory + 2 + 12 * i, 2) == 50706) return "a raw camera picture (DNG)";
      }
    }
  }
  return "a TIFF picture";
}

/// A zip archive's kind is told by its first member; writers of each kind put the same one first.
std::string zip(std::string_view data) {
  if (data.starts_with("PK\x05\x06")) return "an empty zip archive";
  if (!data.starts_with("PK\x03\x04")) return "";
  const Reader read{data};
  const std::size_t length = read.number(26, 2), extra = read.number(28, 2);
  const std::string_view name = data.substr(std::min<std::size_t>(30, data.size())).substr(0, length);
  if (name == "mimetype") {
    const std::string_view type =
        data.substr(std::min(data.size(), 30 + length + extra)).substr(0, read.number(18, 4));
    if (type == "application/x-krita") return "a Krita picture";
    if (type == "image/openraster") return "an OpenRaster picture";
    return "an office document";
  }
  if (name == "[Content_Types].xml") return "an office document";
  if (name.ends_with(".npy")) return "a NumPy archive (.npz)";
  if (name.ends_with("data.pkl") || name.ends_with("/.format_version")) return "a PyTorch file";
  if (name == "metadata.json" || name == "config.json" || name == "model.weights.h5")
    return "a Keras model (.keras)";
  return "a zip archive";
}

/// Protocol buffers have no signature: ONNX's ModelProto starts with ir_version and the producer's name or
/// the graph, Caffe's NetParameter with the network's name and its first layer.
std::string protobuf(std::string_view data) {
  const auto at = [&](std::size_t i) { return Reader{data}.number(i, 1); };
  const auto text_ends = [&](std::size_t length_at) -> std::size_t {
    const std::size_t length = at(length_at), first = length_at + 1;
    if (length >= 128 || first + length >= data.size()) return 0;
    const std::string_view text = data.substr(first, length);
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
    return plain ? first + length : 0;
  };
  if (at(0) == 0x08 && at(1) >= 1 && at(1) < 64) {
    if (at(2) == 0x12 && text_ends(3) != 0) return "an ONNX model";
    if (at(2) == 0x3a && data.size() > 8) return "an ONNX model";
  }
  if (at(0) == 0x0a && at(1) > 0) {
    const std::size_t next = text_ends(1);
    if (next != 0 && (at(next) == 0x12 || (at(next) == 0xa2 && at(next + 1) == 0x06))) return "a Caffe model";
  }
  return "";
}

std::string bitmap(std::string_view data) {
  const Reader read{data};
  if (data.starts_with("BM")) {
    const std::uint64_t header = read.number(14, 4);  // the sizes of the format's several versions
    if (header == 12 || (header >= 16 && header <= 124)) return "a BMP picture";
  }
  if ((data.starts_with("\0\0\x01\0"sv) || data.starts_with("\0\0\x02\0"sv)) && read.number(4, 2) >= 1 &&
      read.number(4, 2) < 256 && data.size() >= 22)
    return "an icon (ICO)";
  if (data.size() > 3 && data[0] == 'P' && std::isspace(static_cast<unsigned char>(data[2])) != 0) {
    if (data[1] >= '1' && data[1] <= '7') return "a PNM picture";
    if (data[1] == 'F' || data[1] == 'f') return "a PFM picture";
  }
  return "";
}

std::string data_container(std::string_view data) {
  const Reader read{data};
  if (data.size() > 8 && data[8] == '{' && read.number(0, 8) >= 2 && read.number(0, 8) <= (100u << 20))
    return "a safetensors file";
  if (data.size() > 3 && data[0] == '\x80' && data[1] >= 2 && data[1] <= 5) return "a Python pickle";
  return "";
}

std::string text(std::string_view data) {
  if (data.starts_with("\xef\xbb\xbf")) data.remove_prefix(3);
  const bool plain = std::all_of(data.begin(), data.end(), [](unsigned char c) {
    return c >= ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0x1b;
  });
  if (!plain) return "";
  const std::size_t first = data.find_first_not_of(" \t\r\n\f");
  if (first == std::string_view::npos) return "a blank text file";
  const std::string start = lower(data.substr(first));
  if (start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<head"))
    return "a web page";
  if (start.starts_with("<svg")) return "an SVG picture";
  if (start.starts_with("<?xml") || start.starts_with("<!doctype") || start.starts_with("<!--")) {
    if (start.find("<svg") != std::string::npos || start.starts_with("<!doctype svg"))
      return "an SVG picture";
    if (start.find("<html") != std::string::npos || start.find("<!doctype html") != std::string::npos)
      return "a web page";
    return "an XML document";
  }
  if (start[0] == '{' || start[0] == '[') return "a JSON text";
  // Latin-1 and UTF-8 pass as text; a short run of bytes without one letter or space is anything.
  const auto ascii = std::count_if(data.begin(), data.end(), [](unsigned char c) { return c < 0x80; });
  return data.size() >= 4 && ascii * 4 >= static_cast<std::ptrdiff_t>(data.size()) * 3 ? "a text file" : "";
}

}  // namespace

std::string describe_file_kind(std::span<const unsigned char> first_bytes) {
  if (first_bytes.empty()) return "an empty file";
  first_bytes = first_bytes.first(std::min(first_bytes.size(), kFileKindBytes));
  const std::string_view data(reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size());
  for (const Magic& magic : kMagics)
    if (has(data, magic.offset, magic.bytes)) return magic.kind;
  for (const auto kind : {iso_media, riff, tiff, zip, protobuf, bitmap, data_container, text}) {
    if (std::string found = kind(data); !found.empty()) return found;
  }
  return "";
}

}  // namespace impasto
