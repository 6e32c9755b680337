#include "engine/selftest/op_bench.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "engine/core/error.h"

namespace impasto {
namespace {

constexpr double kPoison = std::numeric_limits<double>::quiet_NaN();
double poison(DType dtype) { return dtype == DType::kUInt8 ? 0xA5 : kPoison; }
float sentinel(DType dtype) { return dtype == DType::kUInt8 ? 0xC9 : 12352; }  // exact in 16 bits
constexpr std::size_t kSentinelBytes = 256;  // at least the widest store of any device

DType dtype_of(const Backend& backend, Role role) {
  switch (role) {
    case Role::kActivation: return backend.traits().activation;
    case Role::kReal: return backend.traits().real;
    case Role::kCodes: return DType::kUInt8;
    case Role::kSlot: break;
  }
  return DType::kFloat64;
}

/// Memory beside a tensor, as elements of its type.
TensorView elements(const Buffer& memory, std::size_t begin, std::size_t end, DType dtype) {
  return memory.view(begin, {1, 1, static_cast<std::int64_t>((end - begin) / size_of(dtype))}, dtype);
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

std::vector<double> make_values(Values kind, Shape shape, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> whole(-2, 2);
  std::uniform_real_distribution<double> pixel(-128, 128);
  std::vector<double> values(static_cast<std::size_t>(shape.elements()));
  for (double& value : values) {
    switch (kind) {
      case Values::kNormal:
      case Values::kSymmetric: value = normal(engine); break;
      case Values::kFeatures: value = std::max(0.0, normal(engine)); break;
      case Values::kTies: value = whole(engine); break;
      case Values::kPixels: value = pixel(engine); break;
    }
  }
  if (kind == Values::kSymmetric) {
    const auto c = static_cast<std::size_t>(shape.c);
    for (std::size_t a = 0; a < c; ++a) {
      for (std::size_t b = 0; b < a; ++b) values[a * c + b] = values[b * c + a];
    }
  }
  return values;
}

OpBench::Operand& OpBench::add(const char* name, DType dtype, Shape shape, std::int64_t stored_channels) {
  const Shape stored{shape.h, shape.w, std::max(shape.c, stored_channels)};
  const std::size_t position = static_cast<std::size_t>(stored.c) * size_of(dtype);
  Operand operand;
  operand.name = name;
  operand.shape = shape;
  operand.offset = std::max(backend_.traits().alignment, kSentinelBytes);
  if (shifted_) operand.offset += position;
  const std::size_t bytes = static_cast<std::size_t>(stored.elements()) * size_of(dtype);
  operand.memory = backend_.allocate(operand.offset + bytes + kSentinelBytes);
  operand.view = operand.memory.view(operand.offset, stored, dtype);
  operands_.push_back(std::move(operand));
  return operands_.back();
}

OpBench::Operand& OpBench::add(const char* name, Role role, Shape shape, std::int64_t stored_channels,
                               std::vector<double> start) {
  const std::size_t index = operands_.size();
  Operand& operand = add(name, dtype_of(backend_, role), shape, stored_channels);
  operand.read = true;
  operand.start = inputs_of_ == nullptr ? std::move(start) : inputs_of_->operands_.at(index).start;
  if (operand.start.size() != static_cast<std::size_t>(shape.elements())) {
    throw Error(ErrorCode::kInternal, std::string("bench: ") + name + ": expected values for " +
                                          to_string(shape) + ", found " +
                                          std::to_string(operand.start.size()));
  }
  const auto stored_c = static_cast<std::size_t>(operand.view.shape.c);
  const auto c = static_cast<std::size_t>(shape.c);
  std::vector<double> stored(static_cast<std::size_t>(operand.view.shape.elements()), kPoison);
  for (std::size_t i = 0; i < operand.start.size(); ++i) stored[i / c * stored_c + i % c] = operand.start[i];
  backend_.upload(operand.view, std::span<const double>(stored));
  operand.start = download(operand);  // as the device's dtype holds it
  return operand;
}

ConstTensorView OpBench::input(const char* name, Role role, Shape shape, Values values,
                               std::int64_t stored_channels) {
  return add(name, role, shape, stored_channels, make_values(values, shape, seed_ + operands_.size())).view;
}

ConstTensorView OpBench::input(const char* name, Role role, Shape shape, std::vector<double> values) {
  return add(name, role, shape, 0, std::move(values)).view;
}

TensorView OpBench::output(const char* name, Role role, Shape shape, std::int64_t stored_channels) {
  Operand& operand = add(name, dtype_of(backend_, role), shape, stored_channels);
  operand.written = true;
  return operand.view;
}

TensorView OpBench::in_out(const char* name, Role role, Shape shape, Values values) {
  return in_out(name, role, shape, make_values(values, shape, seed_ + operands_.size()));
}

TensorView OpBench::in_out(const char* name, Role role, Shape shape, std::vector<double> values) {
  Operand& operand = add(name, role, shape, 0, std::move(values));
  operand.written = true;
  return operand.view;
}

TensorView OpBench::result(const char* name, Role role, Shape shape, Accumulate accumulate) {
  return accumulate == Accumulate::kAdd ? in_out(name, role, shape, Values::kNormal)
                                        : output(name, role, shape);
}

Workspace OpBench::workspace(std::size_t bytes) {
  if (bytes == 0) return {};
  // Never shifted: a workspace has the backend's full
  // alignment. Rounded up to whole floats, for the sentinel.
  const bool shifted = std::exchange(shifted_, false);
  const auto count = static_cast<std::int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
  Operand& operand = add("workspace", DType::kFloat32, {1, 1, count}, 0);
  shifted_ = shifted;
  return {operand.view.data, bytes};
}

std::vector<double> OpBench::download(const Operand& operand) const {
  std::vector<double> stored(static_cast<std::size_t>(operand.view.shape.elements()));
  backend_.download(std::span<double>(stored), operand.view);
  if (operand.view.shape == operand.shape) return stored;
  std::vector<double> values(static_cast<std::size_t>(operand.shape.elements()));
  const auto c = static_cast<std::size_t>(operand.shape.c);
  const auto stored_c = static_cast<std::size_t>(operand.view.shape.c);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = stored[i / c * stored_c + i % c];
  return values;
}

void OpBench::set_sentinels(const Operand& operand) {
  const DType dtype = operand.view.dtype;
  backend_.fill(elements(operand.memory, 0, operand.offset, dtype), sentinel(dtype));
  backend_.fill(
      elements(operand.memory, operand.offset + operand.view.bytes(), operand.memory.bytes(), dtype),
      sentinel(dtype));
}

bool OpBench::sentinels_intact(const Operand& operand) const {
  for (const TensorView& view : {elements(operand.memory, 0, operand.offset, operand.view.dtype),
                                 elements(operand.memory, operand.offset + operand.view.bytes(),
                                          operand.memory.bytes(), operand.view.dtype)}) {
    std::vector<float> values(static_cast<std::size_t>(view.shape.elements()));
    backend_.download(std::span<float>(values), view);
    const float expected = sentinel(view.dtype);
    if (std::any_of(values.begin(), values.end(), [=](float value) { return value != expected; }))
      return false;
  }
  return true;
}

OpBench::Result OpBench::run(const std::function<void()>& call) {
  for (const Operand& operand : operands_) {
    set_sentinels(operand);
    if (!operand.read) {
      backend_.fill(operand.view, poison(operand.view.dtype));
    } else if (operand.written) {
      backend_.upload(operand.view, std::span<const double>(operand.start));
    }
  }
  call();
  Result result;
  for (const Operand& operand : operands_) {
    if (!sentinels_intact(operand)) result.problem = operand.name + ": memory beside it was written";
    if (!operand.read && !operand.written) continue;  // workspace
    std::vector<double> values = download(operand);
    if (!operand.written) {
      if (!std::equal(values.begin(), values.end(), operand.start.begin(), same)) {
        result.problem = operand.name + ": an input was written";
      }
      continue;
    }
    if (operand.view.shape != operand.shape) {
      std::vector<double> stored(static_cast<std::size_t>(operand.view.shape.elements()));
      backend_.download(std::span<double>(stored), operand.view);
      for (std::size_t i = 0; i < stored.size(); ++i) {
        const auto channel = static_cast<std::int64_t>(i) % operand.view.shape.c;
        if (channel >= operand.shape.c && stored[i] != 0)
          result.problem = operand.name + ": padding is not 0";
      }
    }
    const bool exact = operand.view.dtype == DType::kUInt8;
    result.outputs.push_back({operand.name, operand.shape, std::move(values), exact});
  }
  return result;
}

}  // namespace impasto
