// Preloaded into a program (LD_PRELOAD), counts its calls of the CUDA libraries. At its end the file that
// IMPASTO_CUDA_CALLS names holds a line for each kind: its name, a blank, its count.
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <fstream>

namespace {

struct Calls {
  std::atomic<std::int64_t> cudnn_handles{0}, cublas_handles{0}, plans{0}, runs{0}, bytes_sent{0};
  std::atomic<std::int64_t> full_sums{0}, stream_waits{0}, event_waits{0}, graphs{0}, kernels{0};
  ~Calls() {
    const char* const path = std::getenv("IMPASTO_CUDA_CALLS");
    if (path == nullptr) return;
    std::ofstream(path) << "cudnn_handles " << cudnn_handles << "\ncublas_handles " << cublas_handles
                        << "\nplans " << plans << "\nruns " << runs << "\nbytes_sent " << bytes_sent
                        << "\nfull_sums " << full_sums << "\nstream_waits " << stream_waits
                        << "\nevent_waits " << event_waits << "\ngraphs " << graphs << "\nkernels " << kernels
                        << '\n';
  }
};
Calls calls;

/// The library's own function of this name.
template <class Function>
Function* own(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  ++calls.cudnn_handles;
  return own<decltype(cudnnCreate)>("cudnnCreate")(handle);
}

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  ++calls.cublas_handles;
  return own<decltype(cublasCreate_v2)>("cublasCreate_v2")(handle);
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  if ((mode & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) != 0) ++calls.full_sums;
  return own<decltype(cublasSetMathMode)>("cublasSetMathMode")(handle, mode);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  if (type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) ++calls.plans;
  return own<decltype(cudnnBackendCreateDescriptor)>("cudnnBackendCreateDescriptor")(type, descriptor);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variants) {
  ++calls.runs;
  return own<decltype(cudnnBackendExecute)>("cudnnBackendExecute")(handle, plan, variants);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  ++calls.stream_waits;
  return own<decltype(cudaStreamSynchronize)>("cudaStreamSynchronize")(stream);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  ++calls.event_waits;
  return own<decltype(cudaEventSynchronize)>("cudaEventSynchronize")(event);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  ++calls.graphs;
  return own<decltype(cudaGraphLaunch)>("cudaGraphLaunch")(graph, stream);
}

using LaunchKernel = cudaError_t(const void*, dim3, dim3, void**, std::size_t, cudaStream_t);

cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream) {
  ++calls.kernels;
  return own<LaunchKernel>("cudaLaunchKernel")(kernel, grid, block, arguments, shared, stream);
}

/// What CUDA 13's compiler makes of a launch.
cudaError_t __cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared, cudaStream_t stream) {
  ++calls.kernels;
  return own<LaunchKernel>("__cudaLaunchKernel")(kernel, grid, block, arguments, shared, stream);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (kind == cudaMemcpyHostToDevice) calls.bytes_sent += static_cast<std::int64_t>(bytes);
  return own<cudaError_t(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t)>("cudaMemcpyAsync")(
      to, from, bytes, kind, stream);
}

}  // extern "C"
