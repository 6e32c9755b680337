#include "engine/backend/cpu/cpu_conv2d.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/pack.h"

namespace impasto {
namespace {

using cpu::ConvProblem;
using cpu::ConvTiling;
using cpu::Kernels;

constexpr std::int64_t kFewestChannels = 16;  // of a convolution by Winograd

bool is_direct(Precision precision, std::int64_t in_channels, std::int64_t out_channels) {
  return precision == Precision::kExact || std::min(in_channels, out_channels) < kFewestChannels;
}

/// In whole cache lines.
std::size_t float_bytes(std::int64_t count) {
  return static_cast<std::size_t>(cpu::round_up(count, cpu::kLine)) * sizeof(float);
}

std::size_t bias_bytes(const Kernels& kernels, std::int64_t out_channels) {
  return float_bytes(cpu::round_up(out_channels, kernels.panel));
}

class CpuConv2d : public Conv2d {
 protected:
  CpuConv2d(const Kernels& kernels, cpu::ThreadPool& pool, Buffer buffer, const Conv2dDesc& desc)
      : Conv2d(desc.in_channels, desc.out_channels),
        kernels_(kernels),
        pool_(pool),
        buffer_(std::move(buffer)),
        bias_(static_cast<float*>(buffer_.data())) {
    std::memset(bias_, 0, bias_bytes(kernels, desc.out_channels));
    std::copy(desc.bias.begin(), desc.bias.end(), bias_);
  }

  /// After the bias.
  [[nodiscard]] float* filters() { return bias_ + bias_bytes(kernels_, out_channels()) / sizeof(float); }

  void do_forward(TensorView y, ConstTensorView x, Padding padding, Relu relu, Workspace workspace) override {
    ConvProblem problem = make_problem(y, x);
    problem.pad_top = padding.top;
    problem.pad_left = padding.left;
    problem.bias = bias_;
    problem.relu = relu == Relu::kYes;
    run(problem, x.shape, static_cast<float*>(workspace.data));
  }
  void do_backward_data(TensorView dx, ConstTensorView dy, Padding padding, Accumulate accumulate,
                        ConstTensorView mask, Workspace workspace) override {
    ConvProblem problem = make_problem(dx, dy);
    problem.pad_top = 2 - padding.top;
    problem.pad_left = 2 - padding.left;
    problem.flipped = true;
    problem.mask = mask.as<float>();
    problem.accumulate = accumulate == Accumulate::kAdd;
    run(problem, dx.shape, static_cast<float*>(workspace.data));
  }

  static ConvProblem make_problem(TensorView out, ConstTensorView in) {
    ConvProblem problem;
    problem.in = in.as<float>();
    problem.out = out.as<float>();
    problem.in_h = in.shape.h;
    problem.in_w = in.shape.w;
    problem.in_c = in.shape.c;
    problem.out_h = out.shape.h;
    problem.out_w = out.shape.w;
    problem.out_c = out.shape.c;
    return problem;
  }

  /// All but the filter is set. `input`: the layer's, in both directions.
  virtual void run(ConvProblem& problem, Shape input, float* scratch) = 0;

  const Kernels& kernels_;
  cpu::ThreadPool& pool_;
  Buffer buffer_;
  float* bias_;
};

class DirectConv2d final : public CpuConv2d {
 public:
  DirectConv2d(const Kernels& kernels, cpu::ThreadPool& pool, Buffer buffer, const Conv2dDesc& desc)
      : CpuConv2d(kernels, pool, std::move(buffer), desc),
        forward_(filters()),
        backward_(forward_ + bytes(kernels, desc.in_channels, desc.out_channels) / sizeof(float)) {
    pack_conv_filter(kernels, forward_, desc.filter.data(), desc.in_channels, desc.out_channels, false);
    pack_conv_filter(kernels, backward_, desc.filter.data(), desc.in_channels, desc.out_channels, true);
  }
  static std::size_t bytes(const Kernels& kernels, std::int64_t in_channels, std::int64_t out_channels) {
    return float_bytes(packed_filter_floats(kernels, in_channels, out_channels));
  }

 private:
  void run(ConvProblem& problem, Shape input, float* scratch) override {
    problem.filter = problem.flipped ? backward_ : forward_;
    const ConvTiling tiling =
        make_conv_tiling(kernels_, input.h, input.w, problem.in_c, problem.out_c, pool_.num_threads());
    pool_.parallel_for(num_conv_items(problem, tiling), [&](std::int64_t item, int thread) {
      kernels_.conv_item(problem, tiling, item, scratch + thread * tiling.scratch_floats);
    });
  }

  float *forward_, *backward_;
};

class WinogradConv2d final : public CpuConv2d {
 public:
  WinogradConv2d(const Kernels& kernels, cpu::ThreadPool& pool, WinogradChoices& choices, Buffer buffer,
                 const Conv2dDesc& desc)
      : CpuConv2d(kernels, pool, std::move(buffer), desc), choices_(choices) {
    cpu::pack_winograd_filter(filters(), desc.filter.data(), desc.in_channels, desc.out_channels);
  }

 private:
  void run(ConvProblem& problem, Shape, float* scratch) override {
    problem.filter = filters();
    run_winograd(kernels_, pool_, problem,
                 choices_.plan({problem.out_h, problem.out_w, problem.in_c, problem.out_c, problem.flipped}),
                 scratch);
  }

  WinogradChoices& choices_;
};

}  // namespace

std::size_t cpu_conv_filter_bytes(const Kernels& kernels, Precision precision, std::int64_t in_channels,
                                  std::int64_t out_channels) {
  const std::size_t bias = bias_bytes(kernels, out_channels);
  if (!is_direct(precision, in_channels, out_channels))
    return bias + float_bytes(cpu::winograd_filter_floats(in_channels, out_channels));
  return bias + DirectConv2d::bytes(kernels, in_channels, out_channels) +
         DirectConv2d::bytes(kernels, out_channels, in_channels);
}

std::size_t cpu_conv_workspace_bytes(const Kernels& kernels, Precision precision, int num_threads,
                                     WinogradChoices& choices, Shape input, std::int64_t out_channels,
                                     Padding padding) {
  const auto either = [&](const auto& scratch) {
    return float_bytes(std::max<std::int64_t>(scratch(false), scratch(true)));
  };
  if (is_direct(precision, input.c, out_channels)) {
    return either([&](bool flipped) {
      return num_threads * make_conv_tiling(kernels, input.h, input.w, flipped ? out_channels : input.c,
                                            flipped ? input.c : out_channels, num_threads)
                               .scratch_floats;
    });
  }
  const Shape output{input.h + padding.top + padding.bottom - 2, input.w + padding.left + padding.right - 2,
                     out_channels};
  return either([&](bool flipped) {
    const Shape &from = flipped ? output : input, &to = flipped ? input : output;
    return choices.plan({to.h, to.w, from.c, to.c, flipped}).scratch_floats(num_threads);
  });
}

std::unique_ptr<Conv2d> make_cpu_conv2d(const Kernels& kernels, Precision precision, cpu::ThreadPool& pool,
                                        WinogradChoices& choices, Buffer buffer, const Conv2dDesc& desc) {
  if (is_direct(precision, desc.in_channels, desc.out_channels))
    return std::make_unique<DirectConv2d>(kernels, pool, std::move(buffer), desc);
  return std::make_unique<WinogradConv2d>(kernels, pool, choices, std::move(buffer), desc);
}

}  // namespace impasto
