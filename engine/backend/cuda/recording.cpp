#include "engine/backend/cuda/recording.h"

#include <exception>

#include "engine/core/trace.h"

namespace impasto::cuda {

GraphRecording::~GraphRecording() {
  if (graph_ == nullptr) return;
  context_.drain();  // it may be running
}

void GraphRecording::run(const std::function<void()>& work, RecordingStatistics& statistics) {
  context_.enter();
  const bool captured = graph_ != nullptr;
  if (!captured && prepared_ && statistics.refused_by.empty()) {
    context_.counts = {};
    statistics.refused_by = capture(work);
    if (graph_ != nullptr) statistics.launches = context_.counts;
  }
  prepared_ = true;
  if (graph_ != nullptr) {
    const TraceRange trace("replay");
    const cudaError_t status = cudaGraphLaunch(graph_.get(), context_.stream());
    if (status == cudaSuccess || is_of_queued_work(status)) {
      ++(captured ? statistics.replayed : statistics.captured);
      return context_.queued(status, "a recorded iteration");
    }
    (void)cudaGetLastError();
    statistics.refused_by = std::string("cudaGraphLaunch: ") + cudaGetErrorName(status);
    context_.synchronise();  // it may be running from before
    graph_.reset();
  }
  ++statistics.plain;
  work();
}

std::string GraphRecording::capture(const std::function<void()>& work) {
  const TraceRange trace("capture");
  // Other threads may allocate meanwhile: they work for other backends.
  cudaError_t status = cudaStreamBeginCapture(context_.stream(), cudaStreamCaptureModeThreadLocal);
  std::string why;
  if (status != cudaSuccess) {
    why = std::string("cudaStreamBeginCapture: ") + cudaGetErrorName(status);
  } else {
    cudaGraph_t captured = nullptr;
    try {
      work();
      context_.join();
    } catch (const std::exception& error) {
      why = error.what();
    }
    status = cudaStreamEndCapture(context_.stream(), &captured);
    if (why.empty() && status != cudaSuccess) {
      why = std::string("cudaStreamEndCapture: ") + cudaGetErrorName(status);
    }
    cudaGraphExec_t graph = nullptr;
    if (why.empty()) {
      status = cudaGraphInstantiate(&graph, captured, 0);
      if (status != cudaSuccess) why = std::string("cudaGraphInstantiate: ") + cudaGetErrorName(status);
    }
    graph_.reset(graph);
    if (captured != nullptr) (void)cudaGraphDestroy(captured);
  }
  if (why.empty()) return why;
  context_.forget_beside();
  (void)cudaGetLastError();
  graph_.reset();
  cudaStreamCaptureStatus still = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(context_.stream(), &still), "cudaStreamIsCapturing");
  if (still != cudaStreamCaptureStatusNone) {
    throw Error(ErrorCode::kInternal, "cuda: expected a capture to end, found it going on after " + why);
  }
  return why;
}

std::string to_string(const RecordingStatistics& s) {
  if (s.captured == 0 && !s.refused_by.empty()) {
    return "no graph, since " + s.refused_by + ": plain " + std::to_string(s.plain) + " times";
  }
  const LaunchCounts& l = s.launches;
  return "graph of " + std::to_string(l.convolutions) + " convolutions, " +
         std::to_string(l.backward_convolutions) + " backward, " + std::to_string(l.products) +
         " products and " + std::to_string(l.others) + " other kernels: captured " +
         std::to_string(s.captured) + ", replayed " + std::to_string(s.replayed) + ", plain " +
         std::to_string(s.plain) + " times" +
         (s.refused_by.empty() ? "" : "; then none, since " + s.refused_by);
}

}  // namespace impasto::cuda
