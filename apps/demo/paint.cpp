#include "apps/demo/paint.h"

#include <numbers>

#include "apps/demo/scene.h"
#include "engine/core/message.h"

namespace impasto::demo {
namespace {

/// The wet picture: colour and the paint's height at every pixel.
struct Canvas {
  std::int64_t width, height;
  std::vector<Rgb> colour;
  std::vector<double> relief;
  std::size_t index(std::int64_t x, std::int64_t y) const { return static_cast<std::size_t>(y * width + x); }
};

struct Stroke {
  std::vector<Point> path;  ///< pixels
  double width = 0;         ///< pixels
  Rgb colour, second;       ///< a brush loaded with two paints
  std::uint64_t seed = 0;
};

/// Where each pixel lies on one stroke: `along` its path
/// and `across` it (-1..1), both from the nearest piece.
struct Footprint {
  std::int64_t left = 0, top = 0, width = 0, height = 0;
  std::vector<float> along, across, distance;
};

void trace_footprint(const Stroke& stroke, const Canvas& canvas, Footprint& out) {
  const double radius = stroke.width / 2;
  Point low = stroke.path.front(), high = low;
  for (const Point& p : stroke.path) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  const auto clip = [](double v, std::int64_t size) {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::floor(v)), 0, size);
  };
  out.left = clip(low.x - radius, canvas.width);
  out.top = clip(low.y - radius, canvas.height);
  out.width = clip(high.x + radius + 2, canvas.width) - out.left;
  out.height = clip(high.y + radius + 2, canvas.height) - out.top;
  const auto pixels = static_cast<std::size_t>(std::max<std::int64_t>(0, out.width * out.height));
  out.distance.assign(pixels, std::numeric_limits<float>::max());
  out.along.resize(pixels);
  out.across.resize(pixels);
  double start = 0;
  for (std::size_t i = 0; i + 1 < stroke.path.size(); ++i) {
    const Point a = stroke.path[i], b = stroke.path[i + 1], ab = b - a;
    const double piece = std::max(length(ab), 1e-6);
    const std::int64_t x0 = clip(std::min(a.x, b.x) - radius, canvas.width),
                       x1 = clip(std::max(a.x, b.x) + radius + 2, canvas.width);
    const std::int64_t y0 = clip(std::min(a.y, b.y) - radius, canvas.height),
                       y1 = clip(std::max(a.y, b.y) + radius + 2, canvas.height);
    for (std::int64_t y = y0; y < y1; ++y) {
      for (std::int64_t x = x0; x < x1; ++x) {
        const Point ap = Point{static_cast<double>(x), static_cast<double>(y)} - a;
        const double t = std::clamp(dot(ap, ab) / (piece * piece), 0.0, 1.0);
        const double away = length(ap - t * ab);
        const auto k = static_cast<std::size_t>((y - out.top) * out.width + x - out.left);
        if (away > radius || away >= out.distance[k]) continue;
        out.distance[k] = static_cast<float>(away);
        out.along[k] = static_cast<float>(start + t * piece);
        out.across[k] = static_cast<float>((ab.x * ap.y - ab.y * ap.x >= 0 ? away : -away) / radius);
      }
    }
    start += piece;
  }
}

