// What files are called by their first bytes.
#include <string>
#include <utility>
#include <vector>

#include "engine/core/file_kind.h"
#include "tests/support/catch.h"

using impasto::describe_file_kind;
using namespace std::string_literals;

namespace {

std::string kind(const std::string& bytes) {
  return describe_file_kind({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
}

/// A zip's first local header, with the member's name and contents.
std::string zip(const std::string& name, const std::string& contents = "") {
  std::string header = "PK\x03\x04"s + std::string(26, '\0');
  header[18] = static_cast<char>(contents.size());
  header[26] = static_cast<char>(name.size());
  return header + name + contents;
}

}  // namespace

TEST_CASE("pictures, documents and videos are called by their names") {
  const std::string tiff = "II*\0\x08\0\0\0\x02\0\x00\x01\x03\0\x01\0\0\0\x10\0\0\0"s;
  const std::vector<std::pair<std::string, const char*>> files{
      {"GIF89a\x01", "a GIF picture"},
      {"\xff\xd8\xff\xe0\0\x10JFIF"s, "a JPEG picture"},
      {"\x89PNG\r\n\x1a\n", "a PNG picture"},
      {"RIFF\x10\0\0\0WEBPVP8 "s, "a WebP picture"},
      {"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"s, "a BMP picture"},
      {"\0\0\0\x18"s + "ftypheic\0\0\0\0mif1heic"s, "a HEIC picture"},
      {"\0\0\0\x1c"s + "ftypmif1\0\0\0\0mif1avifmiaf"s, "an AVIF picture"},
      {"\0\0\0\x18"s + "ftypcrx \0\0\0\x01"s + "crx isom", "a raw camera picture (CR3)"},
      {"\0\0\0\x18"s + "ftypisom\0\0\0\0isommp42"s, "a video (MP4)"},
      {"\0\0\0\x0cJXL \r\n\x87\n"s, "a JPEG XL picture"},
      {"\0\0\0\x0cjP  \r\n\x87\n"s, "a JPEG 2000 picture"},
      {"8BPS\0\x01"s, "a Photoshop picture (PSD)"},
      {"%PDF-1.7", "a PDF document"},
      {"<svg xmlns='x'/>", "an SVG picture"},
      {"<?xml version='1.0'?>\n<!-- made -->\n<svg/>", "an SVG picture"},
      {"<?xml version='1.0'?><a/>", "an XML document"},
      {tiff, "a TIFF picture"},
      {tiff + "\x12\xc6\x01\0\x04\0\0\0\x01\x04\0\0"s, "a raw camera picture (DNG)"},
      {"II*\0\x10\0\0\0CR\x02\0"s, "a raw camera picture (CR2)"},
      {"FUJIFILMCCD-RAW 0201", "a raw camera picture (RAF)"},
      {"v/1\x01\x02\0\0\0"s, "an OpenEXR picture"},
      {"#?RADIANCE\n", "a Radiance HDR picture"},
      {"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0"s, "an icon (ICO)"},
      {"P6\n2 2\n255\n", "a PNM picture"},
      {zip("mimetype", "application/x-krita"), "a Krita picture"},
  };
  for (const auto& [bytes, name] : files) CHECK(kind(bytes) == name);
}

TEST_CASE("weight files and what is met in their place are called by their names") {
  const std::vector<std::pair<std::string, const char*>> files{
      {"\x89HDF\r\n\x1a\n", "an HDF5 file"},
      {"MATLAB 5.0 MAT-file, Platform: GLNXA64", "a MATLAB file"},
      {zip("archive/data.pkl"), "a PyTorch file"},
      {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02", "a PyTorch file"},
      {"\x80\x04\x95\x10\0"s, "a Python pickle"},
      {zip("conv1_1_W.npy"), "a NumPy archive (.npz)"},
      {zip("metadata.json"), "a Keras model (.keras)"},
      {zip("readme.txt"), "a zip archive"},
      {"\x10\0\0\0\0\0\0\0{\"a\":{}}"s, "a safetensors file"},
      {"\x08\x0a\x12\x07tf2onnx\x1a"s, "an ONNX model"},
      {"\x08\x03:\x80\x80\x01\x0a\x10n"s, "an ONNX model"},
      {"\x0a\x05VGG16\x12\x30"s, "a Caffe model"},
      {"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"},
      {"\n <!DOCTYPE HTML><html>", "a web page"},
      {"<html lang=en>", "a web page"},
      {"{\"error\": 404}", "a JSON text"},
      {"not found\n", "a text file"},
      {"\x1f\x8b\x08", "a gzip-compressed file"},
      {"", "an empty file"},
      {"\x01\x02\x03", ""},
      {std::string(64, '\0'), ""},
  };
  for (const auto& [bytes, name] : files) CHECK(kind(bytes) == name);
}

TEST_CASE("any start of any file is described without harm") {
  // Every prefix of headers whose lengths point outside, and bytes of no kind.
  for (const std::string& file :
       {zip("mimetype", "x") + std::string(8, '\xff'), "II*\0\xff\xff\xff\xff"s,
        "MM\0*\0\0\0\x08\xff\xff\x01\0"s, "\xff\xff\xff\xff"s + "ftypheic", "\x08\x07\x12\x7f"s, "\x0a\x7f"s,
        "BM"s, "P6"s, std::string(5000, 'a'), "PK\x03\x04"s + std::string(26, '\xff')}) {
    for (std::size_t n = 0; n <= std::min<std::size_t>(file.size(), 64); ++n) (void)kind(file.substr(0, n));
    (void)kind(file);
  }
}
