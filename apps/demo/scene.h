#pragma once
// What is painted: a colour and a direction at every point, and the layers of strokes to do it with.
// Lengths are in units of 1/640 of the picture's long side.
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "apps/demo/field.h"

namespace impasto::demo {

struct Layer {
  double width = 10;     ///< of a stroke
  double length = 8;     ///< of a stroke at most, in widths; 0: a dab
  double spacing = 0.6;  ///< between strokes' starts, in widths
  double opacity = 0.95;
  double dryness = 0.3;     ///< 0: even paint; 1: bristles leave gaps everywhere
  double thickness = 1;     ///< of the paint: relief
  double jitter = 0.08;     ///< of the colour
  double turn = 0;          ///< added to the scene's direction, radians
  double stray = 0.15;      ///< random turn of each stroke, radians
  double tolerance = 0.25;  ///< a stroke ends where the scene's colour is further away than this
  double max_tone = 2;      ///< strokes start only where the scene is darker than this
  double share = 1;         ///< of the possible strokes that are painted
  bool ink = false;         ///< in the scene's ink instead of its colour
};

struct Scene {
  double width = 640, height = 480;
  Rgb ground;  ///< the primed canvas
  Rgb ink;
  std::vector<Rgb> accents;  ///< now and then a stroke is pulled towards one of these
  double accent_share = 0.06, accent_pull = 0.4;
  double canvas = 0.5;  ///< how much the weave shows
  double relief = 1;    ///< strength of the light
  std::vector<Layer> layers;
  std::function<Rgb(Point)> colour;
  std::function<double(Point)> direction;  ///< radians
};

/// Kind: an index into paint_kinds(). Colour and direction are looked up in a lattice that is filled here.
[[nodiscard]] Scene make_scene(int kind, double width, double height, std::uint64_t seed);

}  // namespace impasto::demo
