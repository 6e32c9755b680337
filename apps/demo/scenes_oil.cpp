// Scenes in oil: the same brushes, broad to fine, over a landscape.
#include <memory>

#include "apps/demo/scenes.h"

namespace impasto::demo {
namespace {

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

// --- night

/// A sky whose flow turns around stars and whirls; a tree and a village on hills before it.
struct Night {
  double w, h;
  Noise noise;
  std::vector<Disc> stars, whirls;

  Night(double width, double height, std::uint64_t seed);
  double hills(double x) const {
    return 0.74 * h + 32 * noise.fractal(x / 150, 3.3) - 22 * std::sin(x / w * kPi * 1.3 + 0.4);
  }
  bool in_tree(Point p) const;
  double direction(Point p) const;
  double sky_direction(Point p) const;
  Rgb colour(Point p) const;
  Rgb hill_colour(Point p, double base) const;
  Rgb sky_colour(Point p) const;
};

Night::Night(double width, double height, std::uint64_t seed)
    : w(width),
      h(height),
      noise(seed + 11),
      whirls{{{0.44 * w, 0.36 * h}, 95, {}}, {{0.63 * w, 0.47 * h}, 60, {}}} {
  Random random(seed * 977 + 5);
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
}

bool Night::in_tree(Point p) const {
  const double t = (p.y - 0.10 * h) / (0.92 * h);
  if (t < 0) return false;
  const double centre = 0.155 * w + 9 * std::sin(t * 9) + 6 * noise.at(t * 5, 0);
  return std::abs(p.x - centre) <
         4 + 48 * std::pow(t, 0.75) * (1 - 0.45 * t) + 5 * noise.at(p.y / 14, p.x > centre ? 4 : 8);
}

double Night::direction(Point p) const {
  if (in_tree(p)) return kPi / 2 + 0.5 * std::sin(p.y / 34 + 1.5 * noise.at(p.x / 20, p.y / 60));
  const double base = hills(p.x);
  if (p.y > base)
    return std::atan2(hills(p.x + 4) - hills(p.x - 4), 8.0) + 0.35 * noise.at(p.x / 60, p.y / 25);
  return sky_direction(p);
}

double Night::sky_direction(Point p) const {
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
}

Rgb Night::colour(Point p) const {
  if (in_tree(p))
    return ramp({hex(0x0b1210), hex(0x1d2b1a), hex(0x3a3b1e), hex(0x54401f)},
                0.45 + 0.6 * noise.at(p.x / 7, p.y / 55));
  const double base = hills(p.x);
  return p.y > base ? hill_colour(p, base) : sky_colour(p);
}

/// Of the hills, which begin at `base`, and the houses on them.
Rgb Night::hill_colour(Point p, double base) const {
  const double cell = std::floor(p.x / 33), inside = p.x / 33 - cell - 0.5;
  const double house = noise.at(cell * 7.7 + 0.5, 1.5), up = hills(33 * (cell + 0.5)) + 62 + 20 * house - p.y;
  if (house > -0.3 && p.x > 0.3 * w && up > 0) {
    if (up < 20) return std::abs(inside) < 0.16 && up > 4 ? hex(0xffd75a) : hex(0x7f9fb4);
    if (up < 38 && std::abs(inside) < (38 - up) / 36) return hex(house > 0.2 ? 0x9a4f2c : 0x2b3f66);
  }
  const double depth = (p.y - base) / (h - base + 1);
  return ramp({hex(0x3f6f9c), hex(0x27508a), hex(0x1f4a5e), hex(0x2c5a3c), hex(0x16302f)},
              depth + 0.28 * noise.fractal(p.x / 70, p.y / 18));
}

Rgb Night::sky_colour(Point p) const {
  static const std::vector<Rgb> blues{hex(0x0e1a44), hex(0x1d3a86), hex(0x2f62ad),
                                      hex(0x5b97c6), hex(0xa9cfd0), hex(0xe8e6b8)};
  // Bands across the flow: noise that is stretched along it.
  const double angle = sky_direction(p);
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
}

// --- autumn

/// Crowns on trunks at both sides of a path.
struct Autumn {
  double w, h;
  Noise noise;
  std::vector<Rgb> leaves{hex(0x7d1f1a), hex(0xb5351c), hex(0xd9622b), hex(0xe8932f),
                          hex(0xf2bf45), hex(0xc9a23a), hex(0x7a7a30)};
  std::vector<Disc> crowns;

