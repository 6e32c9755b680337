// Pictures to picture files, a row at a time.
#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "engine/core/new_file.h"
#include "engine/core/utf8.h"
#include "engine/image/codec.h"
#include "engine/image/output.h"
#include "engine/image/sound.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;
using codec::Codec;
using codec::EncoderRows;

/// Clamped to 0..1 and rounded to nearest.
template <class T>
T quantise(float value) {
  constexpr auto kMax = static_cast<float>(static_cast<T>(~T{0}));
  return static_cast<T>(std::clamp(value, 0.0F, 1.0F) * kMax + 0.5F);
}

/// A row of R G B, or R G B A, for an encoder; over white where that one keeps no alpha.
template <class T>
void quantise_row(const std::vector<float>& values, bool alpha, bool keeps_alpha, T* to) {
  const std::size_t channels = alpha ? 4 : 3;
  for (std::size_t i = 0; i < values.size(); i += channels) {
    const float a = alpha ? values[i + 3] : 1;
    for (std::size_t c = 0; c < 3; ++c) {
      const float value = values[i + c];
      *to++ = quantise<T>(alpha && !keeps_alpha ? value * a + (1 - a) : value);
    }
    if (alpha && keeps_alpha) *to++ = quantise<T>(a);
  }
}

void require_size(const Codec& codec, PixelSize size, const fs::path& path) {
  require_sound(size, path.string());
  if (size.long_side() <= codec.most_side) return;
  throw make_error(ErrorCode::kBadInput, "{}: expected sides of at most {} pixels for {}, found {} x {}",
                   path.string(), codec.most_side, codec.name, size.width, size.height);
}

void require_options(const WriteOptions& options, const fs::path& path) {
  if (options.bits != 8 && options.bits != 16) {
    throw make_error(ErrorCode::kUsage, "{}: expected 8 or 16 bits, found {}", path.string(), options.bits);
  }
  if (options.quality < 1 || options.quality > 100) {
    throw make_error(ErrorCode::kUsage, "{}: expected a quality of 1 to 100, found {}", path.string(),
                     options.quality);
  }
}

/// What Image promises of its values.
void require_sound_row(std::span<const float> values, bool alpha, std::int64_t row, const fs::path& path) {
  const std::size_t channels = alpha ? 4 : 3;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    const bool is_alpha = i % channels == 3;
    if (is_alpha ? value >= 0 && value <= 1 : std::isfinite(value)) continue;
    throw make_error(ErrorCode::kUsage, "{}: expected {}, found {} at column {}, row {}", path.string(),
                     is_alpha ? "alpha from 0 to 1" : "finite colours", value, i / channels + 1, row + 1);
  }
}

/// The rows as the encoder takes them. What their source throws is kept in `failure`.
EncoderRows encoder_rows(const ImageRows& rows, const Codec& codec, int bits, std::vector<float>& values,
                         std::exception_ptr& failure) {
  EncoderRows result;
  result.width = rows.size.width;
  result.height = rows.size.height;
  result.alpha = rows.alpha && codec.keeps_alpha;
  result.bits = codec.keeps_16_bits ? bits : 8;
  result.read_next = [&, result, y = std::int64_t{0}](std::uint8_t* to) mutable {
    try {
      rows.fill(y++, values);
    } catch (...) {
      failure = std::current_exception();
      throw;
    }
    if (result.bits == 8) {
      quantise_row(values, rows.alpha, result.alpha, to);
    } else {
      quantise_row(values, rows.alpha, result.alpha, reinterpret_cast<std::uint16_t*>(to));
    }
  };
  return result;
}

void write_rows(const fs::path& path, const Codec& codec, const ImageRows& rows,
                const WriteOptions& options) {
  require_size(codec, rows.size, path);
  require_options(options, path);
  NewFile file(path.string(), path, options.replace ? Existing::kReplace : Existing::kKeep);
  codec::Output output(file);
  std::exception_ptr of_source;
  try {
    codec::run_named(path.string(), [&] {
      WriteOptions valid = options;
      for (auto& [key, value] : valid.metadata) value = printable_utf8(value);
      std::vector<float> values(static_cast<std::size_t>(rows.size.width) * (rows.alpha ? 4 : 3));
      codec.encode(encoder_rows(rows, codec, options.bits, values, of_source), output, valid);
      output.flush();
    });
  } catch (...) {
    if (of_source) std::rethrow_exception(of_source);
    output.rethrow();  // in its own words; an encoder knows only that it went wrong
    throw;
  }
  file.commit();
}

}  // namespace

std::int64_t most_writable_side(const fs::path& path) { return codec::codec_for_suffix(path).most_side; }

void require_writable_size(const fs::path& path, PixelSize size) {
  require_size(codec::codec_for_suffix(path), size, path);
}

void write_image_rows(const fs::path& path, const ImageRows& rows, const WriteOptions& options) {
  const Codec& codec = codec::codec_for_suffix(path);
  if (!rows.fill) {
    throw make_error(ErrorCode::kUsage, "{}: expected a source of rows, found none", path.string());
  }
  ImageRows checked = rows;
  checked.fill = [&](std::int64_t row, std::span<float> values) {
    rows.fill(row, values);
    require_sound_row(values, rows.alpha, row, path);
  };
  write_rows(path, codec, checked, options);
}

void write_image(const fs::path& path, const Image& image, const WriteOptions& options) {
  const Codec& codec = codec::codec_for_suffix(path);
  require_sound(image, path.string());
  const auto fill = [&](std::int64_t row, std::span<float> values) {
    const float* from = image.rgb.data() + 3 * row * image.width;
    if (!image.has_alpha()) {
      std::copy_n(from, values.size(), values.begin());
      return;
    }
    const float* alpha = image.alpha.data() + row * image.width;
    for (std::size_t i = 0; i < values.size(); i += 4, from += 3) {
      std::copy_n(from, 3, values.begin() + static_cast<std::ptrdiff_t>(i));
      values[i + 3] = *alpha++;
    }
  };
  write_rows(path, codec, {image.size(), image.has_alpha(), fill}, options);
}

}  // namespace impasto
