#pragma once
// Comparison of values with their distribution of errors in the message.
#include <span>
#include <vector>

#include "engine/selftest/selftest.h"
#include "tests/support/catch.h"

namespace impasto::test {

/// Largest error relative to the root mean square of `expected` (as it is, if that is 0) at most `bound`.
inline void require_close(std::span<const double> actual, std::span<const double> expected, double bound) {
  REQUIRE(actual.size() == expected.size());
  const ErrorDistribution errors = compare(actual, expected);
  INFO(to_string(errors) << ", bound " << bound);
  REQUIRE(errors.max <= bound);
}
inline void require_close(double actual, double expected, double bound) {
  require_close(std::span<const double>(&actual, 1), std::span<const double>(&expected, 1), bound);
}

}  // namespace impasto::test