  Autumn(double width, double height, std::uint64_t seed);
  double ground(double x) const { return 0.66 * h + 10 * noise.fractal(x / 110, 1.0); }
  const Disc* crown_at(Point p) const;
  bool in_path(Point p) const;
  double direction(Point p) const;
  Rgb colour(Point p) const;
  Rgb crown_colour(const Disc& d, Point p) const;
};

Autumn::Autumn(double width, double height, std::uint64_t seed) : w(width), h(height), noise(seed + 23) {
  Random random(seed * 1301 + 3);
  for (int i = 0; i < 22; ++i) {
    const double side = random.uniform() < 0.5 ? random.uniform(-0.02, 0.36) : random.uniform(0.64, 1.02);
    const double near = std::abs(side - 0.5) * 2;
    crowns.push_back({{side * w, h * (0.56 - 0.34 * near * random.uniform(0.3, 1.1))},
                      22 + 52 * near * random.uniform(0.5, 1.0),
                      ramp(leaves, random.uniform())});
  }
}

/// The last of those that cover p; null: none does.
const Disc* Autumn::crown_at(Point p) const {
  const Disc* found = nullptr;
  for (int i = 0; i < static_cast<int>(crowns.size()); ++i) {
    const Disc& d = crowns[static_cast<std::size_t>(i)];
    const Point away = p - d.centre;
    if (length({away.x, 1.15 * away.y}) < d.radius * (1 + 0.35 * noise.fractal(p.x / 28 + i, p.y / 28)))
      found = &d;
  }
  return found;
}

bool Autumn::in_path(Point p) const {
  const double t = (p.y - ground(p.x)) / (0.34 * h);
  return t > 0 && std::abs(p.x - w * (0.5 + 0.09 * std::sin(3.2 * t))) < 14 + 150 * t * t + 40 * t;
}

double Autumn::direction(Point p) const {
  if (const Disc* crown = crown_at(p)) {
    const Point away = p - crown->centre;
    return std::atan2(away.y, away.x) + kPi / 2 + 0.9 * noise.at(p.x / 26, p.y / 26);
  }
  if (p.y > ground(p.x))
    return 0.12 * std::sin(p.x / 60) + 0.4 * noise.at(p.x / 70, p.y / 20) +
           (p.x - w / 2) / w * 0.7 * (in_path(p) ? 1 : -0.4);
  return 0.5 + 1.1 * noise.at(p.x / 150, p.y / 110);
}

Rgb Autumn::colour(Point p) const {
  if (const Disc* crown = crown_at(p)) return crown_colour(*crown, p);
  const double base = ground(p.x);
  for (const Disc& d : crowns) {  // their trunks
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
}

Rgb Autumn::crown_colour(const Disc& d, Point p) const {
  const double grain = noise.fractal(p.x / 15, p.y / 15);
  const double sun = (dot(p - d.centre, {-0.6, -0.8})) / d.radius;
  const Rgb leaf = mix(d.colour, ramp(leaves, 0.5 + 0.6 * grain), 0.45);
  return sun + 0.5 * grain > 0 ? mix(leaf, hex(0xffe08a), std::clamp(0.45 * sun + 0.35 * grain, 0.0, 0.6))
                               : mix(leaf, hex(0x3a1c3c), std::clamp(-0.6 * sun - 0.4 * grain, 0.0, 0.75));
}

/// Colour and direction are the place's, which lives as long as the scene.
template <class Place>
void set_place(Scene& s, std::shared_ptr<const Place> place) {
  s.direction = [place](Point p) { return place->direction(p); };
  s.colour = [place](Point p) { return place->colour(p); };
}

}  // namespace

Scene night(double w, double h, std::uint64_t seed) {
  Scene s;
  s.ground = hex(0x1b2a52);
  s.accents = {hex(0xf2c14e), hex(0x7fc8c2), hex(0xf6f0d0)};
  s.layers = oil_layers();
  set_place(s, std::make_shared<const Night>(w, h, seed));
  return s;
}

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
  set_place(s, std::make_shared<const Autumn>(w, h, seed));
  return s;
}

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

}  // namespace impasto::demo
