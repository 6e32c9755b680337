#pragma once
// Paints pictures that look like oil paintings, so that a
// first render needs no third party's picture as its style.
//
// Layers of curved strokes, coarse to fine, follow a flow field and take their colour from a made-up scene; a
// stroke ends where the scene's colour has left its own (Hertzmann, "Painterly rendering with curved brush
// strokes of multiple sizes", SIGGRAPH 1998). The paint's thickness is kept and lit from the upper left.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/image/image.h"

namespace impasto::demo {

struct PaintOptions {
  int kind = 0;  ///< index into paint_kinds()
  std::uint64_t seed = 0;
  std::int64_t width = 640, height = 480;
};

/// "night", "autumn", ...: what the kinds show.
[[nodiscard]] const std::vector<std::string>& paint_kinds();

/// The same picture for the same options. Error(kUsage) for
/// an unknown kind or a side outside 16..8192 pixels.
[[nodiscard]] Image paint(const PaintOptions& options);

}  // namespace impasto::demo
