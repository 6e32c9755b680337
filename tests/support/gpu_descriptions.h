#pragma once
// Descriptions of GPUs in cuDNN's own JSON form, with which it chooses engines and builds plans on a machine
// without any. The numbers are from public specifications.
#include <array>
#include <cstdint>
#include <string>

namespace impasto::test {

struct GpuDescription {
  const char* name;
  int compute_capability;  ///< 100 * major + 10 * minor
  int num_sms;
  int shared_bytes_per_block;  ///< the most that a kernel can ask for
  int threads_per_sm;
  int blocks_per_sm;
  std::int64_t memory_bytes, l2_bytes;
  int sm_khz, memory_khz;
  [[nodiscard]] bool has_bf16_and_tf32() const { return compute_capability >= 800; }
};

inline constexpr std::array<GpuDescription, 9> kGpus{{
    {"Tesla T4", 750, 40, 65536, 1024, 16, 15'800'000'000, 4 << 20, 1'590'000, 5'001'000},
    {"NVIDIA A100-SXM4-80GB", 800, 108, 166912, 2048, 32, 85'000'000'000, 40 << 20, 1'410'000, 1'593'000},
    {"NVIDIA GeForce RTX 4090", 890, 128, 101376, 1536, 24, 25'300'000'000, 72 << 20, 2'520'000, 10'501'000},
    {"NVIDIA H100 80GB HBM3", 900, 132, 232448, 2048, 32, 85'017'493'504, 50 << 20, 1'980'000, 2'619'000},
    {"NVIDIA B200", 1000, 148, 232448, 2048, 32, 191'000'000'000, 132'644'864, 1'965'000, 3'996'000},
    {"NVIDIA GeForce RTX 3090", 860, 82, 101376, 1536, 16, 25'300'000'000, 6 << 20, 1'695'000, 9'751'000},
    {"NVIDIA L4", 890, 58, 101376, 1536, 24, 23'600'000'000, 48 << 20, 2'040'000, 6'251'000},
    {"NVIDIA B300", 1030, 148, 232448, 2048, 32, 288'000'000'000, 132'644'864, 1'920'000, 3'996'000},
    {"NVIDIA GeForce RTX 5090", 1200, 170, 101376, 1536, 24, 33'600'000'000, 96 << 20, 2'407'000, 14'001'000},
}};

/// cuDNN wants every one of these keys.
inline std::string cudnn_json(const GpuDescription& gpu) {
  const auto field = [](const char* key, auto value) {
    return std::string(",\"") + key + "\":" + std::to_string(value);
  };
  return "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64]" +
         field("regsPerBlock", 65536) + field("multiProcessorCount", gpu.num_sms) + field("warpSize", 32) +
         field("maxSharedMemoryPerBlock", 49152) +
         field("maxSharedMemoryPerBlockOptin", gpu.shared_bytes_per_block) +
         field("reservedSharedMemoryPerBlock", gpu.compute_capability >= 800 ? 1024 : 0) +
         field("maxRegistersPerSM", 65536) + field("maxCtasPerSM", gpu.blocks_per_sm) +
         field("maxThreadsPerBlock", 1024) + field("maxThreadsPerSM", gpu.threads_per_sm) +
         field("pciDeviceId", 0) + field("isTccDriver", 0) + field("supportCoopLaunch", 1) +
         field("totalGlobalMem", gpu.memory_bytes) + field("smClockRateKHz", gpu.sm_khz) +
         field("memClockRateKHz", gpu.memory_khz) + field("l2CacheSize", gpu.l2_bytes) +
         field("cudaDeviceId", 0) + field("deviceVer", gpu.compute_capability) + field("driverVer", 13000) +
         ",\"deviceName\":\"" + gpu.name + "\"}";
}

}  // namespace impasto::test
