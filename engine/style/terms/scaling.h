#pragma once
// The scalings of the content and the style loss: how a sum of squared differences becomes content_l or
// style_l. F, P: features of the generated picture and of the content, N x C.
// G^ = F'F/N, A^: the style picture's over its own N_s.
#include <cstdint>
#include <optional>

#include "engine/core/tensor.h"
#include "engine/options/options.h"

namespace impasto {

/// Why a term is left out that has no factor.
inline constexpr const char* kZeroTarget = "its target is zero everywhere";

/// content_l = factor * sum (F - P)^2, its gradient 2 * factor * (F - P).
///   relative  1 / sum P^2: scale-free. Nothing for a layer whose features are all zero.
///   paper     1/2                                       (Gatys, Ecker, Bethge 2016, eq. 1)
///   mean      1 / (N C)                                 (neural-style)
[[nodiscard]] std::optional<double> content_factor(Scaling scaling, Shape features, double target_energy);

/// style_l = factor * sum (G^ - A^)^2; its gradient with respect to F is 4 * factor / N * F (G^ - A^).
///   relative  1 / sum A^^2
///   paper     1 / (4 C^2): with N = N_s, sum (G - A)^2 / (4 N^2 C^2) = |G - A|_F^2 / (2 n_h n_w n_c)^2
///                                                       (eq. 4)
///   mean      1 / C^4: the mean over C^2 of ((G^ - A^) / C)^2     (neural-style)
[[nodiscard]] std::optional<double> style_factor(Scaling scaling, Shape features, double target_energy);

}  // namespace impasto
