#include "engine/image/image.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <stdexcept>

#include "engine/core/new_file.h"
#include "engine/core/utf8.h"
#include "engine/image/codec.h"
#include "engine/image/exif.h"
#include "engine/image/picture_file.h"
#include "engine/image/sound.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;
using codec::Codec;
using codec::Raster;

std::array<const Codec*, 4> all_codecs() {
  return {&codec::png(), &codec::jpeg(), &codec::webp(), &codec::tiff()};
}

/// Runs body, and puts `name` in front of what goes wrong in it.
template <class Body>
auto named(const std::string& name, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw make_error(error.code(), "{}: {}", name, error.what());
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  throw make_error(ErrorCode::kResources, "{}: expected enough memory for the picture, found too little",
                   name);
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
  throw make_error(ErrorCode::kUsage, "{}: expected a suffix of {}, found {}", path.string(), known,
                   suffix.empty() ? "none" : "'" + suffix + "'");
}

/// Clamped to 0..1 and rounded to nearest.
template <class T>
T quantise(float value) {
  constexpr auto kMax = static_cast<float>(static_cast<T>(~T{0}));
  return static_cast<T>(std::clamp(value, 0.0F, 1.0F) * kMax + 0.5F);
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

/// What a caller has in memory as a file.
codec::Bytes bytes_of(const std::uint8_t* data, std::size_t size) {
  if (data == nullptr && size > 0) {
    throw make_error(ErrorCode::kUsage, "expected {} bytes in memory, found a null pointer", size);
  }
  return {data, size};
}

const Codec& codec_for_content(codec::Bytes file) {
  for (const Codec* codec : all_codecs()) {
    if (codec->recognises(file)) return *codec;
  }
  throw codec::unknown_format(file);
}

/// Of a format that is known; of another one no more is read than shows that.
std::vector<std::uint8_t> read_known(const fs::path& path, std::int64_t max_pixels) {
  return codec::read_picture_file(path, max_pixels, [&](codec::Bytes start) {
    (void)named(path.string(), [&] { return &codec_for_content(start); });
  });
}

void pass_on(const std::vector<std::string>& found, const std::string& name,
             std::vector<std::string>* warnings) {
  if (warnings == nullptr) return;
  for (const std::string& warning : found) warnings->push_back(name + ": " + warning);
}

}  // namespace

Image decode_image(const std::uint8_t* data, std::size_t size, const std::string& name,
                   std::int64_t max_pixels, std::vector<std::string>* warnings) {
  return named(name, [&] {
    const codec::Bytes file = bytes_of(data, size);
    Raster raster = codec_for_content(file).decode(file, std::min(max_pixels, kMostPixels));
    std::vector<std::string> found = std::move(raster.warnings);
    Image image = codec::to_srgb_image(codec::upright(std::move(raster)), found);
    pass_on(found, name, warnings);
    return image;
  });
}

Image read_image(const fs::path& path, std::int64_t max_pixels, std::vector<std::string>* warnings) {
  const std::vector<std::uint8_t> bytes = read_known(path, max_pixels);
  return decode_image(bytes.data(), bytes.size(), path.string(), max_pixels, warnings);
}

PictureInfo probe_image(const std::uint8_t* data, std::size_t size, const std::string& name,
                        std::int64_t max_pixels, std::vector<std::string>* warnings) {
  return named(name, [&] {
    const codec::Bytes file = bytes_of(data, size);
    const Codec& codec = codec_for_content(file);
    Raster raster = codec.probe(file, std::min(max_pixels, kMostPixels));
    codec::warn_of_profile(raster, raster.warnings);
    pass_on(raster.warnings, name, warnings);
    return PictureInfo{codec.name, codec::upright_size(raster)};
  });
}

PictureInfo probe_image(const fs::path& path, std::int64_t max_pixels, std::vector<std::string>* warnings) {
  const std::vector<std::uint8_t> bytes = read_known(path, max_pixels);
  return probe_image(bytes.data(), bytes.size(), path.string(), max_pixels, warnings);
}

std::vector<ImageFormat> image_formats() {
  std::vector<ImageFormat> formats;
  for (const Codec* codec : all_codecs()) {
    formats.push_back({codec->name, codec->suffixes, codec->keeps_alpha, codec->keeps_16_bits});
  }
  return formats;
}

bool output_format_keeps_alpha(const fs::path& path) { return codec_for_suffix(path).keeps_alpha; }
bool output_format_keeps_16_bits(const fs::path& path) { return codec_for_suffix(path).keeps_16_bits; }

void write_image(const fs::path& path, const Image& image, const WriteOptions& options) {
  const Codec& codec = codec_for_suffix(path);
  require_sound(image, path.string());
  const std::vector<std::uint8_t> file = named(path.string(), [&] {
    if (options.bits != 8 && options.bits != 16) {
      throw make_error(ErrorCode::kUsage, "expected 8 or 16 bits, found {}", options.bits);
    }
    if (options.quality < 1 || options.quality > 100) {
      throw make_error(ErrorCode::kUsage, "expected a quality of 1 to 100, found {}", options.quality);
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
    WriteOptions valid = options;
    for (auto& [key, value] : valid.metadata) value = printable_utf8(value);
    return codec.encode(raster, valid);
  });
  NewFile out(path.string(), path, options.replace ? Existing::kReplace : Existing::kKeep);
  out.write_at(0, file.data(), file.size());
  out.commit();
}

}  // namespace impasto