void apply(Canvas& canvas, const Stroke& stroke, const Layer& layer, double pixels_per_unit,
           Footprint& print) {
  trace_footprint(stroke, canvas, print);
  const Noise noise(stroke.seed);
  double total = 0;
  for (std::size_t i = 0; i + 1 < stroke.path.size(); ++i)
    total += length(stroke.path[i + 1] - stroke.path[i]);
  const double radius = stroke.width / 2, bristles = std::clamp(1.1 * radius / pixels_per_unit, 1.5, 11.0);
  for (std::int64_t y = 0; y < print.height; ++y) {
    for (std::int64_t x = 0; x < print.width; ++x) {
      const auto k = static_cast<std::size_t>(y * print.width + x);
      if (print.distance[k] > radius) continue;
      const double across = print.across[k], along = print.along[k];
      const double wander = along / (stroke.width * 7);  // a hair keeps to its lane for some widths
      const double hair = 0.5 + 0.5 * noise.at(across * bristles + 40, wander) * 0.75 +
                          0.125 * noise.at(across * bristles * 2.3, wander * 1.7 + 9);
      const double used = total > 0 ? along / total : 0.5;
      // The hairs with least paint run dry first, towards the end of the stroke and at its edges.
      const double needed = layer.dryness * (0.15 + 0.6 * used * used + 0.35 * across * across);
      const double inked = smoothstep(needed - 0.12, needed + 0.12, hair + 0.1);
      const double edge = smoothstep(0, std::min(1.0, 1.2 / radius), 1 - std::abs(across));
      const double alpha = layer.opacity * edge * inked;
      if (alpha <= 0.004) continue;
      const double blend = smoothstep(-0.25, 0.25, noise.at(across * 1.6 + 7, wander * 0.6 + 3));
      const double streak = 0.13 * (hair - 0.5);
      Rgb paint = mix(stroke.colour, stroke.second, blend);
      paint = {paint.r + streak, paint.g + streak, paint.b + streak};
      const std::size_t at = canvas.index(x + print.left, y + print.top);
      canvas.colour[at] = mix(canvas.colour[at], paint, alpha);
      // Hairs plough furrows; paint is pushed to the sides and heaped where the brush was lifted.
      const double ridge = 0.55 * std::exp(-std::pow((std::abs(across) - 0.82) / 0.13, 2));
      const double heap =
          0.6 * smoothstep(1.0, 0.0, (total - along) / (0.7 * stroke.width)) * (1 - across * across);
      const double body = layer.thickness * std::min(1.6, 0.35 + 0.13 * stroke.width / pixels_per_unit) *
                          (0.25 + 0.75 * hair + ridge + heap);
      canvas.relief[at] = mix(canvas.relief[at], 0.45 * canvas.relief[at] + body, alpha);
    }
  }
}

Rgb jitter(Rgb c, double amount, Random& random) {
  const double light = amount * random.uniform(-1, 1);
  const auto channel = [&](double v) { return v + light + 0.6 * amount * random.uniform(-1, 1); };
  return {channel(c.r), channel(c.g), channel(c.b)};
}

/// Follows the direction from `start` both ways alike until
/// the colour has changed or the stroke is long enough.
std::vector<Point> follow(const Scene& scene, const Layer& layer, Point start, Rgb colour, double stray) {
  const double step = std::max(1.0, layer.width / 4);
  const int steps = static_cast<int>(layer.length * layer.width / step);
  std::vector<Point> path{start};
  double previous = scene.direction(start) + layer.turn + stray;
  if (steps == 0)
    return {start,
            start + Point{0.35 * layer.width * std::cos(previous), 0.35 * layer.width * std::sin(previous)}};
  Point p = start;
  for (int i = 0; i < steps; ++i) {
    double angle = scene.direction(p) + layer.turn + stray;
    if (std::cos(angle - previous) < 0) angle += std::numbers::pi;
    const Point heading{0.6 * std::cos(angle) + 0.4 * std::cos(previous),
                        0.6 * std::sin(angle) + 0.4 * std::sin(previous)};
    previous = std::atan2(heading.y, heading.x);
    p = p + Point{step * std::cos(previous), step * std::sin(previous)};
    if (i >= 2 && distance(scene.colour(p), colour) > layer.tolerance) break;
    path.push_back(p);
  }
  return path;
}

void paint_layer(Canvas& canvas, const Scene& scene, const Layer& layer, Random& random) {
  const double scale =
      static_cast<double>(std::max(canvas.width, canvas.height)) / std::max(scene.width, scene.height);
  const double grid = layer.spacing * layer.width * (layer.length > 3 ? 1.25 : 1.0);
  std::vector<Point> starts;
  for (double y = -layer.width; y < scene.height + layer.width; y += grid) {
    for (double x = -layer.width; x < scene.width + layer.width; x += grid) {
      starts.push_back({x + grid * random.uniform(), y + grid * random.uniform()});
    }
  }
  for (std::size_t i = starts.size(); i > 1; --i) std::swap(starts[i - 1], starts[random.next() % i]);
  Footprint print;
  for (const Point& start : starts) {
    if (random.uniform() > layer.share) continue;
    const Rgb seen = scene.colour(start);
    // Sparser where the scene is only a little darker than the limit, so that tones grade.
    if (luminance(seen) > layer.max_tone - 0.12 * random.uniform()) continue;
    Stroke stroke;
    stroke.colour = jitter(layer.ink ? scene.ink : seen, layer.jitter, random);
    if (!layer.ink && !scene.accents.empty() && random.uniform() < scene.accent_share) {
      stroke.colour =
          mix(stroke.colour, scene.accents[random.next() % scene.accents.size()], scene.accent_pull);
    }
    stroke.second = jitter(stroke.colour, 0.8 * layer.jitter, random);
    stroke.seed = random.next();
    stroke.width = scale * layer.width * random.uniform(0.75, 1.2);
    stroke.path = follow(scene, layer, start, seen, layer.stray * random.uniform(-1, 1));
    if (layer.length > 0 && stroke.path.size() < 3) continue;
    for (Point& p : stroke.path) p = scale * p;
    apply(canvas, stroke, layer, scale, print);
  }
}

