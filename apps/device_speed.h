#pragma once
// Timing of work on a backend.
#include <cstdint>
#include <functional>
#include <memory>

#include "engine/backend/backend.h"

namespace impasto::apps {

/// Seconds of one call: the least of several (at least `repeats`), after one that is not counted. `work` is
/// queued on the backend; each call is waited for.
[[nodiscard]] double seconds_of(Backend& backend, int repeats, const std::function<void()>& work);

/// A convolution with weights and values that do not matter, its tensors and workspace.
class SampleConv {
 public:
  enum class Choice : std::uint8_t { kPrepared, kByRule };
  /// Prepared: as Backend::prepare_conv chooses, which with autotune takes time.
  SampleConv(Backend& backend, const ConvTask& task, Choice choice = Choice::kPrepared);
  void run();
  /// A multiplication and an addition count as two.
  [[nodiscard]] double flops() const;

 private:
  Backend& backend_;
  ConvTask task_;
  std::shared_ptr<const ConvFilter> conv_;
  Buffer memory_;
  TensorView x_, y_;
  Workspace workspace_;
};

}  // namespace impasto::apps
