// Scenes that are not painted as oil is: broad gestures, dots, hatched ink.
#include "apps/demo/scenes.h"

namespace impasto::demo {
namespace {

/// Broad brushes that run dry, and thin lines over them.
std::vector<Layer> gesture_layers() {
  return {{.width = 60,
           .length = 5,
           .spacing = 0.45,
           .dryness = 0.25,
           .thickness = 0.5,
           .jitter = 0.04,
           .tolerance = 0.7},
          {.width = 34,
           .length = 9,
           .spacing = 0.6,
           .dryness = 0.65,
           .thickness = 0.9,
           .jitter = 0.05,
           .tolerance = 0.55},
          {.width = 18,
           .length = 14,
           .spacing = 0.9,
           .dryness = 0.7,
           .jitter = 0.06,
           .stray = 0.35,
           .tolerance = 0.5,
           .share = 0.7},
          {.width = 9,
           .length = 16,
           .spacing = 1.4,
           .dryness = 0.5,
           .thickness = 1.2,
           .jitter = 0.07,
           .stray = 0.5,
           .tolerance = 0.45,
           .share = 0.45},
          {.width = 4,
           .length = 26,
           .spacing = 4,
           .dryness = 0.3,
           .thickness = 1.2,
           .jitter = 0.08,
           .stray = 0.8,
           .tolerance = 0.9,
           .share = 0.5}};
}

/// Two washes, and hatching that turns with each darker tone.
std::vector<Layer> ink_layers() {
  const auto hatch = [](double turn, double max_tone, double width) {
    return Layer{.width = width,
                 .length = 16,
                 .spacing = 2.2,
                 .opacity = 0.88,
                 .dryness = 0.25,
                 .thickness = 0.4,
                 .jitter = 0.03,
                 .turn = turn,
                 .stray = 0.06,
                 .tolerance = 0.22,
                 .max_tone = max_tone,
                 .ink = true};
  };
  return {{.width = 48,
           .length = 4,
           .spacing = 0.5,
           .opacity = 0.4,
           .dryness = 0.3,
           .thickness = 0.1,
           .jitter = 0.04,
           .tolerance = 0.35},
          {.width = 20,
           .length = 5,
           .spacing = 0.8,
           .opacity = 0.4,
           .dryness = 0.6,
           .thickness = 0.1,
           .jitter = 0.05,
           .tolerance = 0.25},
          hatch(0, 0.80, 2.6),
          hatch(0.9, 0.59, 2.8),
          hatch(-0.7, 0.42, 3.2),
          hatch(kPi / 2, 0.28, 3.8)};
}

}  // namespace

Scene gesture(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0xe8dcc4);
  s.accents = {hex(0x1f3f8f), hex(0xf2b632), hex(0xf5efe0)};
  s.accent_share = 0.05;
  s.accent_pull = 0.85;
  s.canvas = 1;
  s.relief = 1.15;
  s.layers = gesture_layers();
  const Noise noise(seed + 53);
  const auto warped = [=](Point p) {
    const double x = p.x / 190, y = p.y / 190;
    const double u = noise.at(x + 3, y), v = noise.at(x, y + 7);
    return 0.8 * noise.at(x + 1.2 * u + 20, y + 1.2 * v - 5) + 0.1 * noise.at(3 * x, 3 * y);
  };
  s.direction = [=](Point p) { return along_contour(warped, p); };
  s.colour = [=](Point p) {
    const double t = warped(p) + 0.05 * std::sin(p.x / w * 5 + p.y / h * 3);
    if (t < -0.30) return hex(0x121014);
    if (t < -0.17) return hex(0x5c0d16);
    if (t < -0.02) return hex(0xa8131d);
    if (t < 0.12) return hex(0xd8301f);
    if (t < 0.20) return hex(0xee6a35);
    if (t < 0.34) return hex(0xf1e4ca);
    if (t < 0.44) return hex(0xc9a071);
    return hex(0x17151c);
  };
  return s;
}

