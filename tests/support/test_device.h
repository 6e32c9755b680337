#pragma once
// Tensors on any backend from host values, in one line, for tests.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "engine/backend/cuda/module.h"
#include "engine/backend/devices.h"
#include "engine/core/error.h"

namespace impasto::test {

/// IMPASTO_TEST_DEVICE: a device, "cuda bf16" with a precision,
/// that stands in for the CPU's own ones; empty without.
inline BackendOptions other_device() {
  const char* const given = std::getenv("IMPASTO_TEST_DEVICE");
  BackendOptions options{.device = ""};
  std::istringstream words(given != nullptr ? given : "");
  std::string precision;
  words >> options.device >> precision;
  options.precision = find_precision(precision).value_or(Precision::kAuto);
  return options;
}

/// The devices on which every test of an operation runs. An unusable one is a failure, not a skip.
inline std::vector<std::string> op_devices() {
  const std::string other = other_device().device;
  return other.empty() ? std::vector<std::string>{"reference", "cpu"} : std::vector<std::string>{other};
}

/// One of op_devices(), in the precision that IMPASTO_TEST_DEVICE names.
inline BackendOptions on_device(const std::string& device) {
  return device == other_device().device ? other_device() : BackendOptions{.device = device};
}

/// One of op_devices(), whose Backend::repeat does its work each time anew.
inline std::unique_ptr<Backend> open_without_recording(const std::string& device) {
  const BackendOptions options = on_device(device);
  if (!device.starts_with("cuda")) return make_backend(options);
  std::string reason;
  const CudaModule* const module = find_cuda_module(&reason);
  if (module == nullptr) throw Error(ErrorCode::kResources, reason);
  return module->open(0, {.precision = options.precision, .record = false});
}

/// For each form of the layer's convolution.
inline std::size_t conv_workspace_bytes(const Backend& backend, Shape input, std::int64_t out_channels,
                                        Padding padding = {}) {
  std::size_t bytes = 0;
  for (const ConvOp op :
       {ConvOp::kForwardRelu, ConvOp::kForward, ConvOp::kBackwardData, ConvOp::kBackwardDataAdd}) {
    bytes = std::max(bytes, backend.traits().conv_workspace_bytes({op, input, out_channels, padding}));
  }
  return bytes;
}

class TestDevice {
 public:
  explicit TestDevice(const std::string& device, int threads = 0) {
    BackendOptions options = on_device(device);
    options.threads = threads;
    backend_ = make_backend(options);
  }

  Backend* operator->() { return backend_.get(); }
  Backend& operator*() { return *backend_; }

  TensorView activation(Shape shape, const std::vector<double>& values) {
    return tensor(shape, backend_->traits().activation, values);
  }
  TensorView real(Shape shape, const std::vector<double>& values) {
    return tensor(shape, backend_->traits().real, values);
  }
  /// Scalars: a loss, a step, the coefficients of a sum.
  TensorView slots(const std::vector<double>& values) {
    return tensor({1, 1, static_cast<std::int64_t>(values.size())}, DType::kFloat64, values);
  }
  TensorView tensor(Shape shape, DType dtype, const std::vector<double>& values) {
    const TensorView view = empty(shape, dtype);
    backend_->upload(view, std::span<const double>(values));
    return view;
  }
  /// Of a pool's input of this shape, filled with what no pool writes.
  TensorView empty_codes(Shape x) {
    const Shape shape = halved(x);
    buffers_.push_back(backend_->allocate(static_cast<std::size_t>(shape.elements())));
    const TensorView view = buffers_.back().view(0, shape, DType::kUInt8);
    backend_->fill(view, 0xA5);
    return view;
  }
  /// Filled with NaN.
  TensorView empty(Shape shape, DType dtype) {
    buffers_.push_back(backend_->allocate(static_cast<std::size_t>(shape.elements()) * size_of(dtype)));
    const TensorView view = buffers_.back().view(0, shape, dtype);
    backend_->fill(view, std::numeric_limits<double>::quiet_NaN());
    return view;
  }
  TensorView empty_activation(Shape shape) { return empty(shape, backend_->traits().activation); }
  TensorView empty_real(Shape shape) { return empty(shape, backend_->traits().real); }
  Workspace workspace(std::size_t bytes) {
    buffers_.push_back(backend_->allocate(bytes));
    return {buffers_.back().data(), bytes};
  }
  std::vector<double> read(ConstTensorView view) {
    std::vector<double> values(static_cast<std::size_t>(view.shape.elements()));
    backend_->download(std::span<double>(values), view);
    return values;
  }
  /// 1e-12 in double; `float_bound` for everything that rounds to float32.
  double bound(double float_bound) const {
    return backend_->traits().real == DType::kFloat64 ? 1e-12 : float_bound;
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::vector<Buffer> buffers_;
};

}  // namespace impasto::test
