#pragma once
// `impasto selftest --gradient`: the gradient of each loss term, and of all together, against differences of
// their values, on the user's device and at any size.
#include <string>
#include <vector>

#include "apps/render_arguments.h"
#include "engine/selftest/gradient_check.h"

namespace impasto::apps {

struct GradientArguments {
  GivenOptions style_options;
  std::string weights = "random-vgg16:1";
  std::vector<std::string> pictures;  ///< photograph, then paintings; none: generated ones
  int directions = 6;                 ///< of each kind
};

/// Prints a table, and what is off; the exit code.
[[nodiscard]] int run_gradient_selftest(const GradientArguments& arguments);

}  // namespace impasto::apps
