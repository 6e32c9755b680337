#pragma once
// Random numbers that are the same everywhere: the standard library's distributions differ between libraries.
// Counter-based, so that any element of a stream can be computed alone, in any language.
#include <cstdint>

namespace impasto {

/// By how much the state of splitmix64 grows from number to number.
inline constexpr std::uint64_t kSplitmixStep = 0x9E3779B97F4A7C15;

/// What splitmix64 makes of a state: a bijection whose every output bit depends on every input bit.
[[nodiscard]] constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

/// Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators": one number, from state x.
/// Element i of a stream is splitmix64(key + i).
[[nodiscard]] constexpr std::uint64_t splitmix64(std::uint64_t x) { return mix_bits(x + kSplitmixStep); }

/// 53 of the bits as a number: 0 <= u < 1.
[[nodiscard]] constexpr double unit_interval(std::uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}
/// The same with 0 < u < 1, for logarithms.
[[nodiscard]] constexpr double open_unit_interval(std::uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
}

}  // namespace impasto
