// The decisions of gradient descent that finds its steps: on every device those of the host. What they are
// worth: test_gradient_descent_auto.cpp.
#include <array>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/descent_search.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"

using namespace impasto;
using M = DescentMachine;
using Numbers = std::vector<double>;

TEST_CASE("a device decides gradient descent's steps as the host does, to the last bit") {
  test::TestDevice device(GENERATE(from_range(test::op_devices())));
  const bool has_momentum = GENERATE(false, true);
  const DescentDecisionParameters parameters{301, has_momentum};
  std::mt19937 random(7);
  const auto uniform = [&] { return static_cast<double>(random()) / 0x1p32; };
  const double nan = std::numeric_limits<double>::quiet_NaN();

  Numbers machine(M::kSize);
  machine[M::kBest] = std::numeric_limits<double>::infinity();
  const auto on_device = device.slots(machine), dots = device.slots(Numbers(M::kNumDots));
  std::array<int, M::kSize - M::kImproves> said{};
  int uphill = 0, streak = 0;
  for (int step = 0; step < 1500; ++step) {
    INFO(device->info().name << ", momentum " << has_momentum << ", step " << step);
    // Now and then so many bad points in a row that there is no way down from the base, or from the start.
    if (random() % 100 == 0) streak = random() % 2 == 0 ? 15 : 200;
    streak = std::max(0, streak - 1);
    machine[M::kTrialValue] = random() % 16 == 0 ? nan : 3 + uniform() + (streak > 0 ? 2 : 0);
    const double slope = random() % 16 == 0 ? nan : uniform() - 0.7;
    const Numbers products{random() % 16 == 0 ? 0 : 1e3 * uniform(), uniform(), uniform() - 0.1,
                           random() % 16 == 0 ? 1e9 : uniform()};
    device->upload(on_device, std::span<const double>(machine));
    device->upload(dots, std::span<const double>(products));
    const auto decide = [&](DescentDecision decision) {
      descent_decide(machine.data(), products.data(), decision, parameters);
      device->descent_decide(on_device, dots, decision, parameters);
    };
    decide(DescentDecision::kJudge);
    decide(DescentDecision::kTakeLength);
    for (std::size_t i = 0; i < said.size(); ++i) said[i] += machine[M::kImproves + i] != 0;
    machine[M::kSlope] = slope;
    device->fill({on_device.as<double>() + M::kSlope, {1, 1, 1}, DType::kFloat64}, slope);
    decide(DescentDecision::kTakeSlope);
    uphill += machine[M::kMoves] != 0;
    const Numbers found = device.read(on_device);
    REQUIRE(std::memcmp(found.data(), machine.data(), found.size() * sizeof(double)) == 0);
  }
  for (const int flag : {M::kImproves, M::kAccepts, M::kRestarts, M::kMoves}) {
    CHECK(said[static_cast<std::size_t>(flag - M::kImproves)] > 5);
  }
  CHECK((said[M::kPushes - M::kImproves] > 5) == has_momentum);
  CHECK((uphill > 5) == has_momentum);
}
