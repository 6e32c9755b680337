// libcudart.so for tests: cudaGetDeviceCount returns what IMPASTO_CUDART_STATUS says.
#include <cstdlib>

extern "C" {

__attribute__((visibility("default"))) int cudaGetDeviceCount(int*) {
  const char* const status = std::getenv("IMPASTO_CUDART_STATUS");
  return status != nullptr ? std::atoi(status) : 0;
}

__attribute__((visibility("default"))) const char* cudaGetErrorName(int) { return "cudaErrorOfTheTest"; }
}
