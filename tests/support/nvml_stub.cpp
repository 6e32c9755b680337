// NVML for tests, preloaded: GPUs have the free memory that IMPASTO_NVML_FREE names, "10,20", in the order in
// which they are asked for.
#include <cstdlib>
#include <sstream>
#include <string>

extern "C" {

int nvmlInit_v2() { return 0; }

int nvmlDeviceGetHandleByPciBusId_v2(const char* place, void** handle) {
  static int asked = 0;
  *handle = reinterpret_cast<void*>(static_cast<long>(asked++));
  return *place != '\0' ? 0 : 2;
}

int nvmlDeviceGetMemoryInfo(void* handle, unsigned long long* total_free_used) {
  const char* const given = std::getenv("IMPASTO_NVML_FREE");
  std::istringstream numbers(given != nullptr ? given : "");
  std::string number;
  for (long i = 0; i <= reinterpret_cast<long>(handle); ++i) std::getline(numbers, number, ',');
  total_free_used[1] = std::strtoull(number.c_str(), nullptr, 10);
  return number.empty() ? 3 : 0;
}
}
