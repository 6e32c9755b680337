#include "engine/core/trace.h"

#ifdef IMPASTO_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace impasto {

#ifdef IMPASTO_NVTX
TraceRange::TraceRange(const char* name) { nvtxRangePushA(name); }
TraceRange::~TraceRange() { nvtxRangePop(); }
#else
TraceRange::TraceRange(const char* /*name*/) {}
TraceRange::~TraceRange() = default;
#endif

}  // namespace impasto
