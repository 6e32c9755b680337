// Loaded by NVTX (NVTX_INJECTION64_PATH) as a profiler would be: the file that IMPASTO_NVTX_RANGES names
// has a line for each range that was opened, indented by those that it is in, and at the end how many are
// open.
#include <nvtx3/nvToolsExt.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>

namespace {

struct Ranges {
  std::mutex mutex;
  std::ofstream file{std::getenv("IMPASTO_NVTX_RANGES")};
  int open = 0;
  ~Ranges() { file << "open: " << open << '\n'; }
};

Ranges& ranges() {
  static Ranges all;
  return all;
}
thread_local int depth = 0;

int push(const char* name) {
  const std::scoped_lock lock(ranges().mutex);
  ranges().file << std::string(static_cast<std::size_t>(2 * depth), ' ') << name << '\n';
  ++ranges().open;
  return depth++;
}

int pop() {
  const std::scoped_lock lock(ranges().mutex);
  --ranges().open;
  return --depth;
}

}  // namespace

extern "C" int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_export_table);
extern "C" int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_export_table) {
  const auto* const callbacks =
      static_cast<const NvtxExportTableCallbacks*>(get_export_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (callbacks == nullptr || callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size) == 0)
    return 0;
  *table[NVTX_CBID_CORE_RangePushA] = reinterpret_cast<NvtxFunctionPointer>(push);
  *table[NVTX_CBID_CORE_RangePop] = reinterpret_cast<NvtxFunctionPointer>(pop);
  return 1;
}
