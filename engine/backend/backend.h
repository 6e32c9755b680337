#pragma once
// THE SEAM. Everything numeric happens behind it; above it no device type is known, below it no layer name.
// The contract of every operation stands in kernels/ops.h. The public methods check dtypes, shapes and
// aliasing and throw Error(kInternal) naming the operation, what it expected and what it got; then they call
// do_x(). devices.h opens a backend by name.
//
// A backend is used by one thread at a time; several backends (and several of one kind) live side by side.
// Work is queued in order on the backend's own stream; download(), gradient_scale() and
// make_conv_filter() may wait for it, the others do not.
#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/conv_filter.h"
#include "engine/backend/conv_task.h"
#include "engine/backend/precision.h"
#include "engine/backend/tuning.h"
#include "engine/core/tensor.h"
#include "kernels/descent_search.h"
#include "kernels/gradient_scale.h"
#include "kernels/lbfgs_search.h"
#include "kernels/ops.h"

namespace impasto {

struct DeviceInfo {
  std::string name{};         ///< what --device takes: "cpu", "reference", "cuda:0"
  std::string description{};  ///< for people: processor, instruction set, threads
  std::int64_t free_memory_bytes = 0;
  std::vector<Precision> precisions{};  ///< what --precision takes, the one that auto means first
  std::string
      note{};  ///< one line for people where less of it could be opened than was asked for; else empty
};

/// What a memory plan needs to know of a backend. Pure: no device is touched and nothing is timed.
struct BackendTraits {
  Precision precision = Precision::kFp32;
  /// What, beside precision and Tuning's choices, decides the last bits of the results, for people: "cpu
  /// avx2".
  std::string numerics{};
  DType activation = DType::kFloat32;  ///< feature maps and their gradients
  DType real = DType::kFloat32;        ///< picture, its gradient, Gram matrices, optimiser vectors
  std::int64_t input_channels = 3;     ///< the picture's channels after picture_to_input (8 on CUDA)
  std::size_t alignment = 64;          ///< of every tensor in an arena
  std::size_t fixed_bytes = 0;         ///< allocated by the backend itself when it is made
  /// In any operand of a network's operation; a layer with more goes in strips.
  std::int64_t most_elements = std::numeric_limits<std::int64_t>::max();
  bool asynchronous = false;  ///< work goes on while the host does other things
  /// style_loss goes on beside the layers after it, up to the first operation that is none of a pass forward.
  /// It works in the last gram_workspace_bytes of its workspace, which are to be its own in such a pass.
  bool style_losses_beside = false;
  /// Gradients of activations are of a type with few exponents, and are kept multiplied by a power of two:
  /// Backend::watch_gradients.
  bool scaled_gradients = false;
  /// Backends of one format, "cuda:0 bf16", can use each other's convolution filters.
  std::string filter_format{};
  /// Bytes that a ConvFilter of so many channels keeps on the device (prepared filters, bias).
  std::function<std::size_t(std::int64_t in_channels, std::int64_t out_channels)> conv_filter_bytes;
  /// Workspace that the convolution needs in this form, with the choices made so far (Backend::prepare_conv),
  /// else with those that go without timing.
  std::function<std::size_t(const ConvTask& task)> conv_workspace_bytes;
  std::function<std::size_t(Shape features)> gram_workspace_bytes;
};

/// Device memory, counted by the backend that allocated it. It may outlive that backend.
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
  /// Does `work` if the slot `flag` is not 0 when the device comes to it, else nothing. `work` is calls of
  /// fill and copy and of the optimisers' operations (clamp, add_scaled to lincomb), not of `when` again; it
  /// may be called whatever the flag is, so it must have no effect on the host.
  void when(ConstTensorView flag, const std::function<void()>& work) { do_when(flag, work); }
  /// The device's choices among equal ways; null where it has none to make. Lives as long as the backend.
  [[nodiscard]] virtual Tuning* tuning() { return nullptr; }
  /// One line for people: how work was given to the device so far, what was timed; empty where there is
  /// nothing to say.
  [[nodiscard]] virtual std::string activity() const { return {}; }

  /// Where traits().scaled_gradients: what the gradients of activations are multiplied by, a power of two,
  /// 1 at first; waits. The losses write them so, and input_to_picture takes it out again.
  [[nodiscard]] virtual double gradient_scale() { return 1; }
  virtual void set_gradient_scale(double /*scale*/) {}
  /// The largest magnitude among these gradients since the last call, before saturation, into the slot; and
  /// a scale as next_gradient_scale (kernels/gradient_scale.h) has it for those that follow. Elsewhere
  /// nothing.
  void watch_gradients(TensorView peak, GradientRoom room);

