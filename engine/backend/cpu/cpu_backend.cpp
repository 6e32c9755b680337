// Brings the loops of kernels/cpu behind the seam.
#include "engine/backend/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <span>

#include "engine/backend/cpu/cpu_conv.h"
#include "engine/backend/system.h"
#include "engine/core/environment.h"
#include "engine/core/error.h"
#include "kernels/cpu/gram.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/lbfgs.h"
#include "kernels/cpu/losses.h"
#include "kernels/cpu/pyramid.h"
#include "kernels/cpu/runs.h"
#include "kernels/cpu/thread_pool.h"

namespace impasto {
namespace {

using cpu::divide_up;
using cpu::Kernels;
using cpu::Runs;
using cpu::ThreadPool;

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::string processor_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
      return line.substr(line.find(": ") + 2);
    }
  }
  return "unknown processor";
}

const Kernels& choose_kernels() {
  const std::vector<const Kernels*> available = cpu::available_kernels();
  const char* forced = environment("IMPASTO_CPU_ISA");
  if (forced == nullptr || *forced == '\0') return *available.back();
  if (const Kernels* kernels = cpu::find_kernels(forced)) return *kernels;
  std::string names;
  for (const Kernels* kernels : available) names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  throw Error(ErrorCode::kUsage,
              "IMPASTO_CPU_ISA: expected one that this machine has (" + names + "), found '" + forced + "'");
}

int num_threads(int asked) { return asked > 0 ? asked : usable_cores(); }

