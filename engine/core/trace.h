#pragma once
// Named ranges on a profiler's timeline: NVTX in a build with IMPASTO_NVTX (header only, it costs a few
// nanoseconds where no profiler listens), nothing at all in every other one. A range is opened on the host:
// work that a device replays has the range of its replay alone; with IMPASTO_CUDA_RECORD=0 in the environment
// nothing is recorded, and each step has its own.
#ifdef IMPASTO_NVTX
#include <nvtx3/nvToolsExt.h>

#include <string>

namespace impasto {

/// Open from construction to the end of the scope; ranges of a thread nest.
class TraceRange {
 public:
  explicit TraceRange(const char* name) { nvtxRangePushA(name); }
  explicit TraceRange(const std::string& name) : TraceRange(name.c_str()) {}
  ~TraceRange() { nvtxRangePop(); }
  TraceRange(const TraceRange&) = delete;
  TraceRange& operator=(const TraceRange&) = delete;
};

}  // namespace impasto

/// A range for the rest of the scope, or the life of the object that it is a member of. The name, text of any
/// kind, is evaluated only here.
#define IMPASTO_TRACE_RANGE(name) \
  const ::impasto::TraceRange impasto_trace_range { name }
#else
#define IMPASTO_TRACE_RANGE(name) static_assert(true)
#endif
