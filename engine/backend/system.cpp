#include "engine/backend/system.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace impasto {
namespace system {
namespace {

namespace fs = std::filesystem;

struct Group {
  fs::path folder;
  bool version2 = false;
};

/// The folders that limit this process for a controller ("cpu" or "memory"), from its own group up to the
/// root of the mount. Inside a container the path in /proc may be the host's and not exist here: then the
/// root of the mount, which always is in the list, is the container's group.
std::vector<Group> groups(const fs::path& root, const std::string& controller) {
  std::vector<Group> result;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // ID:CONTROLLER,CONTROLLER:PATH
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool version2 = controllers.empty();
    if (!version2 && ("," + controllers + ",").find("," + controller + ",") == std::string::npos) continue;
    const fs::path mount = root / "sys/fs/cgroup" / (version2 ? "" : controller);
    fs::path path = fs::path(line.substr(second + 1)).relative_path().lexically_normal();
    for (; !path.empty() && path != "."; path = path.parent_path())
      result.push_back({mount / path, version2});
    result.push_back({mount, version2});
  }
  return result;
}

/// The number a file holds; nothing if it cannot be read or says "max".
std::optional<double> read_number(const fs::path& path) {
  std::ifstream file(path);
  double value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// "KEY VALUE" or "KEY: VALUE" lines.
std::optional<double> read_entry(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    double value = 0;
    if (words >> name >> value && name == key) return value;
  }
  return std::nullopt;
}

}  // namespace

double cgroup_cpu_quota(const fs::path& root) {
  double quota = std::numeric_limits<double>::infinity();
  for (const Group& group : groups(root, "cpu")) {
    double used = -1, period = 0;
    if (group.version2) {
      std::ifstream file(group.folder / "cpu.max");  // "QUOTA PERIOD" or "max PERIOD"
      if (!(file >> used >> period)) continue;
    } else {
      used = read_number(group.folder / "cpu.cfs_quota_us").value_or(-1);  // -1: no limit
      period = read_number(group.folder / "cpu.cfs_period_us").value_or(0);
    }
    if (used > 0 && period > 0) quota = std::min(quota, used / period);
  }
  return quota;
}

std::int64_t cgroup_free_memory(const fs::path& root) {
  double free = static_cast<double>(kUnlimited);
  for (const Group& group : groups(root, "memory")) {
    const auto limit = read_number(group.folder / (group.version2 ? "memory.max" : "memory.limit_in_bytes"));
    const auto used =
        read_number(group.folder / (group.version2 ? "memory.current" : "memory.usage_in_bytes"));
    // Version 1 writes "no limit" as the largest whole number of pages.
    if (!limit || !used || *limit >= 0x1p62) continue;
    const double cache =
        read_entry(group.folder / "memory.stat", group.version2 ? "inactive_file" : "total_inactive_file")
            .value_or(0);
    free = std::min(free, std::max(0.0, *limit - *used + cache));
  }
  return free >= static_cast<double>(kUnlimited) ? kUnlimited : static_cast<std::int64_t>(free);
}

std::int64_t available_memory(const fs::path& root) {
  const auto kilobytes = read_entry(root / "proc/meminfo", "MemAvailable:");
  return kilobytes ? static_cast<std::int64_t>(*kilobytes) * 1024 : kUnlimited;
}

std::int64_t peak_memory(const fs::path& root) {
  return static_cast<std::int64_t>(read_entry(root / "proc/self/status", "VmHWM:").value_or(0)) * 1024;
}

bool has_nvidia_gpu(const fs::path& root) {
  std::error_code none;
  const fs::path gpus = root / "proc/driver/nvidia/gpus";  // one folder a GPU
  if (fs::is_directory(gpus, none) && !fs::is_empty(gpus, none)) return true;
  for (int i = 0; i < 16; ++i) {  // in a container, perhaps not the first
    if (fs::exists(root / ("dev/nvidia" + std::to_string(i)), none)) return true;
  }
  return fs::exists(root / "dev/dxg", none) && fs::exists(root / "usr/lib/wsl/lib/libcuda.so.1", none);
}

std::string note_on_gpu(const GpuSearch& search, const fs::path& root) {
  if (search.reason.empty()) return {};
  const std::string visible = search.visible_devices != nullptr ? search.visible_devices : "";
  const bool hidden = search.visible_devices != nullptr && (visible.empty() || visible.starts_with('-'));
  if (!search.found && (hidden || !has_nvidia_gpu(root))) return {};
  const std::string what = search.found ? "" : "device auto: expected to use the GPU, but ";
  return what + search.reason + "; the CPU is used instead";
}

}  // namespace system

std::int64_t peak_memory_bytes() { return system::peak_memory("/"); }

int usable_cores() {
  int cores = 1;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  const double quota = std::ceil(system::cgroup_cpu_quota("/"));
  return std::max(1, static_cast<int>(std::min<double>(cores, quota)));
}

std::int64_t usable_memory_bytes() {
  return std::min(system::available_memory("/"), system::cgroup_free_memory("/"));
}

}  // namespace impasto
