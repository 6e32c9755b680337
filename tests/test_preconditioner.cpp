// L-BFGS from a pyramid: its matrix, its path against the two-loop recursion, and what it is for.
#include "engine/style/preconditioner.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>

#include "engine/backend/devices.h"
#include "kernels/line_search.h"
#include "tests/support/catch.h"
#include "tests/support/host_objective.h"
#include "tests/support/test_device.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// A pyramid with memory of its own.
class Pyramid {
 public:
  Pyramid(Backend& backend, Shape shape) : backend_(backend), shape_(shape) {
    for (const TensorSpec& spec : PyramidPreconditioner::tensors(shape, backend.traits().real)) {
      levels_.push_back(make(spec.shape));
    }
    pyramid_ = std::make_unique<PyramidPreconditioner>(backend, levels_);
    in_ = make(shape);
    out_ = make(shape);
  }
  Vector operator()(const Vector& v) {
    backend_.upload(in_, std::span<const double>(v));
    pyramid_->apply(out_, in_);
    return download(backend_, out_);
  }

 private:
  TensorView make(Shape shape) {
    const TensorView view{nullptr, shape, backend_.traits().real};
    buffers_.push_back(backend_.allocate(view.bytes()));
    const TensorView made = buffers_.back().view(0, shape, backend_.traits().real);
    backend_.fill(made, std::numeric_limits<double>::quiet_NaN());
    return made;
  }
  Backend& backend_;
  Shape shape_;
  std::vector<Buffer> buffers_;
  std::vector<TensorView> levels_;
  std::unique_ptr<PyramidPreconditioner> pyramid_;
  TensorView in_, out_;
};

using Matrix = std::function<Vector(const Vector&)>;

/// The points at which L-BFGS with H0 = 2 gamma B evaluates, gamma the mean of y.s / y.By over the ten newest
/// pairs, by the two-loop recursion (Nocedal, Wright, algorithm 7.4) on vectors of the host. The first move
/// and restarts are not its business: it follows `path` until the first pair.
std::vector<Vector> two_loop_path(const Function& f, const std::vector<Vector>& path, const Matrix& b,
                                  std::size_t history) {
  std::deque<std::pair<Vector, Vector>> pairs;
  std::vector<Vector> expected{path[0]};
  Vector base = path[0], base_gradient(base.size()), gradient(base.size()), d;
  double base_value = f(base, base_gradient);
  WolfeSearch search;
  d = b(base_gradient);
  for (double& component : d) component = -component;
  const double first = std::sqrt(dot(combine(path[1], -1, base), combine(path[1], -1, base)) / dot(d, d));
  search.begin(base_value, dot(base_gradient, d), first, std::numeric_limits<double>::infinity());
  for (std::size_t k = 1; k < path.size(); ++k) {
    const Vector x = combine(base, search.trial(), d);
    expected.push_back(x);
    const double value = f(x, gradient);
    if (search.judge(value, dot(gradient, d)) != WolfeSearch::Verdict::kAccept) continue;
    pairs.emplace_front(combine(x, -1, base), combine(gradient, -1, base_gradient));  // newest first
    if (pairs.size() > history) pairs.pop_back();
    base = x;
    base_gradient = gradient;
    base_value = value;
    Vector q = gradient;
    std::vector<double> alpha;
    for (const auto& [s, y] : pairs) {
      alpha.push_back(dot(s, q) / dot(s, y));
      q = combine(q, -alpha.back(), y);
    }
    d = b(q);
    const std::size_t num_newest = std::min<std::size_t>(pairs.size(), 10);
    double gamma = 0;
    for (std::size_t i = 0; i < num_newest; ++i)
      gamma += dot(pairs[i].first, pairs[i].second) / dot(pairs[i].second, b(pairs[i].second));
    for (double& component : d) component *= 2 * gamma / static_cast<double>(num_newest);
    for (std::size_t i = pairs.size(); i-- > 0;) {
      const auto& [s, y] = pairs[i];
      d = combine(d, alpha[i] - dot(y, d) / dot(s, y), s);
    }
    for (double& component : d) component = -component;
    search.begin(base_value, dot(base_gradient, d), 1, std::numeric_limits<double>::infinity());
  }
  return expected;
}

OptimizerOptions options_with(Preconditioner preconditioner, int history) {
  OptimizerOptions options;
  options.history = history;
  options.preconditioner = preconditioner;
  return options;
}

/// 1/2 sum of (differences of neighbours of (x - c))^2 + 1/2000 sum (x - c)^2 along a line of pixels: as
/// steep as 4 for the finest pattern, nearly flat for the coarsest.
double smooth_line(const Vector& x, Vector& g) {
  double value = 0;
  Vector e(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) e[i] = x[i] - 10 * std::sin(0.3 * static_cast<double>(i / 3));
  for (std::size_t i = 0; i < x.size(); ++i) {
    value += e[i] * e[i] / 2000;
    g[i] = e[i] / 1000;
  }
  for (std::size_t i = 0; i + 3 < x.size(); ++i) {
    const double d = e[i + 3] - e[i];
    value += d * d / 2;
    g[i + 3] += d;
    g[i] -= d;
  }
  return value;
}

}  // namespace

