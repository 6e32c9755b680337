#pragma once
// How a render was planned, as a checkpoint keeps it: the last bits of its result hang on that.
#include <string>
#include <vector>

#include "engine/style/scale_layout.h"

namespace impasto {

/// A line for each scale: "512x384 history 10 evaluation 9:0 content 9:0 style 2:8,9:0", segments as in
/// to_text(), "-" where nothing is to be done.
[[nodiscard]] std::string to_text(const std::vector<ScaleLayout>& plan);
/// Error(kBadInput) for another text. Whether a network can go these ways is for plan_scale_as() to say.
[[nodiscard]] std::vector<ScaleWays> parse_plan(const std::string& text);

}  // namespace impasto