/// Lights the relief from the upper left: diffuse light by the slope, and the gloss of oil.
Image light(const Canvas& canvas, const Scene& scene) {
  Image image{canvas.width, canvas.height, {}, {}};
  image.rgb.resize(static_cast<std::size_t>(3 * canvas.width * canvas.height));
  const double scale =
      static_cast<double>(std::max(canvas.width, canvas.height)) / std::max(scene.width, scene.height);
  for (std::int64_t y = 0; y < canvas.height; ++y) {
    for (std::int64_t x = 0; x < canvas.width; ++x) {
      const auto relief = [&](std::int64_t dx, std::int64_t dy) {
        return canvas.relief[canvas.index(std::clamp<std::int64_t>(x + dx, 0, canvas.width - 1),
                                          std::clamp<std::int64_t>(y + dy, 0, canvas.height - 1))];
      };
      const double weave = 0.18 * scene.canvas;
      const double u = 2 * std::numbers::pi * static_cast<double>(x) / (3.7 * scale),
                   v = 2 * std::numbers::pi * static_cast<double>(y) / (3.7 * scale);
      const double slope_x =
          scale * (relief(1, 0) - relief(-1, 0)) / 2 + weave * std::cos(u) * (0.5 + 0.5 * std::cos(v));
      const double slope_y =
          scale * (relief(0, 1) - relief(0, -1)) / 2 + weave * std::cos(v) * (0.5 - 0.5 * std::cos(u));
      const double towards_light = scene.relief * (slope_x + 1.2 * slope_y);
      const double shade = 1 + 0.34 * std::tanh(0.75 * towards_light);
      const double gloss = 0.10 * scene.relief * smoothstep(0.5, 1.8, towards_light);
      const Rgb& c = canvas.colour[canvas.index(x, y)];
      float* out = &image.rgb[3 * canvas.index(x, y)];
      out[0] = static_cast<float>(std::clamp(c.r * shade + gloss, 0.0, 1.0));
      out[1] = static_cast<float>(std::clamp(c.g * shade + gloss, 0.0, 1.0));
      out[2] = static_cast<float>(std::clamp(c.b * shade + gloss, 0.0, 1.0));
    }
  }
  return image;
}

}  // namespace

Image paint(const PaintOptions& options) {
  const auto num_kinds = static_cast<int>(paint_kinds().size());
  if (options.kind < 0 || options.kind >= num_kinds) {
    throw make_error(ErrorCode::kUsage, "kind: expected 0 to {}, found {}", num_kinds - 1, options.kind);
  }
  for (const std::int64_t side : {options.width, options.height}) {
    if (side < 16 || side > 8192) {
      throw make_error(ErrorCode::kUsage, "size: expected sides of 16 to 8192 pixels, found {}", side);
    }
  }
  const double unit = 640.0 / static_cast<double>(std::max(options.width, options.height));
  const Scene scene = make_scene(options.kind, unit * static_cast<double>(options.width),
                                 unit * static_cast<double>(options.height), options.seed);
  const auto pixels = static_cast<std::size_t>(options.width * options.height);
  Canvas canvas{options.width, options.height, std::vector<Rgb>(pixels, scene.ground),
                std::vector<double>(pixels, 0.0)};
  Random random(mix_bits(options.seed) + static_cast<std::uint64_t>(options.kind));
  for (const Layer& layer : scene.layers) paint_layer(canvas, scene, layer, random);
  return light(canvas, scene);
}

}  // namespace impasto::demo
