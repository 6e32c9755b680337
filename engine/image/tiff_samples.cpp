#include "engine/image/tiff_samples.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace impasto::codec {
namespace {

template <class Word>
Word load(const std::uint8_t* from, std::int64_t index) {
  Word word;
  std::memcpy(&word, from + index * static_cast<std::int64_t>(sizeof(Word)), sizeof(Word));
  return word;
}

/// IEEE 754 half precision.
double from_half(std::uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                           : exponent == 31 ? (fraction == 0 ? std::numeric_limits<double>::infinity()
                                                             : std::numeric_limits<double>::quiet_NaN())
                                            : std::ldexp(fraction + 1024, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

/// `count` numbers on the scale 0..1, value(i) each.
template <class T, class Value>
void scale(SampleCoding& coding, std::int64_t count, T* to, const Value& value) {
  constexpr double kMax = std::numeric_limits<T>::max();
  for (std::int64_t i = 0; i < count; ++i) {
    const double v = value(i);
    if (v > coding.highest) coding.highest = v;
    if (v < coding.lowest) coding.lowest = v;
    to[i] = static_cast<T>((v > 0 ? std::min(v, 1.0) : 0.0) * kMax + 0.5);
  }
}

template <class Word, class T>
void scale_words(SampleCoding& coding, const std::uint8_t* from, std::int64_t count, T* to) {
  constexpr auto kTop = static_cast<double>(std::numeric_limits<Word>::max());
  scale(coding, count, to, [&](std::int64_t i) { return static_cast<double>(load<Word>(from, i)) / kTop; });
}

/// 24 bits, in the machine's byte order.
template <class T>
void scale_triples(SampleCoding& coding, const std::uint8_t* from, std::int64_t count, T* to) {
  constexpr bool kLittle = std::endian::native == std::endian::little;
  scale(coding, count, to, [&](std::int64_t i) {
    const std::uint8_t* b = from + 3 * i;
    return (b[kLittle ? 2 : 0] << 16 | b[1] << 8 | b[kLittle ? 0 : 2]) / 16777215.0;
  });
}

template <class T>
void scale_packed(SampleCoding& coding, const std::uint8_t* from, std::int64_t count, T* to) {
  const int bits = coding.bits;
  const double top = (1 << bits) - 1;
  std::uint32_t buffer = 0;
  int held = 0;
  scale(coding, count, to, [&](std::int64_t) {
    for (; held < bits; held += 8) buffer = buffer << 8 | *from++;
    held -= bits;
    return (buffer >> held & ((1U << bits) - 1)) / top;
  });
}

}  // namespace

bool SampleCoding::is_known() const {
  const bool whole_words = bits == 8 || bits == 16 || bits == 32 || bits == 64;
  switch (format) {
    case SampleFormat::kUnsigned: return whole_words || bits == 24 || (bits >= 1 && bits <= 16);
    case SampleFormat::kSigned:
    case SampleFormat::kFloat: return whole_words && bits != 8;
  }
  return false;
}

template <class T>
void convert_samples(SampleCoding& coding, const std::uint8_t* from, std::int64_t count, T* to) {
  if (coding.format == SampleFormat::kFloat) {
    switch (coding.bits) {
      case 16:
        return scale(coding, count, to,
                     [&](std::int64_t i) { return from_half(load<std::uint16_t>(from, i)); });
      case 32: return scale(coding, count, to, [&](std::int64_t i) { return load<float>(from, i); });
      default: return scale(coding, count, to, [&](std::int64_t i) { return load<double>(from, i); });
    }
  }
  if (coding.format == SampleFormat::kSigned) {
    switch (coding.bits) {
      case 16: return scale_words<std::int16_t>(coding, from, count, to);
      case 32: return scale_words<std::int32_t>(coding, from, count, to);
      default: return scale_words<std::int64_t>(coding, from, count, to);
    }
  }
  switch (coding.bits) {
    case 8: return scale_words<std::uint8_t>(coding, from, count, to);
    case 16: return scale_words<std::uint16_t>(coding, from, count, to);
    case 24: return scale_triples(coding, from, count, to);
    case 32: return scale_words<std::uint32_t>(coding, from, count, to);
    case 64: return scale_words<std::uint64_t>(coding, from, count, to);
    default: return scale_packed(coding, from, count, to);
  }
}

template void convert_samples(SampleCoding&, const std::uint8_t*, std::int64_t, std::uint8_t*);
template void convert_samples(SampleCoding&, const std::uint8_t*, std::int64_t, std::uint16_t*);

void convert_lab(std::uint16_t* pixel, std::int64_t pixels, int channels, int from_bits, bool icc_lab) {
  constexpr std::uint32_t kSign = 0x8000, kMax = 0xFFFF;
  for (std::int64_t i = 0; i < pixels; ++i, pixel += channels) {
    // Version 2 of ICC's encoding, which ICCLab of 16 bits is, has L = 100 at 0xFF00.
    if (icc_lab && from_bits == 16)
      pixel[0] = static_cast<std::uint16_t>(std::min(kMax, pixel[0] * kMax / 0xFF00));
    for (int c = 1; c < 3; ++c) {
      std::uint32_t v = pixel[c];
      if (from_bits == 8) {  // v is 257 times the byte, as it is to be
        if (!icc_lab) v = (v / 257 ^ 0x80U) * 257;
      } else {  // 256 steps for each unit
        if (!icc_lab) v ^= kSign;
        v = std::min(kMax, (v * 257 + 128) / 256);
      }
      pixel[c] = static_cast<std::uint16_t>(v);
    }
  }
}

}  // namespace impasto::codec
