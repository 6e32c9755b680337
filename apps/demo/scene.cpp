// The kinds by name, and a scene's lattice.
#include "apps/demo/scene.h"

#include <memory>
#include <string>

#include "apps/demo/paint.h"
#include "apps/demo/scenes.h"

namespace impasto::demo {
namespace {

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
