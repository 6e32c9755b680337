#pragma once
// Which of several equal ways a device takes. It decides speed and the last bits of the numbers, so a render
// that goes on must go on with the same.
#include <string>

namespace impasto {

/// Choices stand from the moment that Backend::prepare_conv makes them; prepare_conv and the text of one
/// render's choices go between begin() and end().
class Tuning {
 public:
  virtual ~Tuning() = default;
  /// From here to end(), prepare_conv takes up the choices of an earlier run's text (empty: none). `source`
  /// says where they come from, and begins messages. Error(kBadInput), now or in prepare_conv, if this device
  /// does not know them; Error(kUsage) in prepare_conv where one that stands is another.
  virtual void begin(const std::string& text, const std::string& source) = 0;
  /// All that prepare_conv was asked for since begin(), one choice a line; empty where there was none.
  [[nodiscard]] virtual std::string end() = 0;
  /// Instead of end(): what was chosen since begin() stands no longer.
  virtual void take_back() = 0;
  /// Nothing stands any more.
  virtual void forget() = 0;
};

}  // namespace impasto
