#include "engine/selftest/selftest.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "engine/backend/reference/reference_backend.h"

namespace impasto {
namespace {

// Any fixed number: failures are repeated with the same operands.
constexpr std::uint64_t kSeed = 20160627;

/// What tensor cores read, and what is stored in 16 bits,
/// is rounded once more; everything else is as in float32.
double bound_for(const OpCase& op_case, const BackendTraits& traits) {
  switch (traits.precision) {
    case Precision::kFp64: return 1e-12;
    case Precision::kExact: return op_case.bound_exact;
    case Precision::kTf32:
    case Precision::kFp16: return op_case.bound_fp32 + 8 * 0x1p-11;
    case Precision::kBf16: return op_case.bound_fp32 + 8 * 0x1p-8;
    default: return op_case.bound_fp32;
  }
}

bool same_bits(const std::vector<OpBench::Output>& a, const std::vector<OpBench::Output>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& left, const auto& right) {
    return left.values.size() == right.values.size() &&
           (left.values.empty() ||
            std::memcmp(left.values.data(), right.values.data(), left.values.size() * sizeof(double)) == 0);
  });
}

}  // namespace

ErrorDistribution compare(std::span<const double> actual, std::span<const double> expected) {
  ErrorDistribution result;
  result.count = expected.size();
  if (expected.empty()) return result;
  double squares = 0;
  for (const double value : expected) squares += std::isnan(value) ? 0 : value * value;
  const double rms = std::sqrt(squares / static_cast<double>(expected.size()));
  std::vector<double> errors;
  errors.reserve(expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double found = i < actual.size() ? actual[i] : std::numeric_limits<double>::quiet_NaN();
    const double error = std::isnan(expected[i]) ? 0 : std::abs(found - expected[i]) / (rms > 0 ? rms : 1);
    errors.push_back(std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
    result.mean += errors.back() / static_cast<double>(expected.size());
  }
  result.worst = static_cast<std::size_t>(std::max_element(errors.begin(), errors.end()) - errors.begin());
  result.actual =
      result.worst < actual.size() ? actual[result.worst] : std::numeric_limits<double>::quiet_NaN();
  result.expected = expected[result.worst];
  result.max = errors[result.worst];
  const auto rank = errors.begin() + static_cast<std::ptrdiff_t>((errors.size() - 1) * 99 / 100);
  std::nth_element(errors.begin(), rank, errors.end());
  result.percentile99 = *rank;
  return result;
}

std::string to_string(const ErrorDistribution& errors) {
  char text[256];
  std::snprintf(text, sizeof text,
                "max %.3g at %zu (found %.9g, expected %.9g), 99 %% %.3g, mean %.3g, of %zu values",
                errors.max, errors.worst, errors.actual, errors.expected, errors.percentile99, errors.mean,
                errors.count);
  return text;
}

SelftestRow run_selftest_case(const OpCase& op_case, Backend& device, bool shifted) {
  SelftestRow row;
  row.operation = op_case.operation;
  row.name = op_case.name;
  row.bound = bound_for(op_case, device.traits());

  OpBench bench(device, kSeed, shifted);
  const std::function<void()> call = op_case.prepare(bench);
  const OpBench::Result found = bench.run(call);
  row.problem = found.problem;
  if (!same_bits(found.outputs, bench.run(call).outputs)) row.problem = "not the same bits when repeated";

  const std::unique_ptr<Backend> reference = make_reference_backend();
  OpBench oracle(*reference, kSeed, false, &bench);
  const std::function<void()> oracle_call = op_case.prepare(oracle);
  const OpBench::Result expected = oracle.run(oracle_call);
  for (std::size_t i = 0; i < expected.outputs.size(); ++i) {
    // Only what the L-BFGS state keeps of slots not in use is open.
    const std::vector<double>& values = expected.outputs[i].values;
    if (op_case.operation != "lbfgs_direction" &&
        std::any_of(values.begin(), values.end(), [](double value) { return std::isnan(value); })) {
      row.problem = expected.outputs[i].name + ": the reference left values unwritten";
    }
    const ErrorDistribution errors = compare(found.outputs.at(i).values, expected.outputs[i].values);
    if (errors.max > (expected.outputs[i].exact ? 0 : row.bound) && row.problem.empty()) {
      row.problem = expected.outputs[i].name + " " + to_string(expected.outputs[i].shape) + ": " +
                    to_string(errors) + ", seed " + std::to_string(kSeed);
    }
    row.max_error = std::max(row.max_error, errors.max);
    row.percentile99_error = std::max(row.percentile99_error, errors.percentile99);
  }
  row.ok = row.problem.empty();
  return row;
}

std::vector<SelftestRow> run_selftest(Backend& device) {
  std::vector<SelftestRow> rows;
  for (const OpCase& op_case : make_op_cases()) rows.push_back(run_selftest_case(op_case, device));
  return rows;
}

}  // namespace impasto
