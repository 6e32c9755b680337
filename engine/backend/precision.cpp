#include "engine/backend/precision.h"

#include <array>
#include <cstddef>

#include "engine/core/text.h"

namespace impasto {
namespace {

constexpr std::array<const char*, 7> kPrecisionNames = {"auto", "exact", "fp32", "tf32",
                                                        "bf16", "fp16",  "fp64"};

}  // namespace

const char* to_string(Precision precision) { return kPrecisionNames.at(static_cast<std::size_t>(precision)); }

std::optional<Precision> find_precision(const std::string& name) {
  for (std::size_t i = 0; i < kPrecisionNames.size(); ++i) {
    if (name == kPrecisionNames[i]) return static_cast<Precision>(i);
  }
  return std::nullopt;
}

std::string precision_names() { return any_of({kPrecisionNames.begin(), kPrecisionNames.end()}); }

}  // namespace impasto
