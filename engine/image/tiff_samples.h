#pragma once
// Samples as TIFF stores them (packed bits, long integers, floating point, Lab) to the integers of a row.
#include "engine/image/codec.h"

namespace impasto::codec {

enum class SampleFormat : std::uint8_t { kUnsigned, kSigned, kFloat };

/// How the samples of a file are stored, and what was seen while they were converted.
struct SampleCoding {
  int bits = 8;
  SampleFormat format = SampleFormat::kUnsigned;
  double highest = 0, lowest = 0;  ///< of the scale 0..1, before clipping

  /// Unsigned of 1 to 16, 24, 32 or 64 bits; signed of 16, 32 or 64; floating point of 16, 32 or 64.
  [[nodiscard]] bool is_known() const;
  /// What the row needs so as to lose nothing that can be seen: 8 or 16.
  [[nodiscard]] int row_bits() const { return bits <= 8 && format != SampleFormat::kFloat ? 8 : 16; }
};

/// Converts a row of `count` samples to the whole range of T (8 or 16 bits). Integers are scaled by their
/// type (below zero: 0), floating point is clipped to 0..1 (not a number: 0). Samples of fewer than 16 bits
/// other than 8 are packed, high bits first; others are words of the machine's byte order.
template <class T>
void convert_samples(SampleCoding& coding, const std::uint8_t* from, std::int64_t count, T* to);

/// Lab of TIFF, stretched to 16 bits, to that of Header, `channels` numbers a pixel. `from_bits` is 8 or 16.
/// CIELab (TIFF 6.0, section 23) has a and b with sign, ICCLab (TIFF technical note 4) around the middle.
void convert_lab(std::uint16_t* pixel, std::int64_t pixels, int channels, int from_bits, bool icc_lab);

}  // namespace impasto::codec
