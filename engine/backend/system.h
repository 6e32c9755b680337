#pragma once
// What the machine lets this process use.
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>

namespace impasto {

/// Cores that this process may use: affinity mask and cgroup quota, at least 1.
[[nodiscard]] int usable_cores();
/// Memory that this process may still take: free memory and cgroup limit.
[[nodiscard]] std::int64_t usable_memory_bytes();
/// The most main memory that this process has held so far; 0 where the system does not say.
[[nodiscard]] std::int64_t peak_memory_bytes();

}  // namespace impasto

// Read from /proc and the cgroup file systems below `root` ("/" outside of tests).
namespace impasto::system {

inline constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

/// Processors that the cgroup's quota pays for (1.5 for 150 ms in 100 ms); infinity without a quota. The
/// tightest of the group and those above it, cgroup version 1 or 2.
[[nodiscard]] double cgroup_cpu_quota(const std::filesystem::path& root);
/// Bytes left below the cgroup's memory limit, page cache
/// that can be dropped included; kUnlimited without one.
[[nodiscard]] std::int64_t cgroup_free_memory(const std::filesystem::path& root);
/// MemAvailable; kUnlimited if it cannot be read.
[[nodiscard]] std::int64_t available_memory(const std::filesystem::path& root);

/// VmHWM of this process; 0 if it cannot be read.
[[nodiscard]] std::int64_t peak_memory(const std::filesystem::path& root);

/// Does an NVIDIA GPU with its driver seem to be there? Asked of the driver's files, so that a program
/// without any CUDA library can tell.
[[nodiscard]] bool has_nvidia_gpu(const std::filesystem::path& root);

/// How the look for a GPU ended that `--device auto` begins with.
struct GpuSearch {
  std::string reason;                     ///< why none could be opened; names each GPU that was found
  bool found = false;                     ///< the CUDA runtime knows of one
  const char* visible_devices = nullptr;  ///< CUDA_VISIBLE_DEVICES
};
/// What `auto` says when it takes the CPU instead: empty where there is no GPU, or where the user hid it.
[[nodiscard]] std::string note_on_gpu(const GpuSearch& search, const std::filesystem::path& root);

}  // namespace impasto::system
