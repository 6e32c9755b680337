#pragma once
// Objectives in plain C++ for tests of the optimisers, and an optimiser with its memory.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/backend/devices.h"
#include "engine/style/optimizer.h"

namespace impasto::test {

using Vector = std::vector<double>;
/// Value at x; writes the gradient, which has the size of x.
using Function = std::function<double(const Vector& x, Vector& gradient)>;

inline Vector download(Backend& backend, ConstTensorView view) {
  Vector values(static_cast<std::size_t>(view.shape.elements()));
  backend.download(std::span<double>(values), view);
  return values;
}

inline double value_at(const Function& f, const Vector& x) {
  Vector gradient(x.size());
  return f(x, gradient);
}
inline double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
/// a + t b
inline Vector combine(const Vector& a, double t, const Vector& b) {
  Vector result(a);
  for (std::size_t i = 0; i < a.size(); ++i) result[i] += t * b[i];
  return result;
}

/// Computes on the host what a network would on the device, and keeps what it saw.
class HostObjective final : public Objective {
 public:
  HostObjective(Backend& backend, Function function) : backend_(backend), function_(std::move(function)) {}
  void evaluate(ConstTensorView x, TensorView gradient) override {
    const Vector point = download(backend_, x);
    Vector slope(point.size());
    value_ = function_(point, slope);
    backend_.upload(gradient, std::span<const double>(slope));
    trace.push_back(value_);
    if (value_ < lowest) lowest = value_;
  }
  void write_value(TensorView slot) override { backend_.upload(slot, std::span<const double>(&value_, 1)); }

  Vector trace;
  double lowest = std::numeric_limits<double>::infinity();

 private:
  Backend& backend_;
  Function function_;
  double value_ = 0;
};

/// An optimiser of n = 3 * (start.size() / 3) numbers in memory of its own.
struct Rig {
  Rig(Backend& device, const OptimizerOptions& options, const Vector& start, const PixelRange& range = {})
      : backend(device) {
    const Shape shape{1, static_cast<std::int64_t>(start.size() / 3), 3};
    for (const TensorSpec& spec : optimizer_tensors(options, shape, device.traits().real)) {
      const TensorView view{nullptr, spec.shape, spec.dtype};
      buffers.push_back(device.allocate(view.bytes()));
      tensors.push_back(buffers.back().view(0, spec.shape, spec.dtype));
      // What an uninitialised tensor may hold must not matter.
      device.fill(tensors.back(), std::numeric_limits<double>::quiet_NaN());
    }
    device.upload(tensors[0], std::span<const double>(start));
    optimizer = make_optimizer(options, device, tensors, range);
  }
  [[nodiscard]] Vector x() const { return download(backend, tensors[0]); }
  [[nodiscard]] Vector picture() const { return download(backend, optimizer->picture()); }

  Backend& backend;
  std::vector<Buffer> buffers;
  std::vector<TensorView> tensors;
  std::unique_ptr<Optimizer> optimizer;
};

inline std::unique_ptr<Backend> make_reference() { return make_backend({.device = "reference"}); }

/// 1/2 sum_i a_i (x_i - c_i)^2, a_i from 1 to `condition` in equal ratios, c_i = 10 sin(i).
inline Function bowl(double condition) {
  return [condition](const Vector& x, Vector& g) {
    double value = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double a = std::pow(condition, static_cast<double>(i) / static_cast<double>(x.size() - 1));
      const double d = x[i] - 10 * std::sin(static_cast<double>(i));
      value += a * d * d / 2;
      g[i] = a * d;
    }
    return value;
  };
}

/// Rosenbrock's valley in x.size() dimensions; lowest, 0, at (1, ..., 1).
inline double rosenbrock(const Vector& x, Vector& g) {
  double value = 0;
  std::fill(g.begin(), g.end(), 0.0);
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    value += 100 * a * a + b * b;
    g[i] += -400 * x[i] * a - 2 * b;
    g[i + 1] += 200 * a;
  }
  return value;
}

inline Vector zeros(std::size_t n) { return Vector(n, 0.0); }
/// Repeatable numbers in -1..1.
inline Vector noise(std::size_t n, std::uint32_t seed) {
  Vector values(n);
  for (double& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<double>(seed >> 8) / (1 << 23) - 1;
  }
  return values;
}
inline double norm(const Vector& a) {
  double sum = 0;
  for (const double value : a) sum += value * value;
  return std::sqrt(sum);
}
/// |a - b| / |b|
inline double relative_distance(const Vector& a, const Vector& b) {
  Vector difference(a);
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] -= b[i];
  return norm(difference) / norm(b);
}

}  // namespace impasto::test
