#pragma once
// THE SEAM. Everything numeric happens behind it; above it no device type is known,
// below it no layer name. The contract of every operation stands in kernels/ops.h.
// The public methods check dtypes, shapes and aliasing and throw Error(kInternal)
// naming the operation, what it expected and what it got; then they call do_x().
//
// A backend is used by one thread at a time; several backends (and several of one kind) live side by side.
// Work is queued in order on the backend's own stream; download() is the only call that waits for it.
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/precision.h"
#include "engine/core/tensor.h"
#include "kernels/ops.h"

namespace impasto {

struct DeviceInfo {
  std::string name{};         ///< what --device takes: "cpu", "reference", "cuda:0"
  std::string description{};  ///< for people: processor, instruction set, threads
  std::int64_t free_memory_bytes = 0;
  std::vector<Precision> precisions{};  ///< what --precision takes, the one that auto means first
};

/// What a memory plan needs to know of a backend. Pure: no device is touched.
struct BackendTraits {
  Precision precision = Precision::kFp32;
  DType activation = DType::kFloat32;  ///< feature maps and their gradients
  DType real = DType::kFloat32;        ///< picture, its gradient, Gram matrices, optimiser vectors
  std::int64_t input_channels = 3;     ///< the picture's channels after picture_to_input (8 on CUDA)
  std::size_t alignment = 64;          ///< of every tensor in an arena
  std::size_t fixed_bytes = 0;         ///< allocated by the backend itself when it is made
  bool asynchronous = false;           ///< work goes on while the host does other things
  /// Gradients of activations are of a type with few exponents:
  /// the objective multiplies them by a power of two.
  bool scaled_gradients = false;
  /// Bytes that a Conv2d of so many channels keeps on the device (prepared filters, bias).
  std::function<std::size_t(std::int64_t in_channels, std::int64_t out_channels)> conv_filter_bytes;
  /// Workspace that forward and backward_data of such a layer need for an input of this shape.
  std::function<std::size_t(Shape input, std::int64_t out_channels, Padding padding)> conv_workspace_bytes;
  std::function<std::size_t(Shape features)> gram_workspace_bytes;
};

/// Device memory, counted by its backend and given back to it. Must not outlive the backend.
class Buffer {
 public:
  using Deleter = std::function<void(void*)>;
  Buffer() = default;
  Buffer(void* data, std::size_t bytes, Deleter deleter) : data_(data, std::move(deleter)), bytes_(bytes) {}
  [[nodiscard]] void* data() const { return data_.get(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// A tensor at a byte offset; Error(kInternal) if it does not fit.
  [[nodiscard]] TensorView view(std::size_t offset, Shape shape, DType dtype) const;

 private:
  std::unique_ptr<void, Deleter> data_{nullptr, [](void*) {}};
  std::size_t bytes_ = 0;
};

struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
};

/// filter (3,3,in,out) HWIO and bias (out) on the host; copied and prepared, not kept.
struct Conv2dDesc {
  std::int64_t in_channels = 0, out_channels = 0;
  std::span<const float> filter, bias;
};

/// One 3x3 convolution with frozen weights, made by a backend, used with that
/// backend only and not outliving it. What it keeps on the device
/// (traits().conv_filter_bytes) comes from Backend::allocate, so that it is counted.
class Conv2d {
 public:
  virtual ~Conv2d() = default;
  [[nodiscard]] std::int64_t in_channels() const { return in_channels_; }
  [[nodiscard]] std::int64_t out_channels() const { return out_channels_; }

  /// y = act(conv(x) + bias), overwrites. conv2d_forward in kernels/ops.h.
  void forward(TensorView y, ConstTensorView x, Padding padding, Relu relu, Workspace workspace);
  /// dx (+)= gradient, then masked by `mask` > 0 if it is not empty. dy (h',w',out), dx and mask (h,w,in).
  void backward_data(TensorView dx, ConstTensorView dy, Padding padding, Accumulate accumulate,
                     ConstTensorView mask, Workspace workspace);

 protected:
  Conv2d(std::int64_t in_channels, std::int64_t out_channels)
      : in_channels_(in_channels), out_channels_(out_channels) {}

 private:
  virtual void do_forward(TensorView y, ConstTensorView x, Padding, Relu, Workspace) = 0;
  virtual void do_backward_data(TensorView dx, ConstTensorView dy, Padding, Accumulate, ConstTensorView mask,
                                Workspace) = 0;
  friend class Backend;
  std::int64_t in_channels_, out_channels_;
  const BackendTraits* traits_ = nullptr;  ///< of the backend that made it
};

/// A few doubles on their way to the host, without stopping the device: start() queues the copy behind all
/// work so far, wait() waits for that copy alone.
class Readback {
 public:
  virtual ~Readback() = default;
  virtual void start(ConstTensorView source) = 0;
  /// What start() copied; valid until the next start().
  [[nodiscard]] virtual std::span<const double> wait() = 0;
};

/// What a device keeps of work that is done many times; see Backend::repeat.
class Recording {
 public:
  virtual ~Recording() = default;
};

class Backend {
 public:
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  [[nodiscard]] const DeviceInfo& info() const { return info_; }
  [[nodiscard]] const BackendTraits& traits() const { return traits_; }

