// The scenes. Each is a handful of shapes in a few colours: enough for strokes to have something to follow.
#include "apps/demo/scene.h"

#include <memory>
#include <numbers>
#include <string>

#include "apps/demo/paint.h"

namespace impasto::demo {
namespace {

constexpr double kPi = std::numbers::pi;

/// A colour on a ramp of evenly spaced ones, t 0..1.
Rgb ramp(const std::vector<Rgb>& colours, double t) {
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

struct Disc {
  Point centre;
  double radius = 0;
  Rgb colour;
};

std::vector<Layer> oil_layers() {
  return {{.width = 46,
           .length = 6,
           .spacing = 0.45,
           .dryness = 0.1,
           .thickness = 0.5,
           .jitter = 0.05,
           .tolerance = 0.5},
          {.width = 26,
           .length = 8,
           .spacing = 0.5,
           .dryness = 0.35,
           .thickness = 0.8,
           .jitter = 0.07,
           .tolerance = 0.3},
          {.width = 14,
           .length = 9,
           .spacing = 0.62,
           .dryness = 0.4,
           .jitter = 0.08,
           .tolerance = 0.22,
           .share = 0.9},
          {.width = 7.5,
           .length = 10,
           .spacing = 0.85,
           .dryness = 0.3,
           .thickness = 1.15,
           .jitter = 0.08,
           .tolerance = 0.18,
           .share = 0.65},
          {.width = 4.5,
           .length = 9,
           .spacing = 1.3,
           .dryness = 0.2,
           .thickness = 1.2,
           .jitter = 0.10,
           .tolerance = 0.15,
           .share = 0.35}};
}

/// A swirling night sky with stars over dark hills and a few lit windows; a tall tree in front.
Scene night(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0x1b2a52);
  s.accents = {hex(0xf2c14e), hex(0x7fc8c2), hex(0xf6f0d0)};
  s.layers = oil_layers();
  Random random(seed * 977 + 5);
  std::vector<Disc> stars;
  stars.push_back({{0.84 * w, 0.17 * h}, 34, hex(0xffd35a)});
  for (int tries = 0; tries < 400 && stars.size() < 10; ++tries) {
    const Disc star{{random.uniform(0.03, 0.97) * w, random.uniform(0.05, 0.5) * h},
                    random.uniform(8, 17),
                    hex(0xfff0a8)};
    bool free = std::abs(star.centre.x - 0.155 * w) > 34;
    for (const Disc& other : stars)
      free = free && length(star.centre - other.centre) > 3.2 * (star.radius + other.radius);
    if (free) stars.push_back(star);
  }
  const std::vector<Disc> whirls{{{0.44 * w, 0.36 * h}, 95, {}}, {{0.63 * w, 0.47 * h}, 60, {}}};
  const Noise noise(seed + 11);
  const auto hills = [=](double x) {
    return 0.74 * h + 32 * noise.fractal(x / 150, 3.3) - 22 * std::sin(x / w * kPi * 1.3 + 0.4);
  };
  const auto in_tree = [=](Point p) {
    const double t = (p.y - 0.10 * h) / (0.92 * h);
    if (t < 0) return false;
    const double centre = 0.155 * w + 9 * std::sin(t * 9) + 6 * noise.at(t * 5, 0);
    return std::abs(p.x - centre) <
           4 + 48 * std::pow(t, 0.75) * (1 - 0.45 * t) + 5 * noise.at(p.y / 14, p.x > centre ? 4 : 8);
  };
  const auto direction = [=](Point p) {
    if (in_tree(p)) return kPi / 2 + 0.5 * std::sin(p.y / 34 + 1.5 * noise.at(p.x / 20, p.y / 60));
    const double base = hills(p.x);
    if (p.y > base)
      return std::atan2(hills(p.x + 4) - hills(p.x - 4), 8.0) + 0.35 * noise.at(p.x / 60, p.y / 25);
    const double drift = 0.35 * std::sin(p.x / 90 + 2) + 0.5 * noise.at(p.x / 120, p.y / 90);
    Point flow{std::cos(drift), std::sin(drift)};
    for (const auto* group : {&stars, &whirls}) {
      for (const Disc& d : *group) {
        const Point away = p - d.centre;
        const double far = length(away) / (group == &whirls ? d.radius : 2.3 * d.radius);
        const double pull = 3.2 * std::exp(-far * far);
        const double r = std::max(length(away), 1.0);
        flow = flow + (pull / r) * Point{-away.y - 0.25 * away.x, away.x - 0.25 * away.y};
      }
    }
    return std::atan2(flow.y, flow.x);
  };
  s.direction = direction;
  const std::vector<Rgb> blues{hex(0x0e1a44), hex(0x1d3a86), hex(0x2f62ad),
                               hex(0x5b97c6), hex(0xa9cfd0), hex(0xe8e6b8)};
  s.colour = [=](Point p) {
    if (in_tree(p))
      return ramp({hex(0x0b1210), hex(0x1d2b1a), hex(0x3a3b1e), hex(0x54401f)},
                  0.45 + 0.6 * noise.at(p.x / 7, p.y / 55));
    const double base = hills(p.x);
    if (p.y > base) {
      const double cell = std::floor(p.x / 33), inside = p.x / 33 - cell - 0.5;
      const double house = noise.at(cell * 7.7 + 0.5, 1.5),
                   up = hills(33 * (cell + 0.5)) + 62 + 20 * house - p.y;
      if (house > -0.3 && p.x > 0.3 * w && up > 0) {
        if (up < 20) return std::abs(inside) < 0.16 && up > 4 ? hex(0xffd75a) : hex(0x7f9fb4);
        if (up < 38 && std::abs(inside) < (38 - up) / 36) return hex(house > 0.2 ? 0x9a4f2c : 0x2b3f66);
      }
      const double depth = (p.y - base) / (h - base + 1);
      return ramp({hex(0x3f6f9c), hex(0x27508a), hex(0x1f4a5e), hex(0x2c5a3c), hex(0x16302f)},
                  depth + 0.28 * noise.fractal(p.x / 70, p.y / 18));
    }
    // Bands across the flow: noise that is stretched along it.
    const double angle = direction(p);
    const double q = -p.x * std::sin(angle) + p.y * std::cos(angle),
                 r = p.x * std::cos(angle) + p.y * std::sin(angle);
    double t = 0.36 + 0.42 * noise.fractal(r / 210, q / 26) + 0.14 * noise.at(p.x / 80, p.y / 60) +
               0.16 * smoothstep(0.3, 0.75, p.y / h);
    for (const Disc& d : whirls) {
      const Point away = p - d.centre;
      const double far = length(away) / d.radius,
                   turns = std::atan2(away.y, away.x) + 5.5 * std::sqrt(far + 0.02);
      t += 0.42 * std::exp(-far * far * 0.9) * std::cos(2 * turns);
    }
    Rgb c = ramp(blues, t);
    for (const Disc& star : stars) {
      const double far = length(p - star.centre) / star.radius;
      const double halo = std::exp(-0.33 * far * far) * (0.72 + 0.28 * std::cos(4.2 * far));
      c = mix(c, mix(hex(0xf4b52e), hex(0xd9e6b4), smoothstep(1.0, 2.6, far)), 0.9 * halo);
      if (far < 0.75) c = mix(star.colour, hex(0xfffbe0), 0.5);
    }
    return c;
  };
  return s;
}

/// Trees in autumn colours along a path under a pale sky.
Scene autumn(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0xa9743a);
  s.accents = {hex(0x3d5a80), hex(0xf7e3a1), hex(0x7a2232)};
  s.accent_share = 0.09;
  s.layers = oil_layers();
  s.layers[3].length = 4;
  s.layers[4] = {.width = 6,
                 .length = 1.6,
                 .spacing = 1.1,
                 .dryness = 0.15,
                 .thickness = 1.5,
                 .jitter = 0.13,
                 .stray = 1.2,
                 .tolerance = 0.5,
                 .share = 0.5};
  const std::vector<Rgb> leaves{hex(0x7d1f1a), hex(0xb5351c), hex(0xd9622b), hex(0xe8932f),
                                hex(0xf2bf45), hex(0xc9a23a), hex(0x7a7a30)};
  Random random(seed * 1301 + 3);
  std::vector<Disc> crowns;
  for (int i = 0; i < 22; ++i) {
    const double side = random.uniform() < 0.5 ? random.uniform(-0.02, 0.36) : random.uniform(0.64, 1.02);
    const double near = std::abs(side - 0.5) * 2;
    crowns.push_back({{side * w, h * (0.56 - 0.34 * near * random.uniform(0.3, 1.1))},
                      22 + 52 * near * random.uniform(0.5, 1.0),
                      ramp(leaves, random.uniform())});
  }
  const Noise noise(seed + 23);
  const auto ground = [=](double x) { return 0.66 * h + 10 * noise.fractal(x / 110, 1.0); };
  const auto crown_at = [=](Point p) {
    int found = -1;
    for (int i = 0; i < static_cast<int>(crowns.size()); ++i) {
      const Disc& d = crowns[static_cast<std::size_t>(i)];
      const Point away = p - d.centre;
      if (length({away.x, 1.15 * away.y}) < d.radius * (1 + 0.35 * noise.fractal(p.x / 28 + i, p.y / 28)))
        found = i;
    }
    return found;
  };
  const auto in_path = [=](Point p) {
    const double t = (p.y - ground(p.x)) / (0.34 * h);
    return t > 0 && std::abs(p.x - w * (0.5 + 0.09 * std::sin(3.2 * t))) < 14 + 150 * t * t + 40 * t;
  };
  s.direction = [=](Point p) {
    const int i = crown_at(p);
    if (i >= 0) {
      const Point away = p - crowns[static_cast<std::size_t>(i)].centre;
      return std::atan2(away.y, away.x) + kPi / 2 + 0.9 * noise.at(p.x / 26, p.y / 26);
    }
    if (p.y > ground(p.x))
      return 0.12 * std::sin(p.x / 60) + 0.4 * noise.at(p.x / 70, p.y / 20) +
             (p.x - w / 2) / w * 0.7 * (in_path(p) ? 1 : -0.4);
    return 0.5 + 1.1 * noise.at(p.x / 150, p.y / 110);
  };
  s.colour = [=](Point p) {
    const int i = crown_at(p);
    const double grain = noise.fractal(p.x / 15, p.y / 15);
    if (i >= 0) {
      const Disc& d = crowns[static_cast<std::size_t>(i)];
      const double sun = (dot(p - d.centre, {-0.6, -0.8})) / d.radius;
      const Rgb leaf = mix(d.colour, ramp(leaves, 0.5 + 0.6 * grain), 0.45);
      return sun + 0.5 * grain > 0
                 ? mix(leaf, hex(0xffe08a), std::clamp(0.45 * sun + 0.35 * grain, 0.0, 0.6))
                 : mix(leaf, hex(0x3a1c3c), std::clamp(-0.6 * sun - 0.4 * grain, 0.0, 0.75));
    }
    const double base = ground(p.x);
    for (const Disc& d : crowns) {
      const double foot = base + 0.9 * (d.radius - 22);
      const double lean = 8 * noise.at(p.y / 45, d.centre.x);
      if (p.y > d.centre.y && p.y < foot && std::abs(p.x - d.centre.x - lean) < 1.5 + 0.11 * d.radius)
        return mix(hex(0x2c1a26), hex(0x7a4a34), p.x < d.centre.x + lean ? 0.6 : 0.05);
    }
    if (p.y > base) {
      const double t = 0.5 + 0.55 * noise.fractal(p.x / 85, p.y / 17);
      if (in_path(p)) return ramp({hex(0x6a5478), hex(0xa5848a), hex(0xd9b48a), hex(0xf3dcae)}, t);
      return ramp({hex(0x6b2a1e), hex(0xa6521f), hex(0xd38a2c), hex(0xe9b949), hex(0x8c8435)}, t);
    }
    return ramp({hex(0x7f9cb5), hex(0xa9bfc6), hex(0xdfd8c0), hex(0xf6e4b6)},
                0.3 + 0.6 * p.y / base + 0.4 * noise.fractal(p.x / 130, p.y / 50));
  };
  return s;
}

/// Waves under a clouded evening sky, with a sail.
Scene sea(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0x1f5560);
  s.accents = {hex(0xf0f4e4), hex(0x0b2b3a), hex(0xf2a65a)};
  s.accent_share = 0.08;
  s.layers = oil_layers();
  s.layers[2].length = 12;
  s.layers[3].length = 14;
  const Noise noise(seed + 37);
  const double horizon = 0.36 * h;
  // Phase of the waves: they come nearer together towards the horizon, and lean where noise bends them.
  const auto phase = [=](Point p) {
    const double depth = std::max(0.0, p.y - horizon) / (h - horizon);
    return 30 * std::pow(depth + 0.02, 0.55) +
           2.4 * noise.fractal(p.x / (60 + 170 * depth), p.y / (30 + 60 * depth)) +
           0.5 * std::sin(p.x / (25 + 60 * depth));
  };
  const auto cloud = [=](Point p) {
    return noise.fractal(p.x / 150 + 0.6 * noise.at(p.x / 60, p.y / 60), p.y / 60) +
           0.4 * noise.at(p.x / 40, p.y / 26);
  };
  s.direction = [=](Point p) {
    if (p.y < horizon) return along_contour(cloud, p);
    return along_contour(phase, p);
  };
  s.colour = [=](Point p) {
    const Point mast{0.66 * w, horizon + 22};
    const double up = mast.y - p.y;
    if (up > 0 && up < 74 && p.x - mast.x > -1 && p.x - mast.x < 34 * (1 - up / 74))
      return mix(hex(0xf7ead0), hex(0xd98d52), smoothstep(0, 30, p.x - mast.x));
    if (up > 6 && up < 62 && mast.x - p.x > 1 && mast.x - p.x < 20 * (1 - up / 62)) return hex(0xb8452f);
    if (up > -12 && up <= 0 && std::abs(p.x - mast.x - 4) < 34 + 0.8 * up) return hex(0x2a1a1c);
    if (p.y < horizon) {
      const double t = 0.42 + 0.55 * cloud(p) + 0.3 * (p.y / horizon - 0.5);
      Rgb c = ramp({hex(0x3c5f78), hex(0x6f8fa0), hex(0xb9b6a8), hex(0xf0c796), hex(0xf6e2b8)}, t);
      const double far = length(p - Point{0.27 * w, 0.8 * horizon}) / 24;
      return far < 1 ? hex(0xfff0b0) : mix(c, hex(0xf58a3c), 0.8 * std::exp(-0.16 * far * far));
    }
    const double depth = (p.y - horizon) / (h - horizon), crest = 0.5 + 0.5 * std::sin(phase(p));
    Rgb c = ramp({hex(0x06222f), hex(0x0d4a58), hex(0x1c7a78), hex(0x3fa58f), hex(0x9ad3b4)},
                 0.15 + 0.62 * crest + 0.22 * noise.fractal(p.x / 35, p.y / 14));
    if (crest + 0.45 * noise.fractal(p.x / 30, p.y / 12) > 0.98)
      c = mix(c, hex(0xf4f7ea), 0.55 + 0.4 * depth);
    const double glint = std::exp(-std::pow((p.x - 0.27 * w) / (18 + 70 * depth), 2));
    return mix(c, hex(0xf7a24a), glint * smoothstep(0.45, 0.85, crest) * 0.85);
  };
  return s;
}

