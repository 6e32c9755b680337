#include "engine/backend/cuda/cuda_backend.h"

#include <algorithm>
#include <cstring>

#include "engine/backend/cuda/conv_choices.h"
#include "engine/backend/cuda/cudnn_graph.h"
#include "engine/backend/cuda/filters.h"
#include "engine/backend/cuda/gram.h"
#include "engine/backend/cuda/owners.h"
#include "engine/backend/cuda/recording.h"
#include "engine/core/environment.h"
#include "engine/core/error.h"

namespace impasto::cuda {
namespace {

constexpr std::int64_t kInputChannels =
    8;  // what cuDNN's tensor cores read at once; the picture's 3, then zeros
constexpr std::size_t kPinnedBytes = 4096;

class CudaReadback final : public Readback {
 public:
  CudaReadback(Context& context, std::int64_t count)
      : context_(context),
        count_(static_cast<std::size_t>(count)),
        memory_(make_pinned_memory(count_ * sizeof(double))),
        done_(make_event(cudaEventDisableTiming)) {}
  ~CudaReadback() override {
    context_.drain();  // the copy may be on its way
  }
  void start(ConstTensorView source) override {
    context_.enter();
    check(cudaMemcpyAsync(memory_.get(), source.data, std::min(source.bytes(), count_ * sizeof(double)),
                          cudaMemcpyDeviceToHost, context_.stream()),
          "cudaMemcpy");
    check(cudaEventRecord(done_.get(), context_.stream()), "cudaEventRecord");
  }
  [[nodiscard]] std::span<const double> wait() override {
    context_.waited(cudaEventSynchronize(done_.get()));
    return {static_cast<const double*>(memory_.get()), count_};
  }

 private:
  Context& context_;
  std::size_t count_;
  PinnedMemory memory_;
  Event done_;
};

const CudaConvFilter& own(const ConvFilter& filter) { return static_cast<const CudaConvFilter&>(filter); }

/// On the thread's current device.
std::int64_t free_memory() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<std::int64_t>(free);
}

/// A profiler that is to see the ranges of single steps asks for work that is not recorded: a replay has one
/// range, its own.
bool may_record() {
  const char* const wanted = environment("IMPASTO_CUDA_RECORD");
  return wanted == nullptr || std::strcmp(wanted, "0") != 0;
}

class CudaBackend final : public Backend {
 public:
  CudaBackend(const DeviceProperties& properties, Precision precision, const CudaOptions& options)
      : Backend(describe(properties), BackendTraits{}),
        context_(properties, precision),
        planner_(properties.index, properties.memory_bytes),
        choices_(context_, planner_, options.autotune),
        records_(options.record && may_record() && !waits_for_each()),
        pinned_(make_pinned_memory(kPinnedBytes)) {
    traits_.numerics = info_.description;
    info_.description += std::string(", ") + impasto::to_string(precision);
    traits_.precision = precision;
    traits_.activation = activation_of(precision);
    traits_.real = DType::kFloat32;
    traits_.input_channels = kInputChannels;
    traits_.alignment = kAlignment;
    traits_.fixed_bytes = Context::kScratchBytes + Context::cublas_bytes(properties);
    // cuDNN's fast engines index with 32 bits.
    traits_.most_elements = std::numeric_limits<std::int32_t>::max();
    traits_.asynchronous = true;
    traits_.style_losses_beside = true;
    traits_.scaled_gradients = precision == Precision::kFp16;
    traits_.filter_format = info_.name + " " + impasto::to_string(precision);
    traits_.conv_filter_bytes = [storage = context_.storage](std::int64_t in, std::int64_t out) {
      return filter_bytes(in, out, storage);
    };
    traits_.conv_workspace_bytes = [this](const ConvTask& task) {
      return choices_.plan(key_of(task)).workspace_bytes;
    };
    traits_.gram_workspace_bytes = [num_sms = properties.num_sms](Shape features) {
      return cuda::gram_workspace_bytes(features, num_sms);
    };
    info_.free_memory_bytes = free_memory();  // of which the handles have taken theirs, and fixed_bytes not
    scratch_ = allocate(traits_.fixed_bytes);
    context_.give_memory(scratch_.data());
  }
  ~CudaBackend() override { context_.drain(); }

