#include "engine/backend/cuda/context.h"

#include "engine/backend/cuda/cudnn_graph.h"
#include "engine/core/error.h"

namespace impasto::cuda {
namespace {

Storage stored_as(Precision precision) {
  switch (precision) {
    case Precision::kBf16: return Storage::kBFloat16;
    case Precision::kFp16: return Storage::kFloat16;
    default: return Storage::kFloat32;
  }
}

}  // namespace

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // what can be forgotten is forgotten, so that the next call tells of itself
  throw Error(status == cudaErrorMemoryAllocation ? ErrorCode::kResources : ErrorCode::kInternal,
              std::string("cuda: expected ") + what + " to succeed, found " + cudaGetErrorName(status) +
                  " (" + cudaGetErrorString(status) + ")");
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::kResources : ErrorCode::kInternal,
              std::string("cublas: expected ") + what + " to succeed, found " + cublasGetStatusName(status));
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
          properties.totalGlobalMem,
          properties.name};
}

std::size_t Context::cublas_bytes(const DeviceProperties& properties) {
  return (properties.major >= 9 ? std::size_t{32} : std::size_t{8}) << 20;  // what NVIDIA recommends
}

Context::Context(const DeviceProperties& device, Precision chosen)
    : properties(device), precision(chosen), storage(stored_as(chosen)) {
  enter();
  launch_.num_sms = properties.num_sms;
  check(cudaStreamCreateWithFlags(&launch_.stream, cudaStreamNonBlocking), "cudaStreamCreate");
  stream_.reset(launch_.stream);
  cublasHandle_t cublas = nullptr;
  check(cublasCreate(&cublas), "cublasCreate");
  cublas_.reset(cublas);
  check(cublasSetStream(cublas, launch_.stream), "cublasSetStream");
  // fp32 means fp32; tensor cores by the compute type of each call.
  check(cublasSetMathMode(cublas, CUBLAS_DEFAULT_MATH), "cublasSetMathMode");
  cudnnHandle_t cudnn = nullptr;
  check_cudnn(cudnnCreate(&cudnn), "cudnnCreate");
  cudnn_.reset(cudnn);
  check_cudnn(cudnnSetStream(cudnn, launch_.stream), "cudnnSetStream");
}

Context::~Context() {
  (void)cudaSetDevice(properties.index);
  (void)cudaStreamSynchronize(launch_.stream);
}

void Context::give_memory(void* memory) {
  enter();
  auto* next = static_cast<std::byte*>(memory);
  // With a workspace of its own cuBLAS neither allocates nor
  // shares one, so that products can be captured and repeat.
  check(cublasSetWorkspace(cublas(), next, cublas_bytes(properties)), "cublasSetWorkspace");
  next += cublas_bytes(properties);
  launch_.partials = reinterpret_cast<double*>(next);
  next += static_cast<std::size_t>(kNumPartials) * sizeof(double);
  launch_.ticket = reinterpret_cast<unsigned*>(next);
  check(cudaMemsetAsync(next, 0, 256, launch_.stream), "cudaMemset");
  if (storage == Storage::kFloat16) launch_.peak = reinterpret_cast<float*>(next + 128);
}

void Context::synchronise() const {
  enter();
  check(cudaStreamSynchronize(launch_.stream), "the GPU's work");
}

double Context::take_peak() {
  if (launch_.peak == nullptr) return 0;
  enter();
  float peak = 0;
  check(cudaMemcpyAsync(&peak, launch_.peak, sizeof peak, cudaMemcpyDeviceToHost, launch_.stream),
        "cudaMemcpy");
  check(cudaMemsetAsync(launch_.peak, 0, sizeof peak, launch_.stream), "cudaMemset");
  synchronise();
  return peak;
}

}  // namespace impasto::cuda
