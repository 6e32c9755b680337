#include "engine/image/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "engine/image/codec.h"
#include "engine/image/exif.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;
using codec::Codec;
using codec::Raster;

std::array<const Codec*, 4> all_codecs() {
  return {&codec::png(), &codec::jpeg(), &codec::webp(), &codec::tiff()};
}

Error bad_input(const std::string& name, const std::string& message) {
  return {ErrorCode::kBadInput, name + ": " + message};
}
Error system_error(const std::string& name, const std::string& expected) {
  return bad_input(name, "expected " + expected + ", found: " + std::strerror(errno));
}

/// Runs body, and puts `name` in front of what goes wrong in it.
template <class Body>
auto named(const std::string& name, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(error.code(), name + ": " + error.what());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kResources, name + ": expected enough memory for the picture, found too little");
  }
}

/// Owns a file descriptor; close() may be called early to learn of errors.
struct Descriptor {
  int number = -1;
  explicit Descriptor(int n) : number(n) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  bool close() {
    const int n = number;
    number = -1;
    return n < 0 || ::close(n) == 0;
  }
};

std::vector<std::uint8_t> read_file(const fs::path& path) {
  const std::string name = path.string();
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (file.number < 0 || ::fstat(file.number, &status) != 0) throw system_error(name, "a readable file");
  if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) {
    throw bad_input(
        name, std::string("expected a file, found a ") + (S_ISDIR(status.st_mode) ? "folder" : "device"));
  }
  std::vector<std::uint8_t> bytes(S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) + 1
                                                          : 65536);
  std::size_t size = 0;
  for (;;) {
    if (size == bytes.size()) bytes.resize(2 * size);
    const ssize_t got = ::read(file.number, bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error(name, "a readable file");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  bytes.resize(size);
  return bytes;
}

const Codec& codec_for_suffix(const fs::path& path) {
  std::string suffix = path.extension().string(), known;
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  for (const Codec* codec : all_codecs()) {
    for (const std::string& candidate : codec->suffixes) {
      if (candidate == suffix) return *codec;
      known += (known.empty() ? "" : " ") + candidate;
    }
  }
  throw Error(ErrorCode::kUsage, path.string() + ": expected a suffix of " + known + ", found " +
                                     (suffix.empty() ? "none" : "'" + suffix + "'"));
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Where path itself is a link, the file that it stands for.
fs::path resolve_link(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored)) return path;
  fs::path target = fs::canonical(path, ignored);
  return ignored ? path : target;
}

void write_atomically(const fs::path& path, const std::vector<std::uint8_t>& bytes) {
  const std::string name = path.string();
  const fs::path target = resolve_link(path);
  const fs::path folder = folder_of(target);
  fs::path temporary;
  Descriptor file(-1);
  std::random_device random;
  for (int attempt = 0; attempt < 100 && file.number < 0; ++attempt) {
    char text[64];
    std::snprintf(text, sizeof text, ".impasto-%ld-%08x.tmp", static_cast<long>(::getpid()), random());
    temporary = folder / text;
    file.number = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.number < 0 && errno != EEXIST) break;
  }
  if (file.number < 0) throw system_error(name, "a folder that can be written to");
  try {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::write(file.number, bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw system_error(name, "room for " + std::to_string(bytes.size()) + " bytes");
      done += static_cast<std::size_t>(n);
    }
    if (::fsync(file.number) != 0 || !file.close()) throw system_error(name, "the file to reach the disk");
    if (::rename(temporary.c_str(), target.c_str()) != 0)
      throw system_error(name, "a name that can be taken");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  // So that the new name survives a power failure. Some file systems cannot; the file itself is safe.
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.number >= 0) ::fsync(directory.number);
}

/// Clamped to 0..1 (not a number: 0) and rounded to nearest.
template <class T>
T quantise(float value) {
  constexpr auto kMax = static_cast<float>(static_cast<T>(~T{0}));
  return static_cast<T>((value > 0 ? std::min(value, 1.0F) : 0.0F) * kMax + 0.5F);
}

