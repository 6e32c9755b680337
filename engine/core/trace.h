#pragma once
// Named ranges on the timeline of NVIDIA's profilers, where the build found NVTX's header. A range is opened
// on the host: work that a device replays has the range of its replay alone; with IMPASTO_CUDA_RECORD=0 in
// the environment nothing is recorded, and each step has its own.
#include <string>

namespace impasto {

/// Open from construction to destruction; ranges of a thread nest. Where no profiler listens it costs a few
/// nanoseconds, and what making the name does.
class TraceRange {
 public:
  explicit TraceRange(const char* name);
  explicit TraceRange(const std::string& name) : TraceRange(name.c_str()) {}
  ~TraceRange();
  TraceRange(const TraceRange&) = delete;
  TraceRange& operator=(const TraceRange&) = delete;
};

}  // namespace impasto