  // --- memory: counted, so that a plan can be held against it
  /// Uninitialised memory aligned to traits().alignment;
  /// Error(kResources) with the numbers if there is not enough.
  [[nodiscard]] Buffer allocate(std::size_t bytes);
  [[nodiscard]] std::size_t allocated_bytes() const { return counts_->bytes; }
  [[nodiscard]] std::size_t peak_allocated_bytes() const { return counts_->peak; }
  [[nodiscard]] std::int64_t num_allocations() const { return counts_->allocations; }

  /// The only transfers. Values are converted to and from
  /// the tensor's dtype. download waits for all queued work.
  void upload(TensorView dst, std::span<const float> src);
  void upload(TensorView dst, std::span<const double> src);
  void download(std::span<float> dst, ConstTensorView src);
  void download(std::span<double> dst, ConstTensorView src);
  void fill(TensorView dst, double value);
  /// Same shape, same dtype.
  void copy(TensorView dst, ConstTensorView src);
  /// For `count` float64 values.
  [[nodiscard]] std::unique_ptr<Readback> make_readback(std::int64_t count) {
    return do_make_readback(count);
  }

  /// Does `work`: calls of this backend that neither allocate nor wait, the same ones with the same arguments
  /// each time. A device may record them once and replay them from then on without calling `work` again, so
  /// `work` must have no effect on the host. `recording` starts empty and goes before the backend. Inside of
  /// another repeat it is a plain call.
  void repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work) {
    do_repeat(recording, work);
  }
  /// One line for people on how work was given to the device; empty where there is nothing to say.
  [[nodiscard]] virtual std::string activity() const { return {}; }

  /// Which of several equal ways the device chose (one a line), and the choice of an earlier run, to get the
  /// same bits again: Error(kBadInput) if this device does not know it. Empty where there is no choice.
  [[nodiscard]] virtual std::string tuning() const { return {}; }
  virtual void set_tuning(const std::string& tuning);

  /// Largest magnitude that was to be stored in a gradient of activations since the last call, before
  /// saturation; waits. Only where traits().scaled_gradients.
  [[nodiscard]] virtual double take_gradient_peak() { return 0; }

