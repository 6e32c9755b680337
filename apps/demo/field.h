#pragma once
// Points, colours, repeatable random numbers and smooth noise for the painter.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "engine/core/random.h"

namespace impasto::demo {

struct Point {
  double x = 0, y = 0;
  friend Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
  friend Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
  friend Point operator*(double s, Point a) { return {s * a.x, s * a.y}; }
};
inline double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
inline double length(Point a) { return std::hypot(a.x, a.y); }

/// sRGB as encoded, 0..1.
struct Rgb {
  double r = 0, g = 0, b = 0;
  friend Rgb operator+(Rgb a, Rgb c) { return {a.r + c.r, a.g + c.g, a.b + c.b}; }
  friend Rgb operator*(double s, Rgb a) { return {s * a.r, s * a.g, s * a.b}; }
};
inline constexpr Rgb hex(std::uint32_t v) {
  return {static_cast<double>(v >> 16 & 255) / 255, static_cast<double>(v >> 8 & 255) / 255,
          static_cast<double>(v & 255) / 255};
}
inline Rgb mix(Rgb a, Rgb b, double t) { return (1 - t) * a + t * b; }
inline double mix(double a, double b, double t) { return (1 - t) * a + t * b; }
inline double luminance(Rgb c) { return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b; }
inline double distance(Rgb a, Rgb b) {
  return std::sqrt((a.r - b.r) * (a.r - b.r) + (a.g - b.g) * (a.g - b.g) + (a.b - b.b) * (a.b - b.b));
}
inline double smoothstep(double edge0, double edge1, double x) {
  const double t = std::clamp((x - edge0) / (edge1 - edge0), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

/// Random numbers one after another.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() { return mix_bits(state_ += kSplitmixStep); }
  double uniform() { return unit_interval(next()); }
  double uniform(double low, double high) { return mix(low, high, uniform()); }

 private:
  std::uint64_t state_;
};

/// Gradient noise on a lattice of unit cells (Perlin, "Improving noise", SIGGRAPH 2002), about -1..1.
class Noise {
 public:
  explicit Noise(std::uint64_t seed) : seed_(mix_bits(seed + 1)) {}
  double at(double x, double y) const {
    const double fx = std::floor(x), fy = std::floor(y);
    const auto ix = static_cast<std::int64_t>(fx), iy = static_cast<std::int64_t>(fy);
    const double u = fade(x - fx), v = fade(y - fy);
    const double top = mix(corner(ix, iy, x, y), corner(ix + 1, iy, x, y), u);
    const double bottom = mix(corner(ix, iy + 1, x, y), corner(ix + 1, iy + 1, x, y), u);
    return 1.5 * mix(top, bottom, v);
  }
  /// Four octaves, about -1..1.
  double fractal(double x, double y) const {
    double sum = 0, amplitude = 0.6;
    for (int octave = 0; octave < 4; ++octave, amplitude /= 2) {
      sum += amplitude * at(x, y);
      x = 2.03 * x + 17.1;
      y = 2.03 * y - 9.7;
    }
    return sum;
  }

 private:
  static double fade(double t) { return t * t * t * (t * (6 * t - 15) + 10); }
  /// The corner's slope times the way from it to (x, y).
  double corner(std::int64_t ix, std::int64_t iy, double x, double y) const {
    const std::uint64_t h = mix_bits(seed_ ^ (static_cast<std::uint64_t>(ix) * kSplitmixStep) ^
                                     mix_bits(static_cast<std::uint64_t>(iy) + 0x632be59bd9b4e019u));
    const Point& slope = directions()[h % kDirections];
    return slope.x * (x - static_cast<double>(ix)) + slope.y * (y - static_cast<double>(iy));
  }
  static constexpr std::size_t kDirections = 256;
  static const std::array<Point, kDirections>& directions() {
    static const std::array<Point, kDirections> table = [] {
      std::array<Point, kDirections> circle;
      for (std::size_t i = 0; i < kDirections; ++i) {
        const double angle = 2 * std::numbers::pi * static_cast<double>(i) / kDirections;
        circle[i] = {std::cos(angle), std::sin(angle)};
      }
      return circle;
    }();
    return table;
  }
  std::uint64_t seed_;
};

}  // namespace impasto::demo
