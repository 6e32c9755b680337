// Cuts every operation into work items for the thread pool.
// Items and the order of sums depend on sizes alone.
#include "engine/backend/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>

#include "engine/backend/cpu/cpu_conv2d.h"
#include "engine/backend/system.h"
#include "engine/core/error.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/lbfgs.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/pyramid.h"
#include "kernels/cpu/thread_pool.h"

namespace impasto {
namespace {

using cpu::divide_up;
using cpu::GramPlan;
using cpu::Kernels;
using cpu::kLine;
using cpu::ThreadPool;

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::int64_t kGrain = 32 * 1024;           // elements of an elementwise work item: 128 KB a vector
constexpr std::int64_t kMaxChunks = 256;             // of a reduction
constexpr std::int64_t kPartials = 64 * kMaxChunks;  // doubles that hold the chunks' sums

constexpr std::size_t float_bytes(std::int64_t count) {
  return static_cast<std::size_t>(count) * sizeof(float);
}

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
  const char* forced = std::getenv("IMPASTO_CPU_ISA");
  if (forced == nullptr || *forced == '\0') return *available.back();
  if (const Kernels* kernels = cpu::find_kernels(forced)) return *kernels;
  std::string names;
  for (const Kernels* kernels : available) names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  throw Error(ErrorCode::kUsage,
              "IMPASTO_CPU_ISA: expected one that this machine has (" + names + "), found '" + forced + "'");
}

int num_threads(int asked) { return asked > 0 ? asked : usable_cores(); }

DeviceInfo describe(const Kernels& kernels, int threads) {
  DeviceInfo info;
  info.name = "cpu";
  info.description = processor_model() + ", " + kernels.name + ", " + std::to_string(threads) +
                     (threads == 1 ? " thread" : " threads");
  info.free_memory_bytes = usable_memory_bytes();
  info.precisions = {Precision::kFp32, Precision::kExact};
  return info;
}

// --- what a plan needs to know

struct GramSizes {
  GramPlan plan;
  std::size_t sums, scratch, matrix;
  GramSizes(const Kernels& kernels, int threads, Shape features)
      : plan(cpu::make_gram_plan(kernels, features.positions(), features.c)),
        sums(static_cast<std::size_t>(plan.num_chunks * plan.padded_c * plan.padded_c) * sizeof(double)),
        scratch(static_cast<std::size_t>(threads) * float_bytes(plan.scratch_floats)),
        matrix(float_bytes(features.c * plan.padded_c)) {}
  [[nodiscard]] std::size_t total() const { return std::max(sums + scratch, matrix); }
};

// --- the backend

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Kernels& kernels, const CpuOptions& options, int threads)
      : Backend(describe(kernels, threads), {}),
        kernels_(kernels),
        pool_(threads),
        choices_(kernels, pool_, info_.description, options.autotune, options.conv_tile) {
    traits_.precision = options.precision == Precision::kExact ? Precision::kExact : Precision::kFp32;
    traits_.alignment = kAlignment;
    traits_.fixed_bytes = kPartials * sizeof(double);
    traits_.conv_filter_bytes = [this](std::int64_t in_channels, std::int64_t out_channels) {
      return cpu_conv_filter_bytes(kernels_, traits_.precision, in_channels, out_channels);
    };
    traits_.conv_workspace_bytes = [this](Shape input, std::int64_t out_channels, Padding padding) {
      return cpu_conv_workspace_bytes(kernels_, traits_.precision, pool_.num_threads(), choices_, input,
                                      out_channels, padding);
    };
    traits_.gram_workspace_bytes = [this](Shape features) {
      return GramSizes(kernels_, pool_.num_threads(), features).total();
    };
    partials_buffer_ = allocate(traits_.fixed_bytes);
    partials_ = static_cast<double*>(partials_buffer_.data());
  }

  [[nodiscard]] std::string activity() const override { return choices_.activity(); }
  [[nodiscard]] std::string tuning() const override { return choices_.text(); }
  void set_tuning(const std::string& text) override { choices_.set(text); }

 private:
  void* do_allocate(std::size_t bytes) override {
    const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
    if (bytes > SIZE_MAX - alignment) return nullptr;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* data = std::aligned_alloc(alignment, rounded);
    if (data != nullptr && alignment == kHugePage) madvise(data, rounded, MADV_HUGEPAGE);  // only a hint
    return data;
  }
  void do_free(void* data) override { std::free(data); }

  /// body(first, count) for runs of at most kGrain of n elements.
  template <class Body>
  void for_runs(std::int64_t n, Body body) {
    pool_.parallel_for(divide_up(n, kGrain), [&](std::int64_t item, int) {
      body(item * kGrain, std::min(kGrain, n - item * kGrain));
    });
  }

  /// Sum of body(first, count) over at most kMaxChunks runs.
  template <class Body>
  double sum_runs(std::int64_t n, Body body) {
    const std::int64_t run = std::max(kGrain, divide_up(n, kMaxChunks)), num_runs = divide_up(n, run);
    pool_.parallel_for(num_runs, [&](std::int64_t item, int) {
      partials_[item] = body(item * run, std::min(run, n - item * run));
    });
    double total = 0;
    for (std::int64_t i = 0; i < num_runs; ++i) total += partials_[i];
    return total;
  }

  // --- transfers

  template <class To, class From>
  void convert(To* to, const From* from, std::int64_t n) {
    for_runs(n, [=](std::int64_t first, std::int64_t count) {
      if constexpr (std::is_same_v<To, From>) {
        std::memcpy(to + first, from + first, static_cast<std::size_t>(count) * sizeof(To));
      } else {
        for (std::int64_t i = first; i < first + count; ++i) to[i] = static_cast<To>(from[i]);
      }
    });
  }
  void convert(void* to, DType to_type, const void* from, DType from_type, std::int64_t n) {
    const bool wide_to = to_type == DType::kFloat64, wide_from = from_type == DType::kFloat64;
    if (wide_to && wide_from) convert(static_cast<double*>(to), static_cast<const double*>(from), n);
    if (wide_to && !wide_from) convert(static_cast<double*>(to), static_cast<const float*>(from), n);
    if (!wide_to && wide_from) convert(static_cast<float*>(to), static_cast<const double*>(from), n);
    if (!wide_to && !wide_from) convert(static_cast<float*>(to), static_cast<const float*>(from), n);
  }
  void do_upload(TensorView dst, const void* src, DType src_type) override {
    convert(dst.data, dst.dtype, src, src_type, dst.shape.elements());
  }
  void do_download(void* dst, DType dst_type, ConstTensorView src) override {
    convert(dst, dst_type, src.data, src.dtype, src.shape.elements());
  }
  void do_fill(TensorView dst, double value) override {
    for_runs(dst.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      if (dst.dtype == DType::kFloat64) {
        std::fill_n(dst.as<double>() + first, count, value);
      } else {
        std::fill_n(dst.as<float>() + first, count, static_cast<float>(value));
      }
    });
  }
  void do_copy(TensorView dst, ConstTensorView src) override {
    convert(dst.data, dst.dtype, src.data, src.dtype, dst.shape.elements());
  }

  // --- network

  std::unique_ptr<Conv2d> do_make_conv2d(const Conv2dDesc& desc) override {
    return make_cpu_conv2d(kernels_, traits_.precision, pool_, choices_,
                           allocate(traits_.conv_filter_bytes(desc.in_channels, desc.out_channels)), desc);
  }
  void do_picture_to_input(TensorView input, ConstTensorView picture) override { do_copy(input, picture); }
  void do_input_to_picture(TensorView dpicture, ConstTensorView dinput, double scale,
                           Accumulate accumulate) override {
    if (accumulate == Accumulate::kOverwrite && scale == 1) return do_copy(dpicture, dinput);
    if (accumulate == Accumulate::kOverwrite) do_fill(dpicture, 0);
    for_runs(dpicture.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      float* out = dpicture.as<float>() + first;
      kernels_.add_scaled(out, out, static_cast<float>(scale), dinput.as<float>() + first, count);
    });
  }
  void do_relu_forward(TensorView y, ConstTensorView x) override {
    for_runs(y.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.relu(y.as<float>() + first, x.as<float>() + first, count);
    });
  }
  void do_relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y,
                        Accumulate accumulate) override {
    for_runs(dx.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.relu_backward(dx.as<float>() + first, dy.as<float>() + first, y.as<float>() + first, count,
                             accumulate == Accumulate::kAdd);
    });
  }
  void do_pool_forward(TensorView y, ConstTensorView x, Pooling pooling) override {
    pool_.parallel_for(y.shape.h, [&](std::int64_t row, int) {
      kernels_.pool_row(y.as<float>() + row * y.shape.w * y.shape.c,
                        x.as<float>() + 2 * row * x.shape.w * x.shape.c, x.shape.w, x.shape.c,
                        pooling == Pooling::kAverage);
    });
  }
  void do_pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView x, Pooling pooling,
                        Accumulate accumulate, Relu mask) override {
    pool_.parallel_for(divide_up(x.shape.h, 2), [&](std::int64_t row, int) {
      const std::int64_t first = 2 * row * x.shape.w * x.shape.c;
      kernels_.pool_backward_rows(dx.as<float>() + first, dy.as<float>() + row * dy.shape.w * dy.shape.c,
                                  x.as<float>() + first, std::min<std::int64_t>(2, x.shape.h - 2 * row),
                                  x.shape.w, x.shape.c, pooling == Pooling::kAverage,
                                  accumulate == Accumulate::kAdd, mask == Relu::kYes);
    });
  }

  // --- losses

  void do_gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate,
               Workspace workspace) override {
    const GramSizes sizes(kernels_, pool_.num_threads(), f.shape);
    const GramPlan& plan = sizes.plan;
    const std::int64_t positions = f.shape.positions(), c = f.shape.c;
    const std::int64_t matrix = plan.padded_c * plan.padded_c;
    auto* const sums = static_cast<double*>(workspace.data);
    auto* const scratch = reinterpret_cast<float*>(static_cast<std::byte*>(workspace.data) + sizes.sums);
    pool_.parallel_for(plan.num_chunks * plan.num_groups, [&](std::int64_t item, int thread) {
      const std::int64_t chunk = item / plan.num_groups, first = chunk * plan.chunk;
      kernels_.gram_item(sums + chunk * matrix, f.as<float>() + first * c,
                         std::min(plan.chunk, positions - first), c, item % plan.num_groups, plan.num_groups,
                         scratch + thread * plan.scratch_floats);
    });
    // In square blocks, so that the mirrored half is written a cache line at a time.
    pool_.parallel_for(divide_up(c, kLine), [&](std::int64_t block, int) {
      const std::int64_t first_a = block * kLine, last_a = std::min(c, first_a + kLine);
      for (std::int64_t first_b = first_a; first_b < c; first_b += kLine) {
        for (std::int64_t a = first_a; a < last_a; ++a) {
          for (std::int64_t b = std::max(a, first_b); b < std::min(c, first_b + kLine); ++b) {
            double total = 0;
            for (std::int64_t chunk = 0; chunk < plan.num_chunks; ++chunk) {
              total += sums[chunk * matrix + a * plan.padded_c + b];
            }
            float* const out = g.as<float>() + a * c + b;
            const double held = accumulate == Accumulate::kAdd ? static_cast<double>(*out) : 0.0;
            *out = g.as<float>()[b * c + a] = static_cast<float>(held + scale * total);
          }
        }
      }
    });
  }
  void do_gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                        Accumulate accumulate, Workspace workspace) override {
    constexpr std::int64_t kRowsAtOnce = 48;
    const std::int64_t positions = f.shape.positions(), c = f.shape.c;
    auto* const matrix = static_cast<float*>(workspace.data);
    pool_.parallel_for(divide_up(c, 32), [&](std::int64_t item, int) {
      cpu::pack_matrix(kernels_, matrix, dg.as<float>(), c, static_cast<float>(scale), item * 32,
                       std::min(c, item * 32 + 32));
    });
    pool_.parallel_for(divide_up(positions, kRowsAtOnce), [&](std::int64_t item, int) {
      const std::int64_t first = item * kRowsAtOnce;
      kernels_.multiply_rows(df.as<float>() + first * c, f.as<float>() + first * c,
                             std::min(kRowsAtOnce, positions - first), c, matrix,
                             accumulate == Accumulate::kAdd);
    });
  }
  void do_squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                        double value_scale, double gradient_scale, Accumulate accumulate) override {
    *loss.as<double>() =
        value_scale * sum_runs(x.shape.elements(), [&](std::int64_t first, std::int64_t count) {
          return kernels_.squared_error(d.empty() ? nullptr : d.as<float>() + first, x.as<float>() + first,
                                        target.as<float>() + first, count, static_cast<float>(gradient_scale),
                                        accumulate == Accumulate::kAdd);
        });
  }
  void do_total_variation(TensorView loss, TensorView d, ConstTensorView x, TotalVariation kind,
                          double weight) override {
    const std::int64_t h = x.shape.h, w = x.shape.w;
    const bool absolute = kind == TotalVariation::kL1;
    // The value is a sum of t^2 (or |t|) times these; the slope of half the square is t.
    double scale_x = 1, scale_y = 1;
    if (kind == TotalVariation::kL2) {
      scale_x = w > 1 ? 1 / (255.0 * 255.0 * static_cast<double>(h * (w - 1) * 3)) : 0;
      scale_y = h > 1 ? 1 / (255.0 * 255.0 * static_cast<double>((h - 1) * w * 3)) : 0;
    } else if (kind == TotalVariation::kHalfSum) {
      scale_x = scale_y = 0.5 / (255.0 * 255.0);
    }
    const double slope = absolute ? weight : 2 * weight;
    const std::int64_t rows = std::max<std::int64_t>(divide_up(kGrain, 3 * w), divide_up(h, kMaxChunks));
    const std::int64_t num_runs = divide_up(h, rows);
    pool_.parallel_for(num_runs, [&](std::int64_t item, int) {
      const cpu::TotalVariationSums sums = kernels_.total_variation(
          d.as<float>(), x.as<float>(), item * rows, std::min(h, (item + 1) * rows), h, w, absolute,
          static_cast<float>(slope * scale_x), static_cast<float>(slope * scale_y));
      partials_[item] = scale_x * sums.x + scale_y * sums.y;
    });
    *loss.as<double>() = std::accumulate(partials_, partials_ + num_runs, 0.0);
  }

  // --- optimisers

  void do_momentum_step(TensorView x, TensorView v, ConstTensorView g, double learning_rate,
                        double momentum) override {
    for_runs(x.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.momentum(x.as<float>() + first, v.as<float>() + first, g.as<float>() + first, count,
                        static_cast<float>(learning_rate), static_cast<float>(momentum));
    });
  }
  void do_adam_step(TensorView x, TensorView m, TensorView v, TensorView step, ConstTensorView g,
                    const AdamParameters& p) override {
    const double t = *step.as<double>() += 1;
    const double step_size = p.learning_rate / (1 - std::pow(p.beta1, t));
    const double v_scale = 1 / std::sqrt(1 - std::pow(p.beta2, t));
    for_runs(x.shape.elements(), [&](std::int64_t first, std::int64_t count) {
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
    for_runs(x.shape.positions(), [&](std::int64_t first, std::int64_t count) {
      kernels_.clamp(x.as<float>() + 3 * first, count, low.data(), high.data());
    });
  }
  void do_average_channels(TensorView x) override {
    for_runs(x.shape.positions(), [&](std::int64_t first, std::int64_t count) {
      kernels_.average_channels(x.as<float>() + 3 * first, count);
    });
  }
  void do_add_scaled(TensorView out, ConstTensorView a, ConstTensorView scale, ConstTensorView b) override {
    for_runs(out.shape.elements(), [&](std::int64_t first, std::int64_t count) {
      kernels_.add_scaled(out.as<float>() + first, a.as<float>() + first,
                          static_cast<float>(*scale.as<double>()), b.as<float>() + first, count);
    });
  }
  void do_dot(TensorView out, ConstTensorView a, ConstTensorView b) override {
    *out.as<double>() = sum_runs(a.shape.elements(), [&](std::int64_t first, std::int64_t count) {
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
    for_runs(n, [&](std::int64_t first, std::int64_t count) {
      kernels_.lbfgs_pair(history.as<float>() + spare * n + first,
                          history.as<float>() + (slots + spare) * n + first, g_previous.as<float>() + first,
                          d.as<float>() + first, g.as<float>() + first, t, count);
    });
  }
  void do_lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state,
                     ConstTensorView g) override {
    const std::int64_t n = g.shape.elements(), num_rows = history.shape.h, slots = num_rows / 2;
    const auto spare = static_cast<std::int64_t>(state.as<double>()[LbfgsState::kSpare]);
    const auto* const rows = history.as<float>();
    auto* const out = dots.as<double>();
    const std::int64_t run = std::max(kGrain, divide_up(n, kMaxChunks)), num_runs = divide_up(n, run);
    constexpr std::int64_t kRowsAtOnce = kPartials / kMaxChunks / 3;
    std::fill_n(out, 3 * num_rows, 0.0);
    // Until the ring has filled, slots after the spare one have never been written.
    const auto count_in_use = static_cast<std::int64_t>(state.as<double>()[LbfgsState::kCount]);
    const std::int64_t used = count_in_use == spare ? spare + 1 : slots;
    const auto dot_rows = [&](std::int64_t row, std::int64_t count) {
      pool_.parallel_for(num_runs, [&](std::int64_t item, int) {
        const std::int64_t first = item * run;
        kernels_.dots3(partials_ + item * 3 * count, rows + row * n + first, count, n,
                       rows + spare * n + first, rows + (slots + spare) * n + first, g.as<float>() + first,
                       std::min(run, n - first));
      });
      for (std::int64_t r = 0; r < count; ++r) {
        for (std::int64_t i = 0; i < 3; ++i) {
          double total = 0;
          for (std::int64_t item = 0; item < num_runs; ++item) total += partials_[(item * count + r) * 3 + i];
          out[i * num_rows + row + r] = total;
        }
      }
    };
    for (std::int64_t row = 0; row < used; row += kRowsAtOnce) {
      dot_rows(row, std::min(kRowsAtOnce, used - row));
      dot_rows(slots + row, std::min(kRowsAtOnce, used - row));
    }
    out[3 * num_rows] = sum_runs(n, [&](std::int64_t first, std::int64_t count) {
      return kernels_.sum_abs(g.as<float>() + first, count);
    });
    out[3 * num_rows + 1] = sum_runs(n, [&](std::int64_t first, std::int64_t count) {
      return kernels_.dot(g.as<float>() + first, g.as<float>() + first, count);
    });
  }
  void do_lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots,
                          double learning_rate) override {
    cpu::lbfgs_direction(coefficients.as<double>(), state.as<double>(), dots.as<double>(),
                         (coefficients.shape.elements() - 1) / 2, learning_rate);
  }
  void do_lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows,
                  ConstTensorView g) override {
    const std::int64_t n = g.shape.elements();
    for_runs(n, [&](std::int64_t first, std::int64_t count) {
      kernels_.lincomb(out.as<float>() + first, coefficients.as<double>(), rows.as<float>() + first,
                       rows.shape.h, n, g.as<float>() + first, count);
    });
  }

  const Kernels& kernels_;
  ThreadPool pool_;
  WinogradChoices choices_;
  Buffer partials_buffer_;
  double* partials_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  const Precision precision = options.precision;
  if (precision != Precision::kAuto && precision != Precision::kFp32 && precision != Precision::kExact) {
    throw Error(ErrorCode::kResources,
                std::string("precision of cpu: expected fp32, exact, found ") + to_string(precision));
  }
  return std::make_unique<CpuBackend>(choose_kernels(), options, num_threads(options.threads));
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