Scene dots(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0xece2cc);
  s.accents = {hex(0xe8554e), hex(0x3f63c4), hex(0xf7c93e), hex(0x53a65f), hex(0xb27bc9), hex(0xf4945a)};
  s.accent_share = 0.42;
  s.accent_pull = 0.55;
  s.canvas = 0.6;
  s.layers = {{.width = 22,
               .length = 2,
               .spacing = 0.55,
               .dryness = 0.2,
               .thickness = 0.3,
               .jitter = 0.03,
               .tolerance = 0.4},
              {.width = 10, .length = 0, .spacing = 0.72, .dryness = 0, .thickness = 0.8, .jitter = 0.06},
              {.width = 7.5, .length = 0, .spacing = 0.8, .dryness = 0, .jitter = 0.08},
              {.width = 5.5,
               .length = 0,
               .spacing = 1.0,
               .dryness = 0,
               .thickness = 1.1,
               .jitter = 0.1,
               .share = 0.8}};
  const Noise noise(seed + 71);
  const auto bank = [=](double x) {
    return 0.56 * h + 0.16 * h * std::pow(x / w, 1.5) + 6 * noise.at(x / 40, 0);
  };
  s.direction = [=](Point p) { return p.y > bank(p.x) ? 0.0 : 1.2 * noise.at(p.x / 60, p.y / 60); };
  const auto land = [=](Point p) {  // the far side, also seen in the water
    const double trees =
        0.34 * h - 62 * noise.fractal(p.x / 120, 2.2) - 26 * std::abs(noise.at(p.x / 26, 5.0));
    if (p.y < trees)
      return ramp({hex(0x8fb6e8), hex(0xb9cdf0), hex(0xf2dccb), hex(0xfbe9b7)},
                  p.y / (0.42 * h) + 0.25 * noise.fractal(p.x / 110, p.y / 40));
    const double lit = 0.5 + 0.8 * noise.fractal(p.x / 34, p.y / 30) + 0.25 * (trees - p.y + 40) / 60;
    return ramp({hex(0x1f2f66), hex(0x23604f), hex(0x4f9448), hex(0xa9bd4a), hex(0xf0d864)}, lit);
  };
  s.colour = [=](Point p) {
    const double base = bank(p.x);
    if (p.y < 0.48 * h) return land(p);
    if (p.y < base) {
      const Point mirrored{p.x + 7 * std::sin(p.y / 3.1), 0.96 * h - p.y * 1.0};
      return mix(land(mirrored), hex(0x5f86d6),
                 0.35 + 0.2 * std::sin(p.y / 4 + 2 * noise.at(p.x / 30, p.y / 9)));
    }
    const Point parasol{0.30 * w, 0.70 * h};
    const Point away = p - parasol;
    if (away.y < 6 && length({away.x, 1.5 * away.y}) < 54)
      return std::fmod(std::abs(away.x) + 100, 30) < 15 ? hex(0xe2473f) : hex(0xfbe7d0);
    if (std::abs(away.x) < 3 && away.y > 0 && away.y < 92) return hex(0x4a2f52);
    const double shadow = length({(p.x - parasol.x - 70) / 92, (p.y - parasol.y - 84) / 26});
    const double t = 0.55 + 0.5 * noise.fractal(p.x / 60, p.y / 22);
    if (shadow < 1 || noise.fractal(p.x / 90 + 9, p.y / 40) > 0.27)
      return ramp({hex(0x2b3f86), hex(0x4f63a8), hex(0x3f8a6a)}, t);
    return ramp({hex(0x6fae4a), hex(0xa7c94e), hex(0xe6dc5e), hex(0xf7e79a)}, t);
  };
  return s;
}

Scene ink(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0xefe6d2);
  s.ink = hex(0x1c1a2b);
  s.accents = {hex(0xb5482f), hex(0x2f5d8a), hex(0xd9a441)};
  s.accent_share = 0.12;
  s.accent_pull = 0.6;
  s.canvas = 0.25;
  s.relief = 0.35;
  s.layers = ink_layers();
  const Noise noise(seed + 89);
  const auto ridge = [=](double x, int i) {
    return h * (0.30 + 0.17 * i) + (46 - 9 * i) * noise.fractal(x / (130 - 15 * i), 4.0 * i + 1) -
           20 * std::cos(x / w * 3 + 2 * i);
  };
  const auto shape = [=](Point p) {
    for (int i = 3; i >= 0; --i) {
      if (p.y > ridge(p.x, i)) return i;
    }
    return -1;
  };
  const Point sun{0.7 * w, 0.17 * h};
  s.direction = [=](Point p) {
    const int i = shape(p);
    if (i < 0) {
      const Point away = p - sun;
      return std::atan2(away.y, away.x) + kPi / 2;
    }
    return std::atan2(ridge(p.x + 6, i) - ridge(p.x - 6, i), 12.0) +
           0.9 * noise.at(p.x / 55 + 5 * i, p.y / 55) + 0.25 * i;
  };
  s.colour = [=](Point p) {
    const int i = shape(p);
    if (i < 0) {
      const double far = length(p - sun);
      if (far < 42) return hex(0xe07a3f);
      const double rings = 0.5 + 0.5 * std::sin(far / 17 + 1.6 * noise.at(p.x / 60, p.y / 60));
      return ramp({hex(0xf6eedb), hex(0xd9d3c4), hex(0x93a9b5)},
                  0.75 * rings + 0.3 * noise.fractal(p.x / 90, p.y / 60));
    }
    const double into = (p.y - ridge(p.x, i)) / (0.3 * h);
    const double t = 0.98 - 0.6 * into + 0.45 * noise.fractal(p.x / 45 + 9 * i, p.y / 30) - 0.08 * i;
    const std::vector<Rgb> tones =
        i % 2 == 0 ? std::vector<Rgb>{hex(0x26324a), hex(0x4b6478), hex(0x9fae9c), hex(0xe9dcb8)}
                   : std::vector<Rgb>{hex(0x2b1f24), hex(0x6d4638), hex(0xb98a58), hex(0xecd9ae)};
    return ramp(tones, t);
  };
  return s;
}

}  // namespace impasto::demo