  // --- network
  [[nodiscard]] std::shared_ptr<const ConvFilter> make_conv_filter(const ConvFilterDesc& desc);
  /// Chooses how the convolution is done in this form, by timing where the device was opened for that.
  /// conv_workspace_bytes may change by it, so it comes before planning; what was not prepared is done as it
  /// was planned without.
  void prepare_conv(const ConvTask& task) { do_prepare_conv(task); }
  /// x (h,w,in), y (h',w',out).
  void conv2d_forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding, Relu relu,
                      Workspace workspace);
  /// dx and mask (h,w,in), dy (h',w',out); mask empty: none.
  void conv2d_backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter, Padding padding,
                            Accumulate accumulate, ConstTensorView mask, Workspace workspace);
  /// input (h,w,traits().input_channels) activation <- picture (h,w,3) real; further channels are zero.
  void picture_to_input(TensorView input, ConstTensorView picture);
  /// dpicture (h,w,3) real (+)= the first three channels of dinput, without their gradient_scale().
  void input_to_picture(TensorView dpicture, ConstTensorView dinput, Accumulate accumulate);
  void relu_forward(TensorView y, ConstTensorView x);
  void relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y, Accumulate accumulate);
  /// codes (ceil(h/2),ceil(w/2),c) uint8; y or codes empty: not wanted.
  void pool_forward(TensorView y, TensorView codes, ConstTensorView x, Pooling pooling);
  /// codes empty: only with Pooling::kAverage and Relu::kNo.
  void pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView codes, Pooling pooling,
                     Accumulate accumulate, Relu mask);

  // --- losses: slots are float64 tensors of one element
  void gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate, Workspace workspace);
  void gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                     Accumulate accumulate, Relu mask, Workspace workspace);
  /// d (1,C,C) activation; g, target (1,C,C) real, g finished.
  void gram_loss(TensorView loss, TensorView d, ConstTensorView g, ConstTensorView target, LossScales scales);
  /// gram and gram_loss in one, which a device may do in fewer passes; scratch (1,C,C) real.
  void style_loss(TensorView loss, TensorView d, TensorView scratch, ConstTensorView f,
                  ConstTensorView target, double gram_scale, LossScales scales, Workspace workspace);
  /// x, target and d of one dtype (activation or real); d empty: the value only.
  void squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                     LossScales scales, Accumulate accumulate, Relu mask);
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
  void lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state, ConstTensorView g,
                  LbfgsDots of = LbfgsDots::kOfPairAndGradient);
  void lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots,
                       const LbfgsDirectionParameters& parameters);
  /// with_previous float64 {1,1,2 * slots}; v of one row's size.
  void lbfgs_pair_dots(TensorView with_previous, ConstTensorView history, ConstTensorView state,
                       ConstTensorView v);
  /// products float64 {1,1,2}.
  void lbfgs_condition(TensorView dots, TensorView with_previous, ConstTensorView products);
  /// machine float64 {1,1,LbfgsMachine::kSize}.
  void lbfgs_decide(TensorView machine, TensorView state, ConstTensorView dots, LbfgsDecision decision,
                    const LbfgsDecisionParameters& parameters);
  /// machine float64 {1,1,DescentMachine::kSize}; dots float64 {1,1,DescentMachine::kNumDots}.
  void descent_decide(TensorView machine, ConstTensorView dots, DescentDecision decision,
                      const DescentDecisionParameters& parameters);
  /// out a slot; weights, values float64 {1,1,n}.
  void weighted_sum(TensorView out, ConstTensorView weights, ConstTensorView values);
  /// out, g of one row's size; coefficients {1,1,rows + 1}.
  void lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows, ConstTensorView g);
  /// x, d, g of one row's size; t a slot.
  void lincomb_step(TensorView x, TensorView d, ConstTensorView t, ConstTensorView coefficients,
                    ConstTensorView rows, ConstTensorView g);

 protected:
  Backend(DeviceInfo info, BackendTraits traits);
  DeviceInfo info_;
  BackendTraits traits_;

 private:
  virtual void* do_allocate(std::size_t bytes) = 0;  ///< nullptr: not enough
  /// Gives such memory back, also after the backend has gone.
  [[nodiscard]] virtual Buffer::Deleter do_make_deleter() const = 0;
  virtual void do_upload(TensorView dst, const void* src, DType src_dtype) = 0;
  virtual void do_download(void* dst, DType dst_dtype, ConstTensorView src) = 0;
  virtual void do_fill(TensorView dst, double value) = 0;
  virtual void do_copy(TensorView dst, ConstTensorView src) = 0;
  virtual std::unique_ptr<Readback> do_make_readback(std::int64_t count);
  virtual void do_repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work);
  /// Unless a device does better: waits for the flag.
  virtual void do_when(ConstTensorView flag, const std::function<void()>& work);

  virtual std::shared_ptr<const ConvFilter> do_make_conv_filter(const ConvFilterDesc& desc) = 0;
  virtual void do_prepare_conv(const ConvTask& /*task*/) {}
  virtual void do_conv2d_forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding,
                                 Relu relu, Workspace workspace) = 0;
  virtual void do_conv2d_backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter,
                                       Padding padding, Accumulate accumulate, ConstTensorView mask,
                                       Workspace workspace) = 0;
  virtual void do_picture_to_input(TensorView input, ConstTensorView picture) = 0;
  virtual void do_input_to_picture(TensorView dpicture, ConstTensorView dinput, Accumulate accumulate) = 0;
  virtual void do_relu_forward(TensorView y, ConstTensorView x) = 0;
  virtual void do_relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y,
                                Accumulate accumulate) = 0;
  virtual void do_pool_forward(TensorView y, TensorView codes, ConstTensorView x, Pooling pooling) = 0;
  virtual void do_pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView codes, Pooling pooling,
                                Accumulate accumulate, Relu mask) = 0;

  virtual void do_gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate,
                       Workspace workspace) = 0;
  virtual void do_gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                                Accumulate accumulate, Relu mask, Workspace workspace) = 0;
  virtual void do_gram_loss(TensorView loss, TensorView d, ConstTensorView g, ConstTensorView target,
                            LossScales scales) = 0;
  /// Unless a device does better: do_gram and do_gram_loss.
  virtual void do_style_loss(TensorView loss, TensorView d, TensorView scratch, ConstTensorView f,
                             ConstTensorView target, double gram_scale, LossScales scales,
                             Workspace workspace);
  virtual void do_squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                                LossScales scales, Accumulate accumulate, Relu mask) = 0;
  virtual void do_total_variation(TensorView loss, TensorView d, ConstTensorView x, TotalVariation kind,
                                  double weight) = 0;

  virtual void do_momentum_step(TensorView x, TensorView v, ConstTensorView g, double learning_rate,
                                double momentum) = 0;
  virtual void do_adam_step(TensorView x, TensorView m, TensorView v, TensorView step, ConstTensorView g,
                            const AdamParameters& parameters) = 0;
  virtual void do_clamp(TensorView x, const std::array<double, 3>& lower,
                        const std::array<double, 3>& upper) = 0;
  virtual void do_average_channels(TensorView x) = 0;
  virtual void do_add_scaled(TensorView out, ConstTensorView a, ConstTensorView scale, ConstTensorView b) = 0;
  virtual void do_dot(TensorView out, ConstTensorView a, ConstTensorView b) = 0;
  virtual void do_halve(TensorView y, ConstTensorView x) = 0;
  virtual void do_halve_transposed_add(TensorView x, ConstTensorView y, double scale) = 0;
  virtual void do_lbfgs_push(TensorView history, TensorView g_previous, ConstTensorView state,
                             ConstTensorView d, ConstTensorView g) = 0;
  virtual void do_lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state,
                             ConstTensorView g, LbfgsDots of) = 0;
  virtual void do_lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots,
                                  const LbfgsDirectionParameters& parameters) = 0;
  virtual void do_lbfgs_pair_dots(TensorView with_previous, ConstTensorView history, ConstTensorView state,
                                  ConstTensorView v) = 0;
  virtual void do_lbfgs_condition(TensorView dots, TensorView with_previous, ConstTensorView products) = 0;
  virtual void do_lbfgs_decide(TensorView machine, TensorView state, ConstTensorView sums,
                               LbfgsDecision decision, const LbfgsDecisionParameters& parameters) = 0;
  virtual void do_descent_decide(TensorView machine, ConstTensorView dots, DescentDecision decision,
                                 const DescentDecisionParameters& parameters) = 0;
  virtual void do_weighted_sum(TensorView out, ConstTensorView weights, ConstTensorView values) = 0;
  virtual void do_watch_gradients(TensorView /*peak*/, GradientRoom /*room*/) {}
  virtual void do_lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows,
                          ConstTensorView g) = 0;
  /// Unless a device does better: do_lincomb and do_add_scaled.
  virtual void do_lincomb_step(TensorView x, TensorView d, ConstTensorView t, ConstTensorView coefficients,
                               ConstTensorView rows, ConstTensorView g);

  struct Counts {
    std::atomic<std::size_t> bytes = 0;  // a shared filter goes where its last user is
    std::size_t peak = 0;
    std::int64_t allocations = 0;
  };
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace impasto
