#pragma once
// One backend held against the reference backend, operation by operation.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/selftest/op_cases.h"

namespace impasto {

/// How two sets of values differ. Errors are divided by the root mean square of the expected values (by 1 if
/// they are all 0); a value that is not finite counts as an infinite error. Where NaN is expected anything is
/// right: the contract leaves the value open.
struct ErrorDistribution {
  std::size_t count = 0, worst = 0;  ///< number of values, index of the largest error
  double actual = 0, expected = 0;   ///< at the worst index
  double mean = 0, percentile99 = 0, max = 0;
};
[[nodiscard]] ErrorDistribution compare(std::span<const double> actual, std::span<const double> expected);
/// "max 1.2e-6 at 17 (found 3.5, expected 3.4), 99 % 4e-7, mean 1e-7, of 640 values"
[[nodiscard]] std::string to_string(const ErrorDistribution& errors);

struct SelftestRow {
  std::string operation, name;
  double max_error = 0, percentile99_error = 0;  ///< of the worst output, relative to its root mean square
  double bound = 0;                              ///< of max_error
  bool ok = false;
  std::string problem;  ///< if not ok: one line for people, with the worst value
};

/// One case on one device: the numbers against the reference, sentinels, and the same bits when repeated.
[[nodiscard]] SelftestRow run_selftest_case(const OpCase& op_case, Backend& device, bool shifted = false);
/// Every case of make_op_cases().
[[nodiscard]] std::vector<SelftestRow> run_selftest(Backend& device);

}  // namespace impasto
