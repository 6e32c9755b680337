#pragma once
// The scenes, and what they are made of. Each is a handful of shapes in a few colours: enough for strokes to
// have something to follow. Width and height are the scene's, in its units.
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "apps/demo/scene.h"

namespace impasto::demo {

// --- scenes_oil.cpp: brushes in layers, broad to fine

/// A swirling night sky with stars over dark hills and a few lit windows; a tall tree in front.
[[nodiscard]] Scene night(double w, double h, std::uint64_t seed);
/// Trees in autumn colours along a path under a pale sky.
[[nodiscard]] Scene autumn(double w, double h, std::uint64_t seed);
/// Waves under a clouded evening sky, with a sail.
[[nodiscard]] Scene sea(double w, double h, std::uint64_t seed);

// --- scenes_marks.cpp: each in marks of its own

/// No thing at all: gestures in red, black and cream.
[[nodiscard]] Scene gesture(double w, double h, std::uint64_t seed);
/// A river bank in the sun, in dots of unmixed paint.
[[nodiscard]] Scene dots(double w, double h, std::uint64_t seed);
/// Hatched ink over a thin wash.
[[nodiscard]] Scene ink(double w, double h, std::uint64_t seed);

// --- what they share

inline constexpr double kPi = std::numbers::pi;

/// A colour on a ramp of evenly spaced ones, t 0..1.
inline Rgb ramp(const std::vector<Rgb>& colours, double t) {
  const double at = std::clamp(t, 0.0, 1.0) * static_cast<double>(colours.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(at), colours.size() - 2);
  return mix(colours[i], colours[i + 1], at - static_cast<double>(i));
}

/// Direction along the contours of f.
template <class Function>
double along_contour(const Function& f, Point p) {
  constexpr double h = 1.5;
  const double gx = f(Point{p.x + h, p.y}) - f(Point{p.x - h, p.y}),
               gy = f(Point{p.x, p.y + h}) - f(Point{p.x, p.y - h});
  return std::atan2(gx, -gy);
}

}  // namespace impasto::demo
