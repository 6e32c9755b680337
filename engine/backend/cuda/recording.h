#pragma once
// Backend::repeat as a CUDA graph: the first call runs as it is (libraries prepare themselves), the second is
// captured, all later ones replay what was captured. Where capturing fails every call runs as it is.
#include <functional>
#include <memory>
#include <string>

#include "engine/backend/cuda/context.h"

namespace impasto::cuda {

/// What one backend recorded, for Backend::activity.
struct RecordingStatistics {
  int captured = 0, replayed = 0, plain = 0;
  LaunchCounts launches;   ///< of the last captured work
  std::string refused_by;  ///< why work could not be recorded; then no recording of this backend tries again
};

class GraphRecording final : public Recording {
 public:
  explicit GraphRecording(Context& context) : context_(context) {}
  ~GraphRecording() override;
  GraphRecording(const GraphRecording&) = delete;
  GraphRecording& operator=(const GraphRecording&) = delete;
  void run(const std::function<void()>& work, RecordingStatistics& statistics);

 private:
  /// Empty, or why there is no graph; the stream is then as it was.
  [[nodiscard]] std::string capture(const std::function<void()>& work);
  Context& context_;
  Graph graph_;
  bool prepared_ = false;
};

/// "graph of 13 convolutions, 13 backward, 10 products and
/// 30 other kernels: captured 1, replayed 98, plain 1 times"; "no graph, since ...: plain 100 times"
[[nodiscard]] std::string to_string(const RecordingStatistics& statistics);

}  // namespace impasto::cuda
