#pragma once
// Backend::repeat as a CUDA graph: the first call runs as it is (libraries prepare themselves), the second is
// captured, all later ones replay what was captured.
#include <functional>
#include <memory>
#include <string>

#include "engine/backend/cuda/context.h"

namespace impasto::cuda {

/// What one backend recorded, for Backend::activity.
struct RecordingStatistics {
  int captured = 0, replayed = 0, plain = 0;
  LaunchCounts launches;  ///< of the last captured work
};

class GraphRecording final : public Recording {
 public:
  explicit GraphRecording(Context& context) : context_(context) {}
  ~GraphRecording() override;
  GraphRecording(const GraphRecording&) = delete;
  GraphRecording& operator=(const GraphRecording&) = delete;
  void run(const std::function<void()>& work, RecordingStatistics& statistics);

 private:
  void capture(const std::function<void()>& work, RecordingStatistics& statistics);
  Context& context_;
  Graph graph_;
  bool prepared_ = false;
};

/// "graph of 13 convolutions, 13 backward, 10 products and
/// 30 other kernels: captured 1, replayed 98, plain 1 times"
[[nodiscard]] std::string to_string(const RecordingStatistics& statistics);

}  // namespace impasto::cuda