/// No thing at all: gestures in red, black and cream.
Scene gesture(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0xe8dcc4);
  s.accents = {hex(0x1f3f8f), hex(0xf2b632), hex(0xf5efe0)};
  s.accent_share = 0.05;
  s.accent_pull = 0.85;
  s.canvas = 1;
  s.relief = 1.15;
  s.layers = {{.width = 60,
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

/// A river bank in the sun, in dots of unmixed paint.
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

/// Hatched ink over a thin wash.
Scene ink(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0xefe6d2);
  s.ink = hex(0x1c1a2b);
  s.accents = {hex(0xb5482f), hex(0x2f5d8a), hex(0xd9a441)};
  s.accent_share = 0.12;
  s.accent_pull = 0.6;
  s.canvas = 0.25;
  s.relief = 0.35;
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
  s.layers = {{.width = 48,
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

struct Kind {
  const char* name;
  Scene (*make)(double, double, std::uint64_t);
};
constexpr Kind kKinds[] = {{"night", night},     {"autumn", autumn}, {"sea", sea},
                           {"gesture", gesture}, {"dots", dots},     {"ink", ink}};

}  // namespace

const std::vector<std::string>& paint_kinds() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Kind& kind : kKinds) list.emplace_back(kind.name);
    return list;
  }();
  return names;
}

