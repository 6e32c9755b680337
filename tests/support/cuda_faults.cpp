// Preloaded into a program (LD_PRELOAD), makes CUDA's libraries fail, or be of another version, as
// IMPASTO_CUDA_FAULT says:
//
//   begin, work, end, instantiate    a capture is refused there
//   launch                           the third launch of a graph is refused
//   kernel                           pool_forward's kernel gets a bad address to write to
//   cudnn=N                          cuDNN's version, 91900 for 9.19.0
//   handles                          cuDNN's handle takes 256 MiB of the GPU
//   full                             there is no memory for cuBLAS's handle
//   notes                            cuDNN tells of each engine a note that no version has so far
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

namespace {

bool is(const char* fault) {
  const char* const given = std::getenv("IMPASTO_CUDA_FAULT");
  return given != nullptr && std::string(given) == fault;
}

bool capturing = false;
int graph_launches = 0;

/// The library's own function of this name.
template <class Function>
Function* own(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

/// Of kernels by the host's function, and of what CUDA 13 launches by that.
std::map<const void*, std::string>& names() {
  static std::map<const void*, std::string> all;
  return all;
}

template <class Kernel>
cudaError_t launch(const char* name, Kernel kernel, dim3 grid, dim3 block, void** arguments,
                   std::size_t shared, cudaStream_t stream) {
  auto* const bad = reinterpret_cast<void*>(std::uintptr_t{0x1000});
  void* const first = arguments[0];
  if (is("kernel") && names()[kernel].find("pool_forward_kernel") != std::string::npos) {
    arguments[0] = const_cast<void**>(&bad);
  }
  using Launch = cudaError_t(Kernel, dim3, dim3, void**, std::size_t, cudaStream_t);
  const cudaError_t status = own<Launch>(name)(kernel, grid, block, arguments, shared, stream);
  arguments[0] = first;
  return status;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (is("begin")) return cudaErrorStreamCaptureUnsupported;
  capturing = true;
  return own<decltype(cudaStreamBeginCapture)>("cudaStreamBeginCapture")(stream, mode);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  capturing = false;
  const cudaError_t status = own<decltype(cudaStreamEndCapture)>("cudaStreamEndCapture")(stream, graph);
  if (status != cudaSuccess || !is("end")) return status;
  (void)cudaGraphDestroy(*graph);
  *graph = nullptr;
  return cudaErrorStreamCaptureInvalidated;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* graph, cudaGraph_t captured, unsigned long long flags) {
  if (is("instantiate")) return cudaErrorMemoryAllocation;
  return own<cudaError_t(cudaGraphExec_t*, cudaGraph_t, unsigned long long)>("cudaGraphInstantiate")(
      graph, captured, flags);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  if (++graph_launches == 3 && is("launch")) return cudaErrorMemoryAllocation;
  return own<decltype(cudaGraphLaunch)>("cudaGraphLaunch")(graph, stream);
}

void __cudaRegisterFunction(void** module, const char* host, char* device, const char* name, int threads,
                            void* thread, void* block, void* block_size, void* grid_size, int* warp_size) {
  names()[host] = name;
  own<decltype(__cudaRegisterFunction)>("__cudaRegisterFunction")(module, host, device, name, threads, thread,
                                                                  block, block_size, grid_size, warp_size);
}

#if CUDART_VERSION >= 13000
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  const cudaError_t status = own<cudaError_t(cudaKernel_t*, const void*)>("__cudaGetKernel")(kernel, host);
  if (status == cudaSuccess) names()[*kernel] = names()[host];
  return status;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared, cudaStream_t stream) {
  return launch("__cudaLaunchKernel", kernel, grid, block, arguments, shared, stream);
}
#else
cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream) {
  return launch("cudaLaunchKernel", kernel, grid, block, arguments, shared, stream);
}
#endif

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (is("full")) return CUBLAS_STATUS_ALLOC_FAILED;
  return own<decltype(cublasCreate_v2)>("cublasCreate_v2")(handle);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  void* taken = nullptr;
  if (is("handles")) (void)cudaMalloc(&taken, std::size_t{256} << 20);
  return own<decltype(cudnnCreate)>("cudnnCreate")(handle);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variants) {
  if (capturing && is("work")) return CUDNN_STATUS_NOT_SUPPORTED;
  return own<decltype(cudnnBackendExecute)>("cudnnBackendExecute")(handle, plan, variants);
}

std::size_t cudnnGetVersion() {
  const char* const given = std::getenv("IMPASTO_CUDA_FAULT");
  const std::string prefix = "cudnn=";
  if (given != nullptr && std::string(given).starts_with(prefix))
    return std::strtoul(given + prefix.size(), nullptr, 10);
  return own<decltype(cudnnGetVersion)>("cudnnGetVersion")();
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       std::int64_t room, std::int64_t* count, void* values) {
  const cudnnStatus_t status = own<decltype(cudnnBackendGetAttribute)>("cudnnBackendGetAttribute")(
      descriptor, name, type, room, count, values);
  const bool notes = name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE || name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE;
  if (status == CUDNN_STATUS_SUCCESS && notes && is("notes") && *count < room) {
    static_cast<std::int32_t*>(values)[(*count)++] = 40;
  }
  return status;
}

}  // extern "C"
