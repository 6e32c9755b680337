// What a profiler's timeline shows of a render. Needs no profiler: NVTX loads a library in its place.
#include <algorithm>

#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto::testing;

TEST_CASE("a profiler sees a render's scales, iterations, steps and operations, one in another") {
  const CliFolder folder;
  ProcessOptions options = folder.options();
  options.environment.emplace_back("NVTX_INJECTION64_PATH", IMPASTO_NVTX_RANGES_LIBRARY);
  options.environment.emplace_back("IMPASTO_NVTX_RANGES", (folder / "ranges").string());
  const ProcessResult result = run_process(
      CliFolder::command({"render", "content.png", "style.png", "-o", "x.png", "--weights", "random:1",
                          "--size", "32", "--scales", "1", "--iterations", "2", "--device", "cpu"}),
      options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto lines = lines_of(folder.read("ranges"));
  REQUIRE_FALSE(lines.empty());
  CHECK(lines.back() == "open: 0");
  const auto first = std::ranges::find(lines, "iteration 1");
  const auto next = std::ranges::find(lines, "iteration 2");
  CHECK(std::ranges::find(lines, "scale 1: targets") < first);
  REQUIRE(first < next);
  for (const char* const inside : {"  objective", "    conv1_1 forward", "      conv2d_forward",
                                   "    conv1_2 backward", "      conv2d_backward_data", "  lbfgs_dots"}) {
    INFO(inside);
    CHECK(std::count(first, next, std::string(inside)) >= 1);
  }
}