DeviceInfo describe(const Kernels& kernels, const ThreadPool& pool, int wanted) {
  const int threads = pool.num_threads();
  DeviceInfo info;
  info.name = "cpu";
  info.description = processor_model() + ", " + kernels.name + ", " + std::to_string(threads) +
                     (threads == 1 ? " thread" : " threads");
  info.free_memory_bytes = usable_memory_bytes();
  info.precisions = {Precision::kFp32, Precision::kExact};
  if (threads < wanted) {
    info.note = "threads: expected " + std::to_string(wanted) + ", found that the system gives " +
                std::to_string(threads) +
                "; the work is done with these, more slowly (limits of processes and memory: ulimit -u, -v)";
  }
  return info;
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Kernels& kernels, const CpuOptions& options, int threads, std::unique_ptr<ThreadPool> pool)
      : Backend(describe(kernels, *pool, threads), {}),
        kernels_(kernels),
        own_pool_(std::move(pool)),
        pool_(*own_pool_),
        choices_(kernels, pool_, info_.description, options.autotune, options.conv_tile),
        convolutions_{kernels, options.precision == Precision::kExact ? Precision::kExact : Precision::kFp32,
                      pool_, choices_},
        partials_(allocate(Runs::kPartials * sizeof(double))),
        runs_(pool_, static_cast<double*>(partials_.data())) {
    traits_.precision = convolutions_.precision;
    traits_.numerics = std::string("cpu ") + kernels.name;
    traits_.alignment = kAlignment;
    traits_.fixed_bytes = partials_.bytes();
    traits_.filter_format = std::string("cpu ") + kernels.name + " " + to_string(traits_.precision);
    traits_.conv_filter_bytes = [this](std::int64_t in_channels, std::int64_t out_channels) {
      return convolutions_.filter_bytes(in_channels, out_channels);
    };
    traits_.conv_workspace_bytes = [this](const ConvTask& task) {
      return convolutions_.workspace_bytes(task);
    };
    traits_.gram_workspace_bytes = [this](Shape features) {
      return cpu::gram_workspace_bytes(kernels_, pool_.num_threads(), features.positions(), features.c);
    };
  }

  [[nodiscard]] Tuning* tuning() override { return &choices_; }
  [[nodiscard]] std::string activity() const override { return choices_.activity(); }

 private:
  void* do_allocate(std::size_t bytes) override {
    const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
    if (bytes > SIZE_MAX - alignment) return nullptr;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* data = std::aligned_alloc(alignment, rounded);
    if (data != nullptr && alignment == kHugePage) madvise(data, rounded, MADV_HUGEPAGE);  // only a hint
    return data;
  }
  [[nodiscard]] Buffer::Deleter do_make_deleter() const override { return std::free; }

  // --- transfers

  /// Calls use(T{}) with the type of a tensor's elements.
  template <class Use>
  static void with_type(DType type, Use use) {
    if (type == DType::kFloat64) return use(double{});
    if (type == DType::kUInt8) return use(std::uint8_t{});
    use(float{});
  }
  void convert(void* to, DType to_type, const void* from, DType from_type, std::int64_t n) {
    with_type(to_type, [&](auto t) {
      with_type(from_type, [&](auto f) {
        cpu::convert(runs_, static_cast<decltype(t)*>(to), static_cast<const decltype(f)*>(from), n);
      });
    });
  }
  void do_upload(TensorView dst, const void* src, DType src_type) override {
    convert(dst.data, dst.dtype, src, src_type, dst.shape.elements());
  }
  void do_download(void* dst, DType dst_type, ConstTensorView src) override {
    convert(dst, dst_type, src.data, src.dtype, src.shape.elements());
  }
  void do_fill(TensorView dst, double value) override {
    runs_.each(dst.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      with_type(dst.dtype, [&](auto type) {
        std::fill_n(dst.as<decltype(type)>() + first, count, static_cast<decltype(type)>(value));
      });
    });
  }
  void do_copy(TensorView dst, ConstTensorView src) override {
    convert(dst.data, dst.dtype, src.data, src.dtype, dst.shape.elements());
  }

  // --- network

  std::shared_ptr<const ConvFilter> do_make_conv_filter(const ConvFilterDesc& desc) override {
    return convolutions_.make_filter(traits_.filter_format,
                                     allocate(traits_.conv_filter_bytes(desc.in_channels, desc.out_channels)),
                                     desc);
  }
  void do_prepare_conv(const ConvTask& task) override {
    if (!convolutions_.is_direct(task.input.c, task.out_channels)) choices_.prepare(winograd_key(task));
  }
  void do_conv2d_forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding,
                         Relu relu, Workspace workspace) override {
    convolutions_.forward(y, x, filter, padding, relu, workspace);
  }
  void do_conv2d_backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter, Padding padding,
                               Accumulate accumulate, ConstTensorView mask, Workspace workspace) override {
    convolutions_.backward_data(dx, dy, filter, padding, accumulate, mask, workspace);
  }
  void do_picture_to_input(TensorView input, ConstTensorView picture) override { do_copy(input, picture); }
  void do_input_to_picture(TensorView dpicture, ConstTensorView dinput, Accumulate accumulate) override {
    if (accumulate == Accumulate::kOverwrite) return do_copy(dpicture, dinput);
    runs_.each(dpicture.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      float* out = dpicture.as<float>() + first;
      kernels_.add_scaled(out, out, 1, dinput.as<float>() + first, count);
    });
  }
  void do_relu_forward(TensorView y, ConstTensorView x) override {
    runs_.each(y.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.relu(y.as<float>() + first, x.as<float>() + first, count);
    });
  }
  void do_relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y,
                        Accumulate accumulate) override {
    runs_.each(dx.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.relu_backward(dx.as<float>() + first, dy.as<float>() + first, y.as<float>() + first, count,
                             accumulate == Accumulate::kAdd);
    });
  }
  void do_pool_forward(TensorView y, TensorView codes, ConstTensorView x, Pooling pooling) override {
    pool_.parallel_for(codes.empty() ? x.shape.h / 2 : divide_up(x.shape.h, 2), [&](std::int64_t row, int) {
      kernels_.pool_rows(y.empty() ? nullptr : y.as<float>() + row * y.shape.w * y.shape.c,
                         codes.empty() ? nullptr : codes.as<std::uint8_t>() + row * codes.shape.w * x.shape.c,
                         x.as<float>() + 2 * row * x.shape.w * x.shape.c,
                         std::min<std::int64_t>(2, x.shape.h - 2 * row), x.shape.w, x.shape.c,
                         pooling == Pooling::kAverage);
    });
  }
  void do_pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView codes, Pooling pooling,
                        Accumulate accumulate, Relu mask) override {
    const std::int64_t h = dx.shape.h, w = dx.shape.w, c = dx.shape.c;
    pool_.parallel_for(divide_up(h, 2), [&](std::int64_t row, int) {
      kernels_.pool_backward_rows(
          dx.as<float>() + 2 * row * w * c, dy.as<float>() + row * dy.shape.w * c,
          codes.empty() ? nullptr : codes.as<std::uint8_t>() + row * codes.shape.w * c,
          std::min<std::int64_t>(2, h - 2 * row), w, c, pooling == Pooling::kAverage,
          accumulate == Accumulate::kAdd, mask == Relu::kYes);
    });
  }

  // --- losses

  void do_gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate,
               Workspace workspace) override {
    cpu::gram(kernels_, pool_, g.as<float>(), f.as<float>(), f.shape.positions(), f.shape.c, scale,
              accumulate == Accumulate::kAdd, workspace.data);
  }
  void do_gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                        Accumulate accumulate, Relu mask, Workspace workspace) override {
    cpu::gram_backward(kernels_, pool_, df.as<float>(), f.as<float>(), dg.as<float>(), f.shape.positions(),
                       f.shape.c, scale, accumulate == Accumulate::kAdd, mask == Relu::kYes, workspace.data);
  }
  void do_gram_loss(TensorView loss, TensorView d, ConstTensorView g, ConstTensorView target,
                    LossScales scales) override {
    do_squared_error(loss, d, g, target, scales, Accumulate::kOverwrite, Relu::kNo);  // all of it is float
  }
  void do_squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                        LossScales scales, Accumulate accumulate, Relu mask) override {
    *loss.as<double>() =
        cpu::squared_error(kernels_, runs_, d.as<float>(), x.as<float>(), target.as<float>(),
                           x.shape.elements(), scales, accumulate == Accumulate::kAdd, mask == Relu::kYes);
  }
  void do_total_variation(TensorView loss, TensorView d, ConstTensorView x, TotalVariation kind,
                          double weight) override {
    *loss.as<double>() = cpu::total_variation(kernels_, runs_, d.as<float>(), x.as<float>(), x.shape.h,
                                              x.shape.w, kind, weight);
  }

  // --- optimisers

  void do_momentum_step(TensorView x, TensorView v, ConstTensorView g, double learning_rate,
                        double momentum) override {
    runs_.each(x.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.momentum(x.as<float>() + first, v.as<float>() + first, g.as<float>() + first, count,
                        static_cast<float>(learning_rate), static_cast<float>(momentum));
    });
  }
  void do_adam_step(TensorView x, TensorView m, TensorView v, TensorView step, ConstTensorView g,
                    const AdamParameters& p) override {
    const double t = *step.as<double>() += 1;
    const double step_size = p.learning_rate / (1 - std::pow(p.beta1, t));
    const double v_scale = 1 / std::sqrt(1 - std::pow(p.beta2, t));
    runs_.each(x.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.adam(x.as<float>() + first, m.as<float>() + first, v.as<float>() + first,
                    g.as<float>() + first, count, static_cast<float>(p.beta1),
                    static_cast<float>(1 - p.beta1), static_cast<float>(p.beta2),
                    static_cast<float>(1 - p.beta2), static_cast<float>(step_size),
                    static_cast<float>(v_scale), static_cast<float>(p.epsilon));
    });
  }
  void do_clamp(TensorView x, const std::array<double, 3>& lower,
                const std::array<double, 3>& upper) override {
    std::array<float, 3> low{}, high{};
    for (std::size_t i = 0; i < 3; ++i) {
      low[i] = static_cast<float>(lower[i]);
      high[i] = static_cast<float>(upper[i]);
    }
    runs_.each(x.shape.positions(), [&](std::int64_t first, std::int64_t count) {
      kernels_.clamp(x.as<float>() + 3 * first, count, low.data(), high.data());
    });
  }
  void do_average_channels(TensorView x) override {
    runs_.each(x.shape.positions(), [&](std::int64_t first, std::int64_t count) {
      kernels_.average_channels(x.as<float>() + 3 * first, count);
    });
  }
  void do_add_scaled(TensorView out, ConstTensorView a, ConstTensorView scale, ConstTensorView b) override {
    runs_.each(out.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.add_scaled(out.as<float>() + first, a.as<float>() + first,
                          static_cast<float>(*scale.as<double>()), b.as<float>() + first, count);
    });
  }
  void do_dot(TensorView out, ConstTensorView a, ConstTensorView b) override {
    *out.as<double>() = runs_.sum(a.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      return kernels_.dot(a.as<float>() + first, b.as<float>() + first, count);
    });
  }

  void do_halve(TensorView y, ConstTensorView x) override {
    const cpu::HalvedShape shape{x.shape.h, x.shape.w, x.shape.c};
    pool_.parallel_for(
        y.shape.h, [&](std::int64_t row, int) { cpu::halve_row(y.as<float>(), x.as<float>(), shape, row); });
  }
  void do_halve_transposed_add(TensorView x, ConstTensorView y, double scale) override {
    const cpu::HalvedShape shape{x.shape.h, x.shape.w, x.shape.c};
    pool_.parallel_for(x.shape.h, [&](std::int64_t row, int) {
      cpu::halve_transposed_add_row(x.as<float>(), y.as<float>(), static_cast<float>(scale), shape, row);
    });
  }
  void do_lbfgs_push(TensorView history, TensorView g_previous, ConstTensorView state, ConstTensorView d,
                     ConstTensorView g) override {
    const std::int64_t n = g.shape.elements(), slots = history.shape.h / 2;
    const auto spare = static_cast<std::int64_t>(state.as<double>()[LbfgsState::kSpare]);
    const auto t = static_cast<float>(state.as<double>()[LbfgsState::kStep]);
    runs_.each(n, [&](std::int64_t first, std::int64_t count) {
      kernels_.lbfgs_pair(history.as<float>() + spare * n + first,
                          history.as<float>() + (slots + spare) * n + first, g_previous.as<float>() + first,
                          d.as<float>() + first, g.as<float>() + first, t, count);
    });
  }
  void do_lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state, ConstTensorView g,
                     LbfgsDots of) override {
    cpu::lbfgs_dots(kernels_, runs_, dots.as<double>(), history.as<float>(), state.as<double>(),
                    g.as<float>(), history.shape.h / 2, g.shape.elements(), of);
  }
  void do_lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots,
                          const LbfgsDirectionParameters& parameters) override {
    cpu::lbfgs_direction(coefficients.as<double>(), state.as<double>(), dots.as<double>(),
                         (coefficients.shape.elements() - 1) / 2, parameters);
  }
  void do_lbfgs_pair_dots(TensorView with_previous, ConstTensorView history, ConstTensorView state,
                          ConstTensorView v) override {
    const std::int64_t n = v.shape.elements(), slots = history.shape.h / 2;
    const auto spare = static_cast<std::int64_t>(state.as<double>()[LbfgsState::kSpare]);
    for (const std::int64_t row : {spare, slots + spare}) {
      const TensorView out{with_previous.as<double>() + row, {1, 1, 1}, DType::kFloat64};
      do_dot(out, {history.as<float>() + row * n, v.shape, v.dtype}, v);
    }
  }
  void do_lbfgs_condition(TensorView dots, TensorView with_previous, ConstTensorView products) override {
    cpu::lbfgs_condition(dots.as<double>(), with_previous.as<double>(), products.as<double>(),
                         with_previous.shape.elements() / 2);
  }
  void do_lbfgs_decide(TensorView machine, TensorView state, ConstTensorView sums, LbfgsDecision decision,
                       const LbfgsDecisionParameters& parameters) override {
    impasto::lbfgs_decide(machine.as<double>(), state.as<double>(), sums.as<double>(), decision, parameters);
  }
  void do_descent_decide(TensorView machine, ConstTensorView dots, DescentDecision decision,
                         const DescentDecisionParameters& parameters) override {
    impasto::descent_decide(machine.as<double>(), dots.as<double>(), decision, parameters);
  }
  void do_weighted_sum(TensorView out, ConstTensorView weights, ConstTensorView values) override {
    const auto n = static_cast<std::size_t>(values.shape.elements());
    const std::span of{weights.as<double>(), n}, with{values.as<double>(), n};
    *out.as<double>() = std::inner_product(of.begin(), of.end(), with.begin(), 0.0);
  }
  void do_lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows,
                  ConstTensorView g) override {
    const std::int64_t n = g.shape.elements();
    runs_.each(n, [&](std::int64_t first, std::int64_t count) {
      kernels_.lincomb(out.as<float>() + first, coefficients.as<double>(), rows.as<float>() + first,
                       rows.shape.h, n, g.as<float>() + first, count);
    });
  }

  const Kernels& kernels_;
  std::unique_ptr<ThreadPool> own_pool_;
  ThreadPool& pool_;
  WinogradChoices choices_;
  CpuConvolutions convolutions_;
  Buffer partials_;
  Runs runs_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  const Precision precision = options.precision;
  if (precision != Precision::kAuto && precision != Precision::kFp32 && precision != Precision::kExact) {
    throw Error(ErrorCode::kResources,
                std::string("precision of cpu: expected fp32, exact, found ") + to_string(precision));
  }
  const Kernels& kernels = choose_kernels();
  const int threads = num_threads(options.threads);
  return std::make_unique<CpuBackend>(kernels, options, threads, std::make_unique<ThreadPool>(threads));
}

double measure_cpu_peak_flops(int threads) {
  constexpr std::int64_t kTurns = 1 << 18, kItemsEach = 8;
  const Kernels& kernels = choose_kernels();
  ThreadPool pool(num_threads(threads));
  const std::int64_t items = kItemsEach * pool.num_threads();
  std::vector<float> sums(static_cast<std::size_t>(items));
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto before = std::chrono::steady_clock::now();
    pool.parallel_for(items, [&](std::int64_t item, int) {
      sums[static_cast<std::size_t>(item)] = kernels.multiply_add(kTurns);
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - before;
    best = std::max(best, static_cast<double>(items * kTurns * kernels.multiply_add_flops) / seconds.count());
  }
  return best;
}

}  // namespace impasto
