#pragma once
// How long a render will take, from what its plan says and what the device does now.
#include <vector>

#include "engine/backend/backend.h"
#include "engine/style/render_plan.h"

namespace impasto::apps {

/// Seconds; empty: nothing was measured.
struct Forecast {
  std::vector<double> per_iteration;  ///< of each scale
  double total = 0;  ///< all iterations, with a tolerance at most, and the targets before them
  [[nodiscard]] explicit operator bool() const { return !per_iteration.empty(); }
};

/// Times each kind of convolution in the plan on a part of its rows, a Gram matrix and a copy: a second or
/// two of a few cores. Memory for that is given back; empty where there is none.
[[nodiscard]] Forecast forecast(Backend& backend, const RenderPlan& plan);

/// Is it long beside the time that a forecast takes?
[[nodiscard]] bool worth_forecasting(const RenderPlan& plan);

}  // namespace impasto::apps
