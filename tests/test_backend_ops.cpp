// Every primitive on every device, on the cases that `selftest` and the benchmarks use as well.
#include <cstring>

#include "engine/selftest/op_cases.h"
#include "engine/selftest/selftest.h"
#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/test_device.h"

using namespace impasto;

namespace {

constexpr std::uint64_t kSeed = 7;

/// The operations of kernels/ops.h.
const std::vector<std::string> kOperations = {"conv2d_forward",
                                              "conv2d_backward_data",
                                              "picture_to_input",
                                              "input_to_picture",
                                              "relu_forward",
                                              "relu_backward",
                                              "pool_forward",
                                              "pool_backward",
                                              "gram",
                                              "gram_backward",
                                              "gram_loss",
                                              "style_loss",
                                              "squared_error",
                                              "total_variation",
                                              "momentum_step",
                                              "adam_step",
                                              "clamp",
                                              "average_channels",
                                              "add_scaled",
                                              "dot",
                                              "lincomb",
                                              "lincomb_step",
                                              "halve",
                                              "halve_transposed_add",
                                              "lbfgs_push",
                                              "lbfgs_dots",
                                              "lbfgs_direction",
                                              "lbfgs_pair_dots",
                                              "lbfgs_condition",
                                              "lbfgs_decide",
                                              "descent_decide",
                                              "weighted_sum"};

void require_rows_ok(Backend& device, const std::string& operation, bool shifted) {
  int num_cases = 0;
  for (const OpCase& op_case : make_op_cases()) {
    if (op_case.operation != operation) continue;
    ++num_cases;
    const SelftestRow row = run_selftest_case(op_case, device, shifted);
    INFO(device.info().name << ": " << row.operation << " " << row.name << ": " << row.problem);
    CHECK(row.ok);
  }
  REQUIRE(num_cases > 0);
}

}  // namespace

TEST_CASE("every primitive agrees with the reference, stays inside its outputs and repeats bit for bit") {
  const std::string device = GENERATE(from_range(test::op_devices()));
  const std::string operation = GENERATE(from_range(kOperations));
  test::TestDevice backend(device);
  require_rows_ok(*backend, operation, false);
}

TEST_CASE("every primitive works on views that start inside a tensor") {
  const std::string device = GENERATE(from_range(test::op_devices()));
  const std::string operation = GENERATE(from_range(kOperations));
  test::TestDevice backend(device);
  require_rows_ok(*backend, operation, true);
}

TEST_CASE("every primitive gives the same bits with 1, 2 and 3 threads") {
  test::TestDevice one("cpu", 1), two("cpu", 2), three("cpu", 3);
  for (const OpCase& op_case : make_op_cases()) {
    OpBench bench(*one, kSeed);
    const auto call = op_case.prepare(bench);
    const auto expected = bench.run(call).outputs;
    for (test::TestDevice* other : {&two, &three}) {
      OpBench other_bench(**other, kSeed);
      const auto other_call = op_case.prepare(other_bench);
      const auto found = other_bench.run(other_call).outputs;
      INFO(op_case.operation << " " << op_case.name << ", " << (other == &two ? 2 : 3) << " threads");
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        INFO(found[i].name << ": " << to_string(compare(found[i].values, expected[i].values)));
        CHECK((found[i].values.empty() || std::memcmp(found[i].values.data(), expected[i].values.data(),
                                                      found[i].values.size() * sizeof(double)) == 0));
      }
    }
  }
}

TEST_CASE("gram is symmetric to the last bit") {
  test::TestDevice device(GENERATE(from_range(test::op_devices())));
  for (const OpCase& op_case : make_op_cases()) {
    if (op_case.operation != "gram") continue;
    OpBench bench(*device, kSeed);
    const auto call = op_case.prepare(bench);
    const OpBench::Output g = bench.run(call).outputs.at(0);
    const auto c = static_cast<std::size_t>(g.shape.c);
    INFO(device->info().name << ": " << op_case.name);
    bool symmetric = true;
    for (std::size_t i = 0; i < c * c; ++i) symmetric &= g.values[i] == g.values[i % c * c + i / c];
    CHECK(symmetric);
  }
}

TEST_CASE("the self-test has a case for every operation and a bound that is below a thousandth") {
  for (const std::string& operation : kOperations) {
    INFO(operation);
    CHECK_NOTHROW([&] {
      for (const OpCase& op_case : make_op_cases()) {
        if (op_case.operation == operation) return;
      }
      throw std::runtime_error("no case");
    }());
  }
  for (const OpCase& op_case : make_op_cases()) {
    INFO(op_case.operation);
    CHECK(std::count(kOperations.begin(), kOperations.end(), op_case.operation) == 1);
    CHECK(op_case.bound_fp32 < 1e-3);
  }
}

TEST_CASE("the bench sees writes beside an output, writes to an input and values left unwritten") {
  test::TestDevice device("reference");
  OpBench bench(*device, kSeed);
  const TensorView y = bench.output("y", Role::kActivation, {1, 2, 3});
  const ConstTensorView x = bench.input("x", Role::kActivation, {1, 2, 3}, Values::kNormal);
  const auto good = [&] { device->copy(y, x); };
  CHECK(bench.run(good).problem.empty());
  CHECK_THAT(bench.run([&] { good(), y.as<double>()[6] = 1; }).problem,
             ContainsSubstring("y: memory beside"));
  CHECK_THAT(bench.run([&] { good(), y.as<double>()[-1] = 1; }).problem,
             ContainsSubstring("y: memory beside"));
  const auto write_x = [&] { good(), const_cast<double*>(x.as<double>())[2] += 1; };
  CHECK_THAT(bench.run(write_x).problem, ContainsSubstring("x: an input was written"));
  CHECK(std::isnan(bench.run([] {}).outputs.at(0).values.at(3)));
}

TEST_CASE("the error distribution names the worst value, and counts what is not finite as infinite") {
  const std::vector<double> expected = {3, 4, 0, 0};  // root mean square 2.5
  const ErrorDistribution errors = compare(std::vector<double>{3, 4.5, 0, 0.25}, expected);
  CHECK(errors.worst == 1);
  CHECK(errors.max == Approx(0.2));
  CHECK(errors.mean == Approx(0.075));
  CHECK(errors.percentile99 == Approx(0.1));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isinf(compare(std::vector<double>{3, nan, 0, 0}, expected).max));
  CHECK(std::isinf(compare(std::vector<double>{3}, expected).max));
}
