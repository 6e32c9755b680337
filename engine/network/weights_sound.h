#pragma once
// The one place where weights that came from outside are checked before they are worked with.
#include "engine/network/weights.h"

namespace impasto {

/// Error(kUsage) "weights: ..." for layers that are no VGG's (names in order from conv1_1, channels that
/// chain from 3), for arrays of another length than the shapes say, and for numbers that are not finite.
void require_sound(const Weights& weights);

}  // namespace impasto