  // --- network
  [[nodiscard]] std::unique_ptr<Conv2d> make_conv2d(const Conv2dDesc&);
  /// input (h,w,traits().input_channels) activation <- picture (h,w,3) real; further channels are zero.
  void picture_to_input(TensorView input, ConstTensorView picture);
  /// dpicture (h,w,3) real (+)= scale * the first three channels of dinput.
  void input_to_picture(TensorView dpicture, ConstTensorView dinput, double scale, Accumulate accumulate);
  void relu_forward(TensorView y, ConstTensorView x);
  void relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y, Accumulate accumulate);
  void pool_forward(TensorView y, ConstTensorView x, Pooling pooling);
  void pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView x, Pooling pooling,
                     Accumulate accumulate, Relu mask);

  // --- losses: slots are float64 tensors of one element
  void gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate, Workspace workspace);
  void gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                     Accumulate accumulate, Workspace workspace);
  /// d (1,C,C) activation; scratch, target (1,C,C) real.
  void style_loss(TensorView loss, TensorView d, TensorView scratch, ConstTensorView f,
                  ConstTensorView target, double gram_scale, double value_scale, double gradient_scale,
                  Workspace workspace);
  /// x, target and d of one dtype (activation or real); d empty: the value only.
  void squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                     double value_scale, double gradient_scale, Accumulate accumulate);
  /// d empty: the value only.
  void total_variation(TensorView loss, TensorView d, ConstTensorView x, TotalVariation kind, double weight);

  // --- optimisers: real vectors of any one shape
  void momentum_step(TensorView x, TensorView v, ConstTensorView g, double learning_rate, double momentum);
  void adam_step(TensorView x, TensorView m, TensorView v, TensorView step, ConstTensorView g,
                 const AdamParameters& parameters);
  void clamp(TensorView x, const std::array<double, 3>& lower, const std::array<double, 3>& upper);
  void average_channels(TensorView x);
  void add_scaled(TensorView out, ConstTensorView a, ConstTensorView scale, ConstTensorView b);
  void dot(TensorView out, ConstTensorView a, ConstTensorView b);
  void halve(TensorView y, ConstTensorView x);
  void halve_transposed_add(TensorView x, ConstTensorView y, double scale);
  /// history (2 * slots, 1, n): one row a vector. state float64 {1,1,LbfgsState::size(slots)};
  /// dots float64 {1,1,LbfgsState::num_dots(slots)}; coefficients float64 {1,1,2 * slots + 1}.
  void lbfgs_push(TensorView history, TensorView g_previous, ConstTensorView state, ConstTensorView d,
                  ConstTensorView g);
  void lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state, ConstTensorView g);
  void lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots, double learning_rate);
  /// out, g of one row's size; coefficients {1,1,rows + 1}.
  void lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows, ConstTensorView g);
  /// x, d, g of one row's size; t a slot.
  void lincomb_step(TensorView x, TensorView d, ConstTensorView t, ConstTensorView coefficients,
                    ConstTensorView rows, ConstTensorView g);

 protected:
  Backend(DeviceInfo info, BackendTraits traits);
  /// A buffer of memory that came from elsewhere, counted like allocate()'s.
  [[nodiscard]] Buffer count(void* data, std::size_t bytes, const Buffer::Deleter& release);
  DeviceInfo info_;
  BackendTraits traits_;

 private:
  virtual void* do_allocate(std::size_t bytes) = 0;  ///< nullptr: not enough
  virtual void do_free(void* data) = 0;
  virtual void do_upload(TensorView dst, const void* src, DType src_dtype) = 0;
  virtual void do_download(void* dst, DType dst_dtype, ConstTensorView src) = 0;
  virtual void do_fill(TensorView dst, double value) = 0;
  virtual void do_copy(TensorView dst, ConstTensorView src) = 0;
  virtual std::unique_ptr<Conv2d> do_make_conv2d(const Conv2dDesc&) = 0;
  virtual void do_picture_to_input(TensorView, ConstTensorView) = 0;
  virtual std::unique_ptr<Readback> do_make_readback(std::int64_t count);
  virtual void do_repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work);
  virtual void do_input_to_picture(TensorView, ConstTensorView, double, Accumulate) = 0;
  virtual void do_relu_forward(TensorView, ConstTensorView) = 0;
  virtual void do_relu_backward(TensorView, ConstTensorView, ConstTensorView, Accumulate) = 0;
  virtual void do_pool_forward(TensorView, ConstTensorView, Pooling) = 0;
  virtual void do_pool_backward(TensorView, ConstTensorView, ConstTensorView, Pooling, Accumulate, Relu) = 0;
  virtual void do_gram(TensorView, ConstTensorView, double, Accumulate, Workspace) = 0;
  virtual void do_gram_backward(TensorView, ConstTensorView, ConstTensorView, double, Accumulate,
                                Workspace) = 0;
  virtual void do_squared_error(TensorView, TensorView, ConstTensorView, ConstTensorView, double, double,
                                Accumulate) = 0;
  /// Unless a device does better: gram and squared_error.
  virtual void do_style_loss(TensorView, TensorView, TensorView, ConstTensorView, ConstTensorView, double,
                             double, double, Workspace);
  virtual void do_total_variation(TensorView, TensorView, ConstTensorView, TotalVariation, double) = 0;
  virtual void do_momentum_step(TensorView, TensorView, ConstTensorView, double, double) = 0;
  virtual void do_adam_step(TensorView, TensorView, TensorView, TensorView, ConstTensorView,
                            const AdamParameters&) = 0;
  virtual void do_clamp(TensorView, const std::array<double, 3>&, const std::array<double, 3>&) = 0;
  virtual void do_average_channels(TensorView) = 0;
  virtual void do_add_scaled(TensorView, ConstTensorView, ConstTensorView, ConstTensorView) = 0;
  virtual void do_dot(TensorView, ConstTensorView, ConstTensorView) = 0;
  virtual void do_halve(TensorView, ConstTensorView) = 0;
  virtual void do_halve_transposed_add(TensorView, ConstTensorView, double) = 0;
  virtual void do_lbfgs_push(TensorView, TensorView, ConstTensorView, ConstTensorView, ConstTensorView) = 0;
  virtual void do_lbfgs_dots(TensorView, ConstTensorView, ConstTensorView, ConstTensorView) = 0;
  virtual void do_lbfgs_direction(TensorView, TensorView, ConstTensorView, double) = 0;
  virtual void do_lincomb(TensorView, ConstTensorView, ConstTensorView, ConstTensorView) = 0;
  /// Unless a device does better: lincomb and add_scaled.
  virtual void do_lincomb_step(TensorView, TensorView, ConstTensorView, ConstTensorView, ConstTensorView,
                               ConstTensorView);

  struct Counts {
    std::size_t bytes = 0, peak = 0;
    std::int64_t allocations = 0;
  };
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace impasto
