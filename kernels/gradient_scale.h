#pragma once
// The power of two that gradients of activations are kept multiplied by where their type has few exponents
// (fp16). They shrink over a render, and a loss that rises makes them grow; so what each evaluation met says
// what the next one is done with.
#include <cmath>

#include "kernels/line_search.h"

namespace impasto {

/// fp16's; gradients beyond it are cut there.
inline constexpr double kLargestHalf = 65504;

/// Where the largest magnitude may lie without a change of the scale.
enum class GradientRoom : unsigned char {
  kWide,    ///< between evaluations: a change is rare
  kNarrow,  ///< to begin with: what a scale is set to
};

/// Is the largest magnitude neither too small nor too large to tell the scale that is right for it?
IMPASTO_ANYWHERE bool tells_gradient_scale(double peak) { return peak >= 1 && peak < 32768; }

/// The scale after an evaluation whose largest magnitude was `peak`, itself multiplied by `scale`: the same
/// where peak lies in the room, else such that it would have been in (512, 1024], 64 times below fp16's
/// largest. A peak that does not tell moves it by a wide step; one of 0, in a wide room, says nothing.
IMPASTO_ANYWHERE double next_gradient_scale(double scale, double peak, GradientRoom room) {
  constexpr double kTop = 1024, kLeastScale = 0x1p-100, kMostScale = 0x1p100;
  const bool wide = room == GradientRoom::kWide;
  const bool stays = wide ? peak >= 16 && peak <= 16384 : peak > kTop / 2 && peak <= kTop;
  if (stays || (wide && peak == 0)) return scale;
  const int exponent = tells_gradient_scale(peak) ? ilogb(kTop / peak) : peak < 1 ? 20 : -12;
  const double next = ldexp(scale, exponent);
  return next < kLeastScale ? kLeastScale : next > kMostScale ? kMostScale : next;
}

}  // namespace impasto
