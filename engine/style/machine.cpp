#include "engine/style/machine.h"

#include "engine/core/message.h"

namespace impasto {

BackendOptions backend_options(const StyleOptions& machine) {
  if (const auto precision = find_precision(machine.precision)) {
    return {machine.device, *precision, machine.threads, machine.autotune};
  }
  throw make_error(ErrorCode::kUsage, "precision: expected {}, found '{}'", precision_names(),
                   machine.precision);
}

}  // namespace impasto
