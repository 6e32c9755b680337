// What the program says where the CUDA runtime is there and no GPU is to be had. Needs no GPU.
#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto::testing;

namespace {

/// Standard output of `impasto devices` with a CUDA runtime, found by LD_LIBRARY_PATH, of this status.
std::string devices_with(int status) {
  const CliFolder folder;
  ProcessOptions options = folder.options();
  options.environment.emplace_back("LD_LIBRARY_PATH", IMPASTO_CUDART_STUB_FOLDER);
  options.environment.emplace_back("IMPASTO_CUDART_STATUS", std::to_string(status));
  const ProcessResult result = run_process(CliFolder::command({"devices"}), options);
  INFO(result.err);
  CHECK(result.exit_code == 0);
  return result.out;
}

}  // namespace

TEST_CASE("the CUDA runtime's reason for having no GPU is said in words") {
  CHECK_THAT(devices_with(35),
             ContainsSubstring("not usable: no NVIDIA driver, or one that is too old for CUDA"));
  CHECK_THAT(devices_with(34),
             ContainsSubstring("not usable: the toolkit's stub was found in place of the NVIDIA "
                               "driver (cudaErrorStubLibrary)"));
  CHECK_THAT(devices_with(100), ContainsSubstring("not usable: no NVIDIA GPU was found"));
  CHECK_THAT(devices_with(0), ContainsSubstring("not usable: no NVIDIA GPU was found"));  // and a count of 0
  CHECK_THAT(devices_with(999), ContainsSubstring("not usable: the CUDA runtime reports cudaErrorOfTheTest"));
}
