#pragma once
// What every part of the CUDA backend works with: one device, one stream and the libraries' handles on it.
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <memory>
#include <string>

#include "engine/backend/backend.h"
#include "engine/backend/cuda/owners.h"
#include "engine/core/error.h"
#include "kernels/cuda/kernels.h"

namespace impasto::cuda {

/// Bytes, of where tensors and what else lies on the device begin.
inline constexpr std::size_t kAlignment = 256;

/// Error(kInternal) unless it succeeded; memory that is not there is Error(kResources).
void check(cublasStatus_t status, const char* what);

/// Is this an error of work that ran meanwhile, of which every later call tells? Nothing more is to be had of
/// the GPU in this process.
[[nodiscard]] bool is_of_queued_work(cudaError_t status);
/// CUDA_LAUNCH_BLOCKING: each operation is waited for, so that an error is told of the one that it is of.
[[nodiscard]] bool waits_for_each();

/// Of feature maps and their gradients.
[[nodiscard]] DType activation_of(Precision precision);
[[nodiscard]] Storage storage_of(DType dtype);
[[nodiscard]] cudaDataType_t cublas_type(Storage storage);

/// How many calls went to each library since the last reset: what an iteration consists of.
struct LaunchCounts {
  int convolutions = 0, backward_convolutions = 0, products = 0, others = 0;
};

struct DeviceProperties {
  int index = 0, major = 0, minor = 0, num_sms = 0, threads_per_sm = 0;
  std::size_t shared_bytes = 0;  ///< that a block may have
  std::size_t memory_bytes = 0;  ///< all of it, used or free
  std::string name;
  [[nodiscard]] bool has_bf16() const { return major >= 8; }
};
/// Error(kResources) if there is no such device.
[[nodiscard]] DeviceProperties device_properties_of(int device);

/// Two streams: one with cuDNN and nearly all else on it, and one with cuBLAS, for what goes on beside it.
/// Every use of the device goes through enter(), which makes it the thread's current one.
class Context {
 public:
  Context(const DeviceProperties& properties, Precision precision);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Memory that the handles and reductions work in, of
  /// kScratchBytes plus cublas_bytes(), aligned to kAlignment.
  static constexpr std::size_t kReductionBytes =
      static_cast<std::size_t>(kNumPartials) * sizeof(double) + kAlignment;
  static constexpr std::size_t kScratchBytes = 2 * kReductionBytes;  // a stream each
  [[nodiscard]] static std::size_t cublas_bytes(const DeviceProperties& properties);
  void give_memory(void* memory);

  /// For one hand-written kernel (or copy), which it counts.
  [[nodiscard]] const Launch& launch() {
    join();
    return launch_forward();
  }
  /// The same, which does not wait for what goes on beside it: it has nothing to do with that.
  [[nodiscard]] const Launch& launch_forward() {
    enter();
    ++counts.others;
    return launch_;
  }
  /// The same, beside it: after fork().
  [[nodiscard]] const Launch& launch_beside() {
    enter();
    ++counts.others;
    return beside_;
  }
  /// What is queued beside from now on waits for all that was queued so far.
  void fork();
  /// All that is queued from now on waits for what was queued beside.
  void join();
  /// After a capture that failed: what was to go on beside is no more.
  void forget_beside() { forked_ = false; }
  /// From now on launches heed this flag; null: none.
  void launch_when(const double* flag) { launch_.when = flag; }
  void enter() const { check(cudaSetDevice(properties.index), "cudaSetDevice"); }
  /// To be told of each operation, with what the call that queued it returned.
  void queued(cudaError_t status, const std::string& what);
  /// The same of an operation of cuDNN or cuBLAS, which know less of what became of the GPU.
  template <class Work>
  void queue(const std::string& what, const Work& work) {
    try {
      work();
    } catch (const Error&) {
      check_gpu(what);
      throw;
    }
    queued(cudaSuccess, what);
  }
  void synchronise();
  /// Waits for whatever is queued, for destructors: after a failure of the GPU too.
  void drain() const noexcept;
  /// What a call returned that waited for queued work.
  void waited(cudaError_t status) const;
  [[nodiscard]] cudaStream_t stream() {
    join();
    return launch_.stream;
  }
  [[nodiscard]] cublasHandle_t cublas() const { return cublas_.get(); }
  [[nodiscard]] cudnnHandle_t cudnn() const { return cudnn_.get(); }
  /// fp16 only; 1 otherwise.
  [[nodiscard]] double gradient_scale();
  void set_gradient_scale(double scale);

  const DeviceProperties properties;
  const Precision precision;
  const Storage storage;  ///< of activations
  LaunchCounts counts;

 private:
  void check_gpu(const std::string& what) const;

  Launch launch_, beside_;
  bool forked_ = false;
  std::string last_queued_ = "the start";
  Stream stream_, stream_beside_;
  Event forking_, joining_;
  Owned<cublasHandle_t, cublasDestroy> cublas_;
  Owned<cudnnHandle_t, cudnnDestroy> cudnn_;
};

/// Launches heed a flag as long as it lives.
class LaunchesWhen {
 public:
  LaunchesWhen(Context& context, const double* flag) : context_(context) { context_.launch_when(flag); }
  ~LaunchesWhen() { context_.launch_when(nullptr); }
  LaunchesWhen(const LaunchesWhen&) = delete;
  LaunchesWhen& operator=(const LaunchesWhen&) = delete;

 private:
  Context& context_;
};

}  // namespace impasto::cuda
