// Catch2's main, which leaves with 77 (skipped) where the device under test is not there.
#ifdef IMPASTO_CATCH2_V3
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif
#include <cstdio>

#include "tests/support/test_device.h"

int main(int argc, char** argv) {
  const std::string device = impasto::test::other_device().device;
  if (!device.empty()) {
    std::string reason = "no such device";
    for (const impasto::DeviceStatus& status : impasto::list_devices()) {
      if (status.info.name.starts_with(device)) reason = status.unusable_because;
    }
    if (!reason.empty()) {
      std::printf("skipped: %s: %s\n", device.c_str(), reason.c_str());
      return 77;
    }
  }
  return Catch::Session().run(argc, argv);
}
