#pragma once
// What arithmetic a device is asked for, and the names that --precision takes.
#include <cstdint>
#include <optional>
#include <string>

namespace impasto {

enum class Precision : std::uint8_t {
  kAuto,
  kExact,  ///< float32 without faster convolution algorithms
  kFp32,
  kTf32,
  kBf16,
  kFp16,
  kFp64
};
[[nodiscard]] const char* to_string(Precision);
[[nodiscard]] std::optional<Precision> find_precision(const std::string& name);
/// All names, for messages: "auto, exact, ... or fp64".
[[nodiscard]] std::string precision_names();

}  // namespace impasto
