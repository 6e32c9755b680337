#pragma once
// The one exception type of Impasto. Every failure that a user can meet is an Error whose message says
// what was expected and what was found; apps catch it once, in main, and return its exit code.
#include <stdexcept>
#include <string>

namespace impasto {

enum class ErrorCode : int {
  kInternal = 1,               ///< a defect of ours
  kUsage = 2,                  ///< options that make no sense
  kBadInput = 3,               ///< a picture, weight file, checkpoint or output place that cannot be used
  kResources = 4,              ///< not enough memory, or no such device
  kSomeFailed = 5,             ///< of several that were asked for; the rest is done
  kInterruptedResumable = 75,  ///< stopped on request, a checkpoint was written
  kInterrupted = 130,          ///< stopped on request, without a checkpoint
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] int exit_code() const { return static_cast<int>(code_); }

 private:
  ErrorCode code_;
};

}  // namespace impasto