template <class T>
void quantise_picture(const Image& image, Raster& raster) {
  T* to = reinterpret_cast<T*>(raster.samples.get());
  for (std::size_t i = 0; i < static_cast<std::size_t>(image.pixels()); ++i) {
    const float a = image.has_alpha() ? image.alpha[i] : 1;
    for (std::size_t c = 0; c < 3; ++c) {
      const float value = image.rgb[3 * i + c];
      *to++ = quantise<T>(image.has_alpha() && !raster.alpha ? value * a + (1 - a) : value);
    }
    if (raster.alpha) *to++ = quantise<T>(a);
  }
}

void check_consistent(const Image& image) {
  codec::check_size(image.width, image.height, std::int64_t{1} << 40);
  const auto pixels = static_cast<std::size_t>(image.pixels());
  if (image.rgb.size() != 3 * pixels || (image.has_alpha() && image.alpha.size() != pixels)) {
    throw Error(ErrorCode::kInternal, "expected " + std::to_string(pixels) + " pixels, found " +
                                          std::to_string(image.rgb.size()) + " colour and " +
                                          std::to_string(image.alpha.size()) + " alpha values");
  }
}

}  // namespace

Image decode_image(const std::uint8_t* data, std::size_t size, const std::string& name,
                   std::int64_t max_pixels, std::vector<std::string>* warnings) {
  return named(name, [&] {
    const codec::Bytes file(data, size);
    for (const Codec* codec : all_codecs()) {
      if (!codec->recognises(file)) continue;
      Raster raster = codec->decode(file, max_pixels);
      std::vector<std::string> found = std::move(raster.warnings);
      Image image = codec::to_srgb_image(codec::upright(std::move(raster)), found);
      for (const std::string& warning : found) {
        if (warnings != nullptr) warnings->push_back(name + ": " + warning);
      }
      return image;
    }
    throw codec::unknown_format(file);
  });
}

Image read_image(const fs::path& path, std::int64_t max_pixels, std::vector<std::string>* warnings) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  return decode_image(bytes.data(), bytes.size(), path.string(), max_pixels, warnings);
}

bool output_format_keeps_alpha(const fs::path& path) { return codec_for_suffix(path).keeps_alpha; }

void check_output_path(const fs::path& path) {
  (void)codec_for_suffix(path);
  const std::string name = path.string();
  const fs::path target = resolve_link(path);
  std::error_code ignored;
  const fs::file_status status = fs::status(target, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw bad_input(name, std::string("expected a file to write, found a ") +
                              (fs::is_directory(status) ? "folder" : "device"));
  }
  const fs::path folder = folder_of(target);
  if (!fs::is_directory(folder, ignored)) {
    throw bad_input(name, "expected an existing folder, found none at " + folder.string());
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) throw system_error(name, "a folder that can be written to");
}

void write_image(const fs::path& path, const Image& image, const WriteOptions& options) {
  check_output_path(path);
  const Codec& codec = codec_for_suffix(path);
  const std::vector<std::uint8_t> file = named(path.string(), [&] {
    check_consistent(image);
    if (options.bits != 8 && options.bits != 16) {
      throw Error(ErrorCode::kUsage, "expected 8 or 16 bits, found " + std::to_string(options.bits));
    }
    if (options.quality < 1 || options.quality > 100) {
      throw Error(ErrorCode::kUsage,
                  "expected a quality of 1 to 100, found " + std::to_string(options.quality));
    }
    Raster raster;
    raster.width = image.width;
    raster.height = image.height;
    raster.alpha = image.has_alpha() && codec.keeps_alpha;
    raster.bits = codec.keeps_16_bits ? options.bits : 8;
    raster.allocate();
    if (raster.bits == 8) {
      quantise_picture<std::uint8_t>(image, raster);
    } else {
      quantise_picture<std::uint16_t>(image, raster);
    }
    return codec.encode(raster, options);
  });
  write_atomically(path, file);
}

}  // namespace impasto
