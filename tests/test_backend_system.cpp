// Cores and memory that the machine lets a process use, from invented /proc and /sys trees.
#include <cmath>
#include <fstream>

#include "engine/backend/cuda_places.h"
#include "engine/backend/system.h"
#include "tests/support/catch.h"

namespace fs = std::filesystem;
using namespace impasto;

namespace {

class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (fs::temp_directory_path() / "impasto-root-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~FakeRoot() { fs::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;
  void write(const fs::path& file, const std::string& text) const {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("without cgroups nothing is limited") {
  const FakeRoot root;
  CHECK(std::isinf(system::cgroup_cpu_quota(root.path())));
  CHECK(system::cgroup_free_memory(root.path()) == system::kUnlimited);
  CHECK(system::available_memory(root.path()) == system::kUnlimited);
}

TEST_CASE("MemAvailable is read in kibibytes") {
  const FakeRoot root;
  root.write("proc/meminfo", "MemTotal:  8000 kB\nMemFree:  10 kB\nMemAvailable:    6000 kB\n");
  CHECK(system::available_memory(root.path()) == 6000 * 1024);
}

TEST_CASE("the tightest limit of a version 2 group and those above it counts") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/user/work\n");
  root.write("sys/fs/cgroup/user/work/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/user/cpu.max", "150000 100000\n");
  root.write("sys/fs/cgroup/user/work/memory.max", "max\n");
  root.write("sys/fs/cgroup/user/work/memory.current", "100\n");
  root.write("sys/fs/cgroup/user/memory.max", "5000\n");
  root.write("sys/fs/cgroup/user/memory.current", "4000\n");
  root.write("sys/fs/cgroup/user/memory.stat", "anon 3000\ninactive_file 300\n");
  CHECK(system::cgroup_cpu_quota(root.path()) == 1.5);
  CHECK(system::cgroup_free_memory(root.path()) == 1300);
}

TEST_CASE("a group whose path is the host's falls back to the root of the mount") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/../../outside/of/here\n");
  root.write("sys/fs/cgroup/cpu.max", "300000 100000\n");
  root.write("sys/fs/cgroup/memory.max", "1000\n");
  root.write("sys/fs/cgroup/memory.current", "2000\n");
  CHECK(system::cgroup_cpu_quota(root.path()) == 3);
  CHECK(system::cgroup_free_memory(root.path()) == 0);
}

TEST_CASE("version 1 groups are read, where -1 and a huge number mean no limit") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/a\n1:name=systemd:/b\n");
  root.write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
  root.write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9000\n");
  root.write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "8000\n");
  root.write("sys/fs/cgroup/memory/a/memory.stat", "cache 5\ntotal_inactive_file 500\n");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "80\n");
  CHECK(system::cgroup_cpu_quota(root.path()) == 0.5);
  CHECK(system::cgroup_free_memory(root.path()) == 1500);
}

TEST_CASE("this process may use a core and some memory") {
  CHECK(usable_cores() >= 1);
  CHECK(usable_memory_bytes() > 0);
  CHECK(usable_memory_bytes() < system::kUnlimited);
}

TEST_CASE("the most memory that the process has held is read in kibibytes") {
  const FakeRoot root;
  CHECK(system::peak_memory(root.path()) == 0);
  root.write("proc/self/status", "Name:\timpasto\nVmPeak:\t  900 kB\nVmHWM:\t  700 kB\nVmRSS:\t  600 kB\n");
  CHECK(system::peak_memory(root.path()) == 700 * 1024);
  CHECK(peak_memory_bytes() > (1 << 20));
}

TEST_CASE("a GPU that seems to be there is seen by its driver's files") {
  for (const char* file :
       {"proc/driver/nvidia/gpus/0000:65:00.0/information", "dev/nvidia0", "dev/nvidia3", "dev/dxg"}) {
    const FakeRoot root;
    CHECK_FALSE(system::has_nvidia_gpu(root.path()));
    fs::create_directories(root.path() / "proc/driver/nvidia/gpus");  // a driver without a GPU
    root.write("dev/nvidiactl", "");
    CHECK_FALSE(system::has_nvidia_gpu(root.path()));
    root.write(file, "");
    if (std::string(file) == "dev/dxg") {  // Windows' GPU of any make, until NVIDIA's library is there
      CHECK_FALSE(system::has_nvidia_gpu(root.path()));
      root.write("usr/lib/wsl/lib/libcuda.so.1", "");
    }
    CHECK(system::has_nvidia_gpu(root.path()));
  }
}

TEST_CASE("auto says why it takes the CPU where a GPU is there, and nothing where none is or it is hidden") {
  const FakeRoot without, with;
  with.write("dev/nvidia0", "");
  const std::string reason = "this build has no CUDA module";
  const std::string said =
      "device auto: expected to use the GPU, but " + reason + "; the CPU is used instead";
  CHECK(system::note_on_gpu({reason, false, nullptr}, with.path()) == said);
  CHECK(system::note_on_gpu({reason, false, "0,1"}, with.path()) == said);
  for (const char* hidden : {"", "-1"})
    CHECK(system::note_on_gpu({reason, false, hidden}, with.path()).empty());
  CHECK(system::note_on_gpu({reason, false, nullptr}, without.path()).empty());
  CHECK(system::note_on_gpu({"device 'cuda:0': expected a usable GPU, but it is old", true, nullptr},
                            without.path()) ==
        "device 'cuda:0': expected a usable GPU, but it is old; the CPU is used instead");
  CHECK(system::note_on_gpu({}, with.path()).empty());
}

TEST_CASE("CUDA's libraries are looked for where the module looks, then in conda's and pip's folders") {
  const FakeRoot root;
  const std::string name = "libcudart.so.13";
  CudaPlaces places{.library_path = "",
                    .module_folders = {root.path() / "built/lib", root.path() / "installed"},
                    .conda_prefix = root.path() / "conda",
                    .virtual_env = root.path() / "venv",
                    .root = root.path()};
  CHECK(places_of(name, places) == std::vector<std::string>{name});
  const auto file = [&](const std::string& folder) {
    root.write(folder + "/" + name, "");
    return (root.path() / folder / name).string();
  };
  const std::string runfile = file("usr/local/cuda/lib64");
  const std::string in_package = file("venv/lib/python3.12/site-packages/nvidia/cuda_runtime/lib");
  const std::string in_cu13 = file("venv/lib/python3.12/site-packages/nvidia/cu13/lib"),
                    conda = file("conda/lib");
  const std::string beside = file("installed"), built = file("built/lib");
  CHECK(places_of(name, places) ==
        std::vector<std::string>{built, beside, name, conda, in_cu13, in_package, runfile});
  CHECK(places_of("libcudnn.so.9", places) == std::vector<std::string>{"libcudnn.so.9"});
  // What LD_LIBRARY_PATH holds comes first; folders that hang on the current one do not count.
  file("given");
  places.library_path =
      "::relative:" + (root.path() / "none").string() + ":" + (root.path() / "given").string();
  CHECK(places_of(name, places).front() == name);
  places.library_path = ":.:relative";
  CHECK(places_of(name, places).front() == built);
}
