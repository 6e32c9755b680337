#pragma once
// The oracle: everything in double, one thread, plain loops. For tests and small pictures.
#include <memory>

#include "engine/backend/backend.h"

namespace impasto {

[[nodiscard]] std::unique_ptr<Backend> make_reference_backend();

}  // namespace impasto
