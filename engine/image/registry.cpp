// Which formats there are, and which one a file has.
#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <stdexcept>

#include "engine/image/codec.h"

namespace impasto::codec {

std::span<const Codec* const> all_codecs() {
  static const std::array<const Codec*, 4> codecs{&png(), &jpeg(), &webp(), &tiff()};
  return codecs;
}

void run_named(const std::string& name, const std::function<void()>& body) {
  try {
    errno = 0;
    return body();
  } catch (const Error& error) {
    // Libraries that find no memory say so in words of their own, or call the file damaged.
    if (errno != ENOMEM) throw make_error(error.code(), "{}: {}", name, error.what());
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  throw make_error(ErrorCode::kResources, "{}: expected enough memory for the picture, found too little",
                   name);
}

const Codec& codec_for_suffix(const std::filesystem::path& path) {
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

const Codec& codec_for_content(Bytes file) {
  for (const Codec* codec : all_codecs()) {
    if (codec->recognises(file)) return *codec;
  }
  throw unknown_format(file);
}

}  // namespace impasto::codec

namespace impasto {

std::vector<ImageFormat> image_formats() {
  std::vector<ImageFormat> formats;
  for (const codec::Codec* codec : codec::all_codecs()) {
    formats.push_back({codec->name, codec->suffixes, codec->keeps_alpha, codec->keeps_16_bits});
  }
  return formats;
}

bool output_format_keeps_alpha(const std::filesystem::path& path) {
  return codec::codec_for_suffix(path).keeps_alpha;
}
bool output_format_keeps_16_bits(const std::filesystem::path& path) {
  return codec::codec_for_suffix(path).keeps_16_bits;
}

}  // namespace impasto