  [[nodiscard]] std::string activity() const override {
    const std::string tuned = choices_.activity();
    if (statistics_.captured + statistics_.plain == 0) return tuned;
    return cuda::to_string(statistics_) + (tuned.empty() ? "" : "; " + tuned);
  }
  [[nodiscard]] Tuning* tuning() override { return &choices_; }
  [[nodiscard]] double gradient_scale() override { return context_.gradient_scale(); }
  void set_gradient_scale(double scale) override { context_.set_gradient_scale(scale); }

 private:
  // --- memory and transfers

  void* do_allocate(std::size_t bytes) override {
    context_.enter();
    void* data = nullptr;
    const cudaError_t status = cudaMalloc(&data, bytes);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    check(status, "cudaMalloc");
    return data;
  }
  [[nodiscard]] Buffer::Deleter do_make_deleter() const override {
    return [index = context_.properties.index](void* data) {
      (void)cudaSetDevice(index);
      (void)cudaFree(data);
    };
  }
  void do_upload(TensorView dst, const void* src, DType src_dtype) override {
    if (dst.bytes() == 0) return;
    std::vector<std::byte> converted;
    if (dst.dtype != src_dtype) {
      converted.resize(dst.bytes());
      convert_on_host(converted.data(), dst.dtype, src, src_dtype, dst.shape.elements());
      src = converted.data();
    }
    context_.enter();
    // From pageable memory: the runtime has read it when the call returns.
    check(cudaMemcpyAsync(dst.data, src, dst.bytes(), cudaMemcpyHostToDevice, context_.stream()),
          "cudaMemcpy");
  }
  void do_download(void* dst, DType dst_dtype, ConstTensorView src) override {
    if (src.bytes() == 0) return;
    const bool small = src.bytes() <= kPinnedBytes, same = src.dtype == dst_dtype;
    std::vector<std::byte> held(small || same ? 0 : src.bytes());
    void* const target = small ? pinned_.get() : same ? dst : held.data();
    context_.enter();
    check(cudaMemcpyAsync(target, src.data, src.bytes(), cudaMemcpyDeviceToHost, context_.stream()),
          "cudaMemcpy");
    context_.synchronise();
    if (!same) {
      convert_on_host(dst, dst_dtype, target, src.dtype, src.shape.elements());
    } else if (small) {
      std::memcpy(dst, target, src.bytes());
    }
  }
  void do_fill(TensorView dst, double value) override {
    if (dst.dtype == DType::kUInt8) {
      const auto byte = static_cast<std::uint8_t>(value);
      const Launch& launch = context_.launch();
      return context_.queued(launch.when != nullptr  // which this would not heed
                                 ? cudaErrorNotSupported
                                 : cudaMemsetAsync(dst.data, byte, dst.bytes(), launch.stream),
                             "fill");
    }
    context_.queued(
        cuda::fill(context_.launch(), dst.data, storage_of(dst.dtype), value, dst.shape.elements()), "fill");
  }
  void do_copy(TensorView dst, ConstTensorView src) override {
    const Launch& launch = context_.launch();
    const auto heeding = [&] {  // launch.when, which the runtime would not
      const Storage type = storage_of(dst.dtype);
      return cuda::convert(launch, dst.data, type, src.data, type, src.shape.elements());
    };
    context_.queued(launch.when != nullptr ? heeding()
                                           : cudaMemcpyAsync(dst.data, src.data, src.bytes(),
                                                             cudaMemcpyDeviceToDevice, launch.stream),
                    "copy");
  }
  std::unique_ptr<Readback> do_make_readback(std::int64_t count) override {
    context_.enter();
    return std::make_unique<CudaReadback>(context_, count);
  }
  void do_repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work) override {
    if (repeating_ || !records_) return work();
    if (!recording) recording = std::make_unique<GraphRecording>(context_);
    repeating_ = true;
    try {
      static_cast<GraphRecording&>(*recording).run(work, statistics_);
    } catch (...) {
      repeating_ = false;
      throw;
    }
    repeating_ = false;
  }

