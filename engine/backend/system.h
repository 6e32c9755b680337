#pragma once
// What the machine lets this process use, read from /proc and the cgroup file systems below `root` ("/"
// outside of tests).
#include <cstdint>
#include <filesystem>
#include <limits>

namespace impasto::system {

inline constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

/// Processors that the cgroup's quota pays for (1.5 for 150 ms in 100 ms); infinity without a quota. The
/// tightest of the group and those above it, cgroup version 1 or 2.
[[nodiscard]] double cgroup_cpu_quota(const std::filesystem::path& root);
/// Bytes left below the cgroup's memory limit, page cache that can be dropped included; kUnlimited without
/// one.
[[nodiscard]] std::int64_t cgroup_free_memory(const std::filesystem::path& root);
/// MemAvailable; kUnlimited if it cannot be read.
[[nodiscard]] std::int64_t available_memory(const std::filesystem::path& root);

}  // namespace impasto::system
