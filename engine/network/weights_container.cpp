// What a file is before anything reads it, and what to do with one that is not HDF5.
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/file.h"
#include "engine/core/file_kind.h"
#include "engine/network/weights_file.h"

namespace impasto::weights {
namespace {

namespace fs = std::filesystem;

/// What a kind of file needs to become weights; the first that the kind's name contains counts.
struct NextStep {
  std::string_view kind;
  const char* step;  ///< FILE stands for the file's name
};
constexpr NextStep kNextSteps[] = {
    {"Git LFS pointer", "get the file that it points to with: git lfs pull"},
    {"web page", "the address answered with a page; get weights with: impasto weights fetch vgg16"},
    {"XML", "the address answered with a message; get weights with: impasto weights fetch vgg16"},
    {"JSON", "get weights with: impasto weights fetch vgg16"},
    {"text file", "get weights with: impasto weights fetch vgg16"},
    {"empty file", "get weights with: impasto weights fetch vgg16"},
    {"gzip", "unpack it with: gunzip FILE"},
    {"bzip2", "unpack it with: bunzip2 FILE"},
    {"xz-", "unpack it with: unxz FILE"},
    {"Zstandard", "unpack it with: unzstd FILE"},
    {"tar archive", "unpack it with: tar xf FILE"},
    {"7z archive", "unpack it first"},
    {"RAR archive", "unpack it first"},
    {"MATLAB 7.3", "save it in MATLAB with -v7, then: impasto weights convert FILE FILE.h5"},
    {"picture", "a picture is no network; known weights: impasto weights list"},
    {"video", "known weights: impasto weights list"},
    {"recording", "known weights: impasto weights list"},
    {"document", "known weights: impasto weights list"},
    {"PyTorch", "convert it with: impasto weights convert FILE FILE.h5"},
    {"pickle", "save its arrays as .npz or .safetensors, and convert that with: impasto weights convert"},
    {"safetensors", "convert it with: impasto weights convert FILE FILE.h5"},
    {"Keras", "convert it with: impasto weights convert FILE FILE.h5"},
    {"NumPy archive", "convert it with: impasto weights convert FILE FILE.h5"},
    {"MATLAB", "convert it with: impasto weights convert FILE FILE.h5"},
    {"ONNX", "convert it with: impasto weights convert FILE FILE.h5"},
    {"Caffe", "convert it with: impasto weights convert FILE FILE.h5"},
    {"zip archive", "if weights are in it, convert it with: impasto weights convert FILE FILE.h5"},
};

/// As a shell takes it: plain names stay, others are put in quotes.
std::string shell_word(const std::string& text) {
  const bool plain =
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+:@%,") ==
          std::string::npos &&
      !text.empty();
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::string next_step(const std::string& kind, const fs::path& file) {
  for (const NextStep& next : kNextSteps) {
    if (kind.find(next.kind) == std::string::npos) continue;
    std::string text = next.step, out;
    const std::string input = shell_word(file.string());
    const std::string output = shell_word(fs::path(file).replace_extension(".h5").string());
    for (std::size_t at = 0; at < text.size();) {
      const bool to = text.compare(at, 7, "FILE.h5") == 0, from = text.compare(at, 4, "FILE") == 0;
      out += to ? output : from ? input : std::string(1, text[at]);
      at += to ? 7 : from ? 4 : 1;
    }
    return "; " + printable(out, 1000);
  }
  return "";
}

}  // namespace

std::string convert_command(const fs::path& file) {
  fs::path target = file;
  target.replace_extension(".converted.h5");
  return fmt::format("impasto weights convert {} {}", printable(shell_word(file.string()), 400),
                     printable(shell_word(target.string()), 400));
}

WeightFile check_file(const fs::path& file) {
  WeightFile opened(file);
  const std::vector<unsigned char> start = opened.start(kFileKindBytes);
  const std::string_view head(reinterpret_cast<const char*>(start.data()), start.size());
  if (head.starts_with("\x89HDF\r\n\x1a\n")) return opened;
  const std::string kind = describe_file_kind(start);
  refuse(file, "expected an HDF5 file, found " +
                   (kind.empty() ? "one of an unknown kind (docs/weights.md has what is read)"
                                 : kind + next_step(kind, file)));
}

}  // namespace impasto::weights