TEST_CASE("the pyramid is symmetric and at least the identity at every size") {
  const auto backend = make_reference();
  for (const Shape shape : {Shape{1, 1, 3}, Shape{1, 7, 3}, Shape{8, 1, 3}, Shape{5, 13, 3}, Shape{16, 12, 3},
                            Shape{33, 18, 3}}) {
    Pyramid b(*backend, shape);
    for (std::uint32_t seed = 1; seed <= 5; ++seed) {
      INFO(to_string(shape) << " seed " << seed);
      const auto n = static_cast<std::size_t>(shape.elements());
      const Vector u = noise(n, seed), v = noise(n, seed + 100), bv = b(v);
      CHECK(std::abs(dot(u, bv) - dot(b(u), v)) <= 1e-13 * norm(u) * norm(bv));
      CHECK(dot(v, bv) >= dot(v, v) * (1 - 1e-13));
    }
  }
}

TEST_CASE("the pyramid multiplies a constant by its levels and the finest pattern by one") {
  const auto backend = make_reference();
  Pyramid b(*backend, {16, 32, 3});
  for (const double value : b(Vector(16 * 32 * 3, 2.0))) CHECK(std::abs(value - 10) < 1e-12);
  Vector stripes(16 * 32 * 3);
  for (std::size_t i = 0; i < stripes.size(); ++i) stripes[i] = i / 3 % 2 == 0 ? 1 : -1;
  const Vector result = b(stripes);
  for (std::size_t x = 8; x < 16; ++x)
    CHECK(std::abs(result[3 * (8 * 32 + x)] - stripes[3 * (8 * 32 + x)]) < 0.1);
}

TEST_CASE("halve_transposed_add is the transpose of halve on every device") {
  for (const std::string& device : op_devices()) {
    const auto backend = make_backend({.device = device, .threads = 2});
    for (const Shape shape : {Shape{1, 1, 3}, Shape{2, 1, 3}, Shape{7, 9, 3}, Shape{40, 31, 3}}) {
      const Shape half{(shape.h + 1) / 2, (shape.w + 1) / 2, 3};
      const DType real = backend->traits().real;
      const auto memory = [&](Shape s) { return backend->allocate(TensorView{nullptr, s, real}.bytes()); };
      Buffer x_memory = memory(shape), y_memory = memory(half), back_memory = memory(shape);
      const TensorView x = x_memory.view(0, shape, real), y = y_memory.view(0, half, real),
                       back = back_memory.view(0, shape, real);
      const Vector u = noise(static_cast<std::size_t>(shape.elements()), 1),
                   v = noise(static_cast<std::size_t>(half.elements()), 2);
      backend->upload(x, std::span<const double>(u));
      backend->halve(y, x);
      const Vector du = download(*backend, y);
      backend->upload(y, std::span<const double>(v));
      backend->fill(back, 0);
      backend->halve_transposed_add(back, y, 1);
      const Vector dv = download(*backend, back);
      INFO(device << " " << to_string(shape));
      CHECK(std::abs(dot(du, v) - dot(u, dv)) <= 1e-6 * (1 + norm(du) * norm(v)));
    }
  }
}

TEST_CASE(
    "preconditioned L-BFGS steps as the two-loop recursion does, and plain L-BFGS as with the identity") {
  const auto backend = make_reference();
  const Vector start = noise(60, 3);
  for (const Function& f : {bowl(50), Function(smooth_line), Function(rosenbrock)}) {
    for (const Preconditioner kind : {Preconditioner::kNone, Preconditioner::kPyramid}) {
      for (const int history : {3, 40}) {
        Rig rig(*backend, options_with(kind, history), start);
        Pyramid pyramid(*backend, rig.tensors[0].shape);
        const Matrix b = kind == Preconditioner::kNone ? Matrix([](const Vector& v) { return v; })
                                                       : Matrix([&](const Vector& v) { return pyramid(v); });
        std::vector<Vector> path;
        HostObjective objective(*backend, [&](const Vector& x, Vector& g) {
          path.push_back(x);
          return f(x, g);
        });
        for (int i = 0; i < 20; ++i) rig.optimizer->step(objective);
        const std::vector<Vector> expected = two_loop_path(f, path, b, static_cast<std::size_t>(history));
        for (std::size_t k = 0; k < path.size(); ++k) {
          INFO(to_string(kind) << " history " << history << " step " << k);
          CHECK(relative_distance(path[k], expected[k]) < 1e-6);
        }
      }
    }
  }
}

TEST_CASE("where coarse features are flat, the pyramid takes far fewer evaluations") {
  const auto backend = make_reference();
  const auto evaluations = [&](Preconditioner kind) {
    Rig rig(*backend, options_with(kind, 10), zeros(3 * 128));
    HostObjective objective(*backend, smooth_line);
    for (int i = 1; i <= 500; ++i) {
      rig.optimizer->step(objective);
      if (objective.lowest < 1e-6) return i;
    }
    return 500;
  };
  const int plain = evaluations(Preconditioner::kNone), pyramid = evaluations(Preconditioner::kPyramid);
  INFO(plain << " and " << pyramid);
  CHECK(plain < 500);
  CHECK(pyramid < 0.75 * plain);
}