  void do_when(ConstTensorView flag, const std::function<void()>& work) override {
    const LaunchesWhen scope(context_, flag.as<double>());
    work();
  }

  // --- network

  [[nodiscard]] ConvKey key_of(const ConvTask& task) const {
    const Shape& x = task.input;
    return {task.op, context_.precision, x.h, x.w, x.c, task.out_channels, task.padding};
  }
  std::shared_ptr<const ConvFilter> do_make_conv_filter(const ConvFilterDesc& desc) override {
    return std::make_shared<const CudaConvFilter>(
        traits_.filter_format, context_,
        allocate(traits_.conv_filter_bytes(desc.in_channels, desc.out_channels)), desc);
  }
  void do_prepare_conv(const ConvTask& task) override { choices_.prepare(key_of(task)); }
  void run(const ConvKey& key, void* x, const CudaConvFilter& filter, void* y, Workspace workspace) {
    const ConvPlan& plan = choices_.plan(key);
    if (plan.workspace_bytes > workspace.bytes) {
      throw Error(ErrorCode::kInternal, to_string(key) + ": expected a workspace of " +
                                            std::to_string(plan.workspace_bytes) + " bytes, found " +
                                            std::to_string(workspace.bytes));
    }
    context_.enter();
    context_.queue(to_string(key), [&] {
      run_conv(context_.cudnn(), plan, key.op, x, filter.filter(), y, filter.bias(), workspace.data);
    });
  }
  void do_conv2d_forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding,
                         Relu relu, Workspace workspace) override {
    ++context_.counts.convolutions;
    run(key_of({conv_op(relu), x.shape, filter.out_channels(), padding}), const_cast<void*>(x.data),
        own(filter), y.data, workspace);
  }
  void do_conv2d_backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter, Padding padding,
                               Accumulate accumulate, ConstTensorView mask, Workspace workspace) override {
    ++context_.counts.backward_convolutions;
    context_.join();
    run(key_of({conv_op(accumulate), dx.shape, filter.out_channels(), padding}), dx.data, own(filter),
        const_cast<void*>(dy.data), workspace);
    // In fp16 what was overwritten may be infinite: whoever reads it knows that. A sum may not.
    if (mask.empty() && !(context_.storage == Storage::kFloat16 && accumulate == Accumulate::kAdd)) return;
    context_.queued(
        mask_gradient(context_.launch(), dx.data, mask.data, context_.storage, dx.shape.elements()),
        "mask_gradient");
  }
  void do_picture_to_input(TensorView input, ConstTensorView picture) override {
    context_.queued(cuda::picture_to_input(context_.launch_forward(), input.data, context_.storage,
                                           input.shape.c, picture.as<float>(), picture.shape.positions()),
                    "picture_to_input");
  }
  void do_input_to_picture(TensorView dpicture, ConstTensorView dinput, Accumulate accumulate) override {
    context_.queued(
        cuda::input_to_picture(context_.launch(), dpicture.as<float>(), dinput.data, context_.storage,
                               dinput.shape.c, dinput.shape.positions(), accumulate),
        "input_to_picture");
  }
  void do_relu_forward(TensorView y, ConstTensorView x) override {
    context_.queued(
        cuda::relu_forward(context_.launch_forward(), y.data, x.data, context_.storage, x.shape.elements()),
        "relu_forward");
  }
  void do_relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y,
                        Accumulate accumulate) override {
    context_.queued(cuda::relu_backward(context_.launch(), dx.data, dy.data, y.data, context_.storage,
                                        y.shape.elements(), accumulate),
                    "relu_backward");
  }
  void do_pool_forward(TensorView y, TensorView codes, ConstTensorView x, Pooling pooling) override {
    context_.queued(cuda::pool_forward(context_.launch_forward(), y.data, codes.as<std::uint8_t>(), x.data,
                                       context_.storage, x.shape.h, x.shape.w, x.shape.c, pooling),
                    "pool_forward");
  }
  void do_pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView codes, Pooling pooling,
                        Accumulate accumulate, Relu mask) override {
    context_.queued(
        cuda::pool_backward(context_.launch(), dx.data, dy.data, codes.as<std::uint8_t>(), context_.storage,
                            dx.shape.h, dx.shape.w, dx.shape.c, pooling, accumulate, mask),
        "pool_backward");
  }

  // --- losses

  void do_gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate,
               Workspace workspace) override {
    auto* const parts = static_cast<float*>(workspace.data);
    std::int64_t num_parts = 0;
    context_.queue("gram", [&] { num_parts = gram_parts(context_, parts, f); });
    context_.queued(
        gram_sum(context_.launch(), g.as<float>(), parts, num_parts, f.shape.c, scale, accumulate),
        "gram_sum");
  }
  void do_gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                        Accumulate accumulate, Relu mask, Workspace /*workspace*/) override {
    const Storage storage = context_.storage;
    const std::int64_t positions = f.shape.positions(), c = f.shape.c;
    if (takes_gram_backward(context_.properties.shared_bytes, storage, df.data, f.data, dg.data, c)) {
      return context_.queued(cuda::gram_backward(context_.launch(), df.data, f.data, dg.data, storage,
                                                 positions, c, static_cast<float>(scale), accumulate, mask),
                             "gram_backward");
    }
    context_.queue("gram_backward", [&] { cuda::gram_backward(context_, df, f, dg, scale, accumulate); });
    if (mask == Relu::kNo && storage != Storage::kFloat16) return;
    context_.queued(mask_gradient(context_.launch(), df.data, mask == Relu::kYes ? f.data : nullptr, storage,
                                  df.shape.elements()),
                    "mask_gradient");
  }
  void do_gram_loss(TensorView loss, TensorView d, ConstTensorView g, ConstTensorView target,
                    LossScales scales) override {
    context_.queued(cuda::gram_loss(context_.launch(), loss.as<double>(), d.data, context_.storage,
                                    g.as<float>(), target.as<float>(), g.shape.c, scales),
                    "gram_loss");
  }
  void do_style_loss(TensorView loss, TensorView d, TensorView /*scratch*/, ConstTensorView f,
                     ConstTensorView target, double gram_scale, LossScales scales,
                     Workspace workspace) override {
    // At the workspace's end: the layers that go on meanwhile use its beginning.
    const std::size_t own = align_up(traits_.gram_workspace_bytes(f.shape), kAlignment);
    const std::size_t before = workspace.bytes > own ? workspace.bytes - own : 0;
    auto* const parts = reinterpret_cast<float*>(static_cast<std::byte*>(workspace.data) + before);
    std::int64_t num_parts = 0;
    context_.queue("gram", [&] { num_parts = gram_parts(context_, parts, f); });
    context_.queued(cuda::style_loss(context_.launch_beside(), loss.as<double>(), d.data, context_.storage,
                                     parts, num_parts, target.as<float>(), f.shape.c, gram_scale, scales),
                    "style_loss");
  }
  void do_squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                        LossScales scales, Accumulate accumulate, Relu mask) override {
    context_.queued(cuda::squared_error(context_.launch(), loss.as<double>(), d.data, x.data, target.data,
                                        storage_of(x.dtype), x.shape.elements(), scales, accumulate, mask),
                    "squared_error");
  }
  void do_watch_gradients(TensorView peak, GradientRoom room) override {
    if (context_.storage != Storage::kFloat16) return;
    context_.queued(cuda::watch_gradients(context_.launch(), peak.as<double>(), room), "watch_gradients");
  }
  void do_total_variation(TensorView loss, TensorView d, ConstTensorView x, TotalVariation kind,
                          double weight) override {
    context_.queued(cuda::total_variation(context_.launch(), loss.as<double>(), d.as<float>(), x.as<float>(),
                                          x.shape.h, x.shape.w, kind, weight),
                    "total_variation");
  }

  // --- optimisers

  void do_momentum_step(TensorView x, TensorView v, ConstTensorView g, double learning_rate,
                        double momentum) override {
    context_.queued(cuda::momentum_step(context_.launch(), x.as<float>(), v.as<float>(), g.as<float>(),
                                        g.shape.elements(), learning_rate, momentum),
                    "momentum_step");
  }
  void do_adam_step(TensorView x, TensorView m, TensorView v, TensorView step, ConstTensorView g,
                    const AdamParameters& parameters) override {
    context_.queued(cuda::adam_step(context_.launch(), x.as<float>(), m.as<float>(), v.as<float>(),
                                    step.as<double>(), g.as<float>(), g.shape.elements(), parameters),
                    "adam_step");
  }
  void do_clamp(TensorView x, const std::array<double, 3>& lower,
                const std::array<double, 3>& upper) override {
    context_.queued(
        cuda::clamp(context_.launch(), x.as<float>(), x.shape.positions(), lower.data(), upper.data()),
        "clamp");
  }
  void do_average_channels(TensorView x) override {
    context_.queued(cuda::average_channels(context_.launch(), x.as<float>(), x.shape.positions()),
                    "average_channels");
  }
  void do_add_scaled(TensorView out, ConstTensorView a, ConstTensorView scale, ConstTensorView b) override {
    context_.queued(cuda::add_scaled(context_.launch(), out.as<float>(), a.as<float>(), scale.as<double>(),
                                     b.as<float>(), a.shape.elements()),
                    "add_scaled");
  }
  void do_dot(TensorView out, ConstTensorView a, ConstTensorView b) override {
    context_.queued(cuda::dot(context_.launch(), out.as<double>(), a.data, b.data, storage_of(a.dtype),
                              a.shape.elements()),
                    "dot");
  }
  void do_halve(TensorView y, ConstTensorView x) override {
    context_.queued(
        cuda::halve(context_.launch(), y.as<float>(), x.as<float>(), x.shape.h, x.shape.w, x.shape.c),
        "halve");
  }
  void do_halve_transposed_add(TensorView x, ConstTensorView y, double scale) override {
    context_.queued(cuda::halve_transposed_add(context_.launch(), x.as<float>(), y.as<float>(), scale,
                                               x.shape.h, x.shape.w, x.shape.c),
                    "halve_transposed_add");
  }
  void do_lbfgs_push(TensorView history, TensorView g_previous, ConstTensorView state, ConstTensorView d,
                     ConstTensorView g) override {
    context_.queued(
        cuda::lbfgs_push(context_.launch(), history.as<float>(), g_previous.as<float>(), state.as<double>(),
                         d.as<float>(), g.as<float>(), history.shape.h / 2, g.shape.elements()),
        "lbfgs_push");
  }
  void do_lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state, ConstTensorView g,
                     LbfgsDots of) override {
    context_.queued(
        cuda::lbfgs_dots(context_.launch(), dots.as<double>(), history.as<float>(), state.as<double>(),
                         g.as<float>(), history.shape.h / 2, g.shape.elements(), of),
        "lbfgs_dots");
  }
  void do_lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots,
                          const LbfgsDirectionParameters& parameters) override {
    context_.queued(cuda::lbfgs_direction(context_.launch(), coefficients.as<double>(), state.as<double>(),
                                          dots.as<double>(), coefficients.shape.elements() / 2, parameters),
                    "lbfgs_direction");
  }
  void do_lbfgs_pair_dots(TensorView with_previous, ConstTensorView history, ConstTensorView state,
                          ConstTensorView v) override {
    ++context_.counts.others;  // two launches
    context_.queued(
        cuda::lbfgs_pair_dots(context_.launch(), with_previous.as<double>(), history.as<float>(),
                              state.as<double>(), v.as<float>(), history.shape.h / 2, v.shape.elements()),
        "lbfgs_pair_dots");
  }
  void do_lbfgs_condition(TensorView dots, TensorView with_previous, ConstTensorView products) override {
    context_.queued(cuda::lbfgs_condition(context_.launch(), dots.as<double>(), with_previous.as<double>(),
                                          products.as<double>(), with_previous.shape.elements() / 2),
                    "lbfgs_condition");
  }
  void do_lbfgs_decide(TensorView machine, TensorView state, ConstTensorView sums, LbfgsDecision decision,
                       const LbfgsDecisionParameters& parameters) override {
    context_.queued(cuda::lbfgs_decide(context_.launch(), machine.as<double>(), state.as<double>(),
                                       sums.as<double>(), decision, parameters),
                    "lbfgs_decide");
  }
  void do_descent_decide(TensorView machine, ConstTensorView dots, DescentDecision decision,
                         const DescentDecisionParameters& parameters) override {
    context_.queued(cuda::descent_decide(context_.launch(), machine.as<double>(), dots.as<double>(), decision,
                                         parameters),
                    "descent_decide");
  }
  void do_weighted_sum(TensorView out, ConstTensorView weights, ConstTensorView values) override {
    context_.queued(cuda::weighted_sum(context_.launch(), out.as<double>(), weights.as<double>(),
                                       values.as<double>(), values.shape.elements()),
                    "weighted_sum");
  }
  void do_lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows,
                  ConstTensorView g) override {
    context_.queued(
        cuda::lincomb(context_.launch(), out.as<float>(), coefficients.as<double>(), rows.as<float>(),
                      rows.shape.h, g.as<float>(), g.shape.elements(), nullptr, nullptr),
        "lincomb");
  }
  void do_lincomb_step(TensorView x, TensorView d, ConstTensorView t, ConstTensorView coefficients,
                       ConstTensorView rows, ConstTensorView g) override {
    context_.queued(
        cuda::lincomb(context_.launch(), d.as<float>(), coefficients.as<double>(), rows.as<float>(),
                      rows.shape.h, g.as<float>(), g.shape.elements(), x.as<float>(), t.as<double>()),
        "lincomb");
  }

  Context context_;
  ConvPlanner planner_;
  ConvChoices choices_;
  bool records_, repeating_ = false;
  PinnedMemory pinned_;
  Buffer scratch_;
  RecordingStatistics statistics_;
};

}  // namespace

