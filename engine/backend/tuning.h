#pragma once
// Which of several equal ways a device takes. It decides speed and the last bits of the numbers, so a render
// that goes on must go on with the same.
#include <string>

namespace impasto {

class Tuning {
 public:
  virtual ~Tuning() = default;
  /// What Backend::prepare_conv chose so far, one choice a line; empty before any.
  [[nodiscard]] virtual std::string text() const = 0;
  /// From here on the choices of an earlier run's text(), too, beside those made so far. `source` says where
  /// they come from, and begins messages. Error(kBadInput), now or where a choice is needed, if this device
  /// does not know them; Error(kUsage) if one was made otherwise already.
  virtual void add(const std::string& text, const std::string& source) = 0;
  /// All choices, made or added, are open again.
  virtual void forget() = 0;
};

}  // namespace impasto
