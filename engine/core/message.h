#pragma once
// Errors whose message is made of parts. Not for public headers, which need no fmt.
#include <fmt/core.h>

#include <utility>

#include "engine/core/error.h"

namespace impasto {

/// throw make_error(ErrorCode::kUsage, "size: expected at least {} pixels, found {}", least, found);
template <class... Args>
[[nodiscard]] Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return {code, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace impasto
