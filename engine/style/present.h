#pragma once
// What a public object holds, unless it was moved away.
#include <memory>

#include "engine/core/message.h"

namespace impasto {

/// *held; Error(kUsage) "WHAT: ..." where a move has left nothing.
template <class T>
[[nodiscard]] T& present(const std::unique_ptr<T>& held, const char* what) {
  if (held) return *held;
  throw make_error(ErrorCode::kUsage, "{}: expected one in use, found one that was moved from", what);
}

}  // namespace impasto
