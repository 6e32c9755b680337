#pragma once
// The cases on which every primitive is compared, timed and differentiated: sizes that are odd, 1, or not a
// multiple of any vector, every padding, both accumulation modes. One list for tests, `selftest` and benches.
#include <functional>
#include <string>
#include <vector>

#include "engine/selftest/op_bench.h"

namespace impasto {

struct OpCase {
  std::string operation;  ///< as in kernels/ops.h
  std::string name;       ///< its sizes and modes
  /// Declares the operands and returns the call, which may be made many times while the bench lives.
  std::function<std::function<void()>(OpBench&)> prepare;
  /// Largest error of a float32 backend against the reference,
  /// relative to the root mean square of the output.
  double bound_fp32 = 0;
  double bound_exact = 0;  ///< the same where convolutions are direct sums
};

[[nodiscard]] std::vector<OpCase> make_op_cases();

}  // namespace impasto