std::vector<Precision> precisions_of(const DeviceProperties& properties) {
  if (!properties.has_bf16()) return {Precision::kFp16, Precision::kFp32};
  return {Precision::kBf16, Precision::kFp16, Precision::kTf32, Precision::kFp32};
}

DeviceInfo describe(const DeviceProperties& p) {
  DeviceInfo info;
  info.name = "cuda:" + std::to_string(p.index);
  int runtime = 0;
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  info.description = p.name + ", compute capability " + std::to_string(p.major) + "." +
                     std::to_string(p.minor) + ", CUDA " + std::to_string(runtime / 1000) + "." +
                     std::to_string(runtime % 1000 / 10) + ", cuDNN " + cudnn_version_text(cudnnGetVersion());
  check(cudaSetDevice(p.index), "cudaSetDevice");
  info.free_memory_bytes = free_memory();
  info.precisions = precisions_of(p);
  return info;
}

std::unique_ptr<Backend> make_cuda_backend(int device, const CudaOptions& options) {
  const DeviceProperties properties = device_properties_of(device);
  const std::vector<Precision> offered = precisions_of(properties);
  const bool known = std::find(offered.begin(), offered.end(), options.precision) != offered.end();
  return std::make_unique<CudaBackend>(properties, known ? options.precision : offered.front(), options);
}

}  // namespace impasto::cuda
