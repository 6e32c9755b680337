#include "kernels/cpu/losses.h"

#include <algorithm>
#include <numeric>

namespace impasto::cpu {

double squared_error(const Kernels& kernels, const Runs& runs, float* d, const float* x, const float* target,
                     std::int64_t n, LossScales scales, bool accumulate, bool mask) {
  return scales.value * runs.sum(n, [&](std::int64_t first, std::int64_t count) {
    return kernels.squared_error(d == nullptr ? nullptr : d + first, x + first, target + first, count,
                                 static_cast<float>(scales.gradient), accumulate, mask);
  });
}

double total_variation(const Kernels& kernels, const Runs& runs, float* d, const float* x, std::int64_t h,
                       std::int64_t w, TotalVariation kind, double weight) {
  const bool absolute = kind == TotalVariation::kL1;
  // The value is a sum of t^2 (or |t|) times these; the slope of half the square is t.
  double scale_x = 1, scale_y = 1;
  if (kind == TotalVariation::kL2) {
    scale_x = w > 1 ? 1 / (255.0 * 255.0 * static_cast<double>(h * (w - 1) * 3)) : 0;
    scale_y = h > 1 ? 1 / (255.0 * 255.0 * static_cast<double>((h - 1) * w * 3)) : 0;
  } else if (kind == TotalVariation::kHalfSum) {
    scale_x = scale_y = 0.5 / (255.0 * 255.0);
  }
  const double slope = absolute ? weight : 2 * weight;
  const std::int64_t rows =
      std::max<std::int64_t>(divide_up(Runs::kGrain, 3 * w), divide_up(h, Runs::kMostSums));
  const std::int64_t num_runs = divide_up(h, rows);
  double* const partials = runs.partials();
  runs.pool().parallel_for(num_runs, [&](std::int64_t item, int) {
    const TotalVariationSums sums =
        kernels.total_variation(d, x, item * rows, std::min(h, (item + 1) * rows), h, w, absolute,
                                static_cast<float>(slope * scale_x), static_cast<float>(slope * scale_y));
    partials[item] = scale_x * sums.x + scale_y * sums.y;
  });
  return std::accumulate(partials, partials + num_runs, 0.0);
}

}  // namespace impasto::cpu
