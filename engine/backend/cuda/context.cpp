#include "engine/backend/cuda/context.h"

#include "engine/backend/cuda/cudnn_graph.h"
#include "engine/core/environment.h"

namespace impasto::cuda {

void check(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // what can be forgotten is forgotten, so that the next call tells of itself
  const bool perhaps_earlier = is_of_queued_work(status) && !waits_for_each();
  throw Error(status == cudaErrorMemoryAllocation ? ErrorCode::kResources : ErrorCode::kInternal,
              "cuda: expected " + what + " to succeed, found " + cudaGetErrorName(status) + " (" +
                  cudaGetErrorString(status) + ")" +
                  (perhaps_earlier ? ", at or before it; CUDA_LAUNCH_BLOCKING=1 names the operation" : ""));
}

bool is_of_queued_work(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure: return true;
    default: return false;
  }
}

bool waits_for_each() {
  static const bool waits = [] {
    const char* const value = environment("CUDA_LAUNCH_BLOCKING");
    return value != nullptr && *value != '\0' && std::string(value) != "0";
  }();
  return waits;
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::kResources : ErrorCode::kInternal,
              std::string("cublas: expected ") + what + " to succeed, found " + cublasGetStatusName(status));
}

DType activation_of(Precision precision) {
  return precision == Precision::kBf16   ? DType::kBFloat16
         : precision == Precision::kFp16 ? DType::kFloat16
                                         : DType::kFloat32;
}

Storage storage_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return Storage::kFloat64;
    case DType::kFloat32: return Storage::kFloat32;
    case DType::kFloat16: return Storage::kFloat16;
    case DType::kBFloat16: return Storage::kBFloat16;
    case DType::kUInt8: break;
  }
  throw Error(ErrorCode::kInternal, "cuda: expected a type of numbers, found uint8");
}

cudaDataType_t cublas_type(Storage storage) {
  switch (storage) {
    case Storage::kFloat16: return CUDA_R_16F;
    case Storage::kBFloat16: return CUDA_R_16BF;
    default: return CUDA_R_32F;
  }
}

DeviceProperties device_properties_of(int device) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || device >= count) {
    throw Error(ErrorCode::kResources,
                status != cudaSuccess ? std::string("the CUDA runtime reports ") + cudaGetErrorName(status)
                                      : "only " + std::to_string(count) + " found");
  }
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return {device,
          properties.major,
          properties.minor,
          properties.multiProcessorCount,
          properties.maxThreadsPerMultiProcessor,
          properties.sharedMemPerBlockOptin,
          properties.totalGlobalMem,
          properties.name};
}

std::size_t Context::cublas_bytes(const DeviceProperties& properties) {
  return (properties.major >= 9 ? std::size_t{32} : std::size_t{8}) << 20;  // what NVIDIA recommends
}

Context::Context(const DeviceProperties& device, Precision chosen)
    : properties(device), precision(chosen), storage(storage_of(activation_of(chosen))) {
  enter();
  launch_.num_sms = properties.num_sms;
  launch_.threads_per_sm = properties.threads_per_sm;
  launch_.shared_bytes = properties.shared_bytes;
  beside_ = launch_;
  check(cudaStreamCreateWithFlags(&launch_.stream, cudaStreamNonBlocking), "cudaStreamCreate");
  stream_.reset(launch_.stream);
  check(cudaStreamCreateWithFlags(&beside_.stream, cudaStreamNonBlocking), "cudaStreamCreate");
  stream_beside_.reset(beside_.stream);
  forking_ = make_event(cudaEventDisableTiming);
  joining_ = make_event(cudaEventDisableTiming);
  cublasHandle_t cublas = nullptr;
  check(cublasCreate(&cublas), "cublasCreate");
  cublas_.reset(cublas);
  check(cublasSetStream(cublas, beside_.stream), "cublasSetStream");
  // fp32 means fp32; tensor cores by the compute type of each call. 16-bit products that are split along
  // their sums add the parts up in float, not in the output's type.
  constexpr auto kMode =
      static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  check(cublasSetMathMode(cublas, kMode), "cublasSetMathMode");
  cudnnHandle_t cudnn = nullptr;
  check_cudnn(cudnnCreate(&cudnn), "cudnnCreate");
  cudnn_.reset(cudnn);
  check_cudnn(cudnnSetStream(cudnn, launch_.stream), "cudnnSetStream");
}

Context::~Context() { drain(); }

void Context::drain() const noexcept {
  (void)cudaSetDevice(properties.index);
  (void)cudaStreamSynchronize(beside_.stream);
  (void)cudaStreamSynchronize(launch_.stream);
}

void Context::fork() {
  enter();
  check(cudaEventRecord(forking_.get(), launch_.stream), "cudaEventRecord");
  check(cudaStreamWaitEvent(beside_.stream, forking_.get(), 0), "cudaStreamWaitEvent");
  forked_ = true;
}

void Context::join() {
  if (!forked_) return;
  enter();
  check(cudaEventRecord(joining_.get(), beside_.stream), "cudaEventRecord");
  check(cudaStreamWaitEvent(launch_.stream, joining_.get(), 0), "cudaStreamWaitEvent");
  forked_ = false;
}

void Context::give_memory(void* memory) {
  enter();
  auto* next = static_cast<std::byte*>(memory);
  // With a workspace of its own cuBLAS neither allocates nor
  // shares one, so that products can be captured and repeat.
  check(cublasSetWorkspace(cublas(), next, cublas_bytes(properties)), "cublasSetWorkspace");
  next += cublas_bytes(properties);
  for (Launch* const launch : {&launch_, &beside_}) {
    launch->partials = reinterpret_cast<double*>(next);
    std::byte* const rest = next + static_cast<std::size_t>(kNumPartials) * sizeof(double);
    launch->ticket = reinterpret_cast<unsigned*>(rest);
    check(cudaMemsetAsync(rest, 0, 256, launch_.stream), "cudaMemset");
    next += kReductionBytes;
  }
  if (storage != Storage::kFloat16) return;
  auto* const behind_ticket = reinterpret_cast<std::byte*>(launch_.ticket) + 128;
  launch_.scaled = beside_.scaled = reinterpret_cast<ScaledGradients*>(behind_ticket);
  set_gradient_scale(1);
}

void Context::queued(cudaError_t status, const std::string& what) {
  last_queued_ = what;
  if (status == cudaSuccess && waits_for_each()) status = cudaStreamSynchronize(stream());
  check(status, what);
}

void Context::check_gpu(const std::string& what) const {
  const cudaError_t status = cudaStreamQuery(launch_.stream);
  if (is_of_queued_work(status)) check(status, what);
}

void Context::synchronise() {
  enter();
  waited(cudaStreamSynchronize(stream()));
}

void Context::waited(cudaError_t status) const {
  if (status != cudaSuccess) check(status, "the GPU's work up to " + last_queued_);
}

double Context::gradient_scale() {
  ScaledGradients scaled;
  if (launch_.scaled == nullptr) return scaled.scale;
  enter();
  check(cudaMemcpyAsync(&scaled, launch_.scaled, sizeof scaled, cudaMemcpyDeviceToHost, stream()),
        "cudaMemcpy");
  synchronise();
  return scaled.scale;
}

void Context::set_gradient_scale(double scale) {
  if (launch_.scaled == nullptr) return;
  join();
  enter();
  check(fill(launch_, &launch_.scaled->scale, Storage::kFloat32, scale, 1), "fill");
  check(fill(launch_, &launch_.scaled->peak, Storage::kFloat32, 0, 1), "fill");
}

}  // namespace impasto::cuda