Scene make_scene(int kind, double width, double height, std::uint64_t seed) {
  Scene scene = kKinds[kind].make(width, height, seed);
  scene.width = width;
  scene.height = height;
  // Strokes ask for the same places again and again: every place that can be asked for, 1.5 units apart.
  constexpr double kStep = 1.5;
  struct Lattice {
    std::int64_t columns, rows;
    std::vector<Rgb> colour;
    std::vector<double> direction;
    std::size_t index(Point p) const {
      const auto cell = [](double v, std::int64_t count) {
        return std::clamp<std::int64_t>(static_cast<std::int64_t>(v / kStep), 0, count - 1);
      };
      return static_cast<std::size_t>(cell(p.y, rows) * columns + cell(p.x, columns));
    }
  };
  auto lattice = std::make_shared<Lattice>();
  lattice->columns = static_cast<std::int64_t>(width / kStep) + 1;
  lattice->rows = static_cast<std::int64_t>(height / kStep) + 1;
  for (std::int64_t y = 0; y < lattice->rows; ++y) {
    for (std::int64_t x = 0; x < lattice->columns; ++x) {
      const Point p{kStep * (static_cast<double>(x) + 0.5), kStep * (static_cast<double>(y) + 0.5)};
      lattice->colour.push_back(scene.colour(p));
      lattice->direction.push_back(scene.direction(p));
    }
  }
  scene.colour = [lattice](Point p) { return lattice->colour[lattice->index(p)]; };
  scene.direction = [lattice](Point p) { return lattice->direction[lattice->index(p)]; };
  return scene;
}

}  // namespace impasto::demo
