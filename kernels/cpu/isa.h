#pragma once
// Which compilations of the kernels this machine can run.
#include <string_view>
#include <vector>

#include "kernels/cpu/kernels.h"

namespace impasto::cpu {

/// The kernels for the instruction sets that this machine and its operating system offer, narrowest first;
/// never empty, the first is the portable baseline.
[[nodiscard]] std::vector<const Kernels*> available_kernels();
/// By name (baseline, avx2, avx512) among the available ones; null if there is none.
[[nodiscard]] const Kernels* find_kernels(std::string_view name);

}  // namespace impasto::cpu
