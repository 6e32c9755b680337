#include "engine/backend/cuda/recording.h"

#include "engine/core/trace.h"

namespace impasto::cuda {

GraphRecording::~GraphRecording() {
  if (graph_ == nullptr) return;
  (void)cudaStreamSynchronize(context_.stream());  // it may be running
}

void GraphRecording::run(const std::function<void()>& work, RecordingStatistics& statistics) {
  context_.enter();
  if (!prepared_) {
    prepared_ = true;
    ++statistics.plain;
    return work();
  }
  if (graph_ == nullptr) {
    IMPASTO_TRACE_RANGE("capture");
    capture(work, statistics);
  } else {
    ++statistics.replayed;
  }
  IMPASTO_TRACE_RANGE("replay");
  check(cudaGraphLaunch(graph_.get(), context_.stream()), "cudaGraphLaunch");
}

void GraphRecording::capture(const std::function<void()>& work, RecordingStatistics& statistics) {
  context_.counts = {};
  cudaGraph_t captured = nullptr;
  // Other threads may allocate meanwhile: they work for other backends.
  check(cudaStreamBeginCapture(context_.stream(), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  try {
    work();
  } catch (...) {
    if (cudaStreamEndCapture(context_.stream(), &captured) == cudaSuccess && captured != nullptr) {
      (void)cudaGraphDestroy(captured);
    }
    (void)cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(context_.stream(), &captured), "cudaStreamEndCapture");
  cudaGraphExec_t graph = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&graph, captured, 0);
  graph_.reset(graph);
  (void)cudaGraphDestroy(captured);
  check(status, "cudaGraphInstantiate");
  ++statistics.captured;
  statistics.launches = context_.counts;
}

std::string to_string(const RecordingStatistics& s) {
  const LaunchCounts& l = s.launches;
  return "graph of " + std::to_string(l.convolutions) + " convolutions, " +
         std::to_string(l.backward_convolutions) + " backward, " + std::to_string(l.products) +
         " products and " + std::to_string(l.others) + " other kernels: captured " +
         std::to_string(s.captured) + ", replayed " + std::to_string(s.replayed) + ", plain " +
         std::to_string(s.plain) + " times";
}

}  // namespace impasto::cuda
