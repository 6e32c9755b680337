#include "engine/backend/cpu/cpu_conv.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/direct.h"
#include "kernels/cpu/pack.h"

namespace impasto {
namespace {

using cpu::ConvProblem;
using cpu::Kernels;

constexpr std::int64_t kFewestChannels = 16;  // of a convolution by Winograd

/// In whole cache lines.
std::size_t float_bytes(std::int64_t count) {
  return static_cast<std::size_t>(cpu::round_up(count, cpu::kLine)) * sizeof(float);
}

std::size_t bias_bytes(const Kernels& kernels, std::int64_t out_channels) {
  return float_bytes(cpu::round_up(out_channels, kernels.panel));
}

std::size_t direct_filter_bytes(const Kernels& kernels, std::int64_t in_channels, std::int64_t out_channels) {
  return float_bytes(packed_filter_floats(kernels, in_channels, out_channels));
}

/// The bias, then the packed filters: for Winograd one copy for both directions, else one for each.
class CpuConvFilter final : public ConvFilter {
 public:
  CpuConvFilter(const std::string& format, const Kernels& kernels, bool direct, Buffer buffer,
                const ConvFilterDesc& desc)
      : ConvFilter(format, desc), buffer_(std::move(buffer)) {
    const std::int64_t in = desc.in_channels, out = desc.out_channels;
    auto* const bias = static_cast<float*>(buffer_.data());
    auto* const forward = bias + bias_bytes(kernels, out) / sizeof(float);
    std::memset(bias, 0, bias_bytes(kernels, out));
    std::copy(desc.bias.begin(), desc.bias.end(), bias);
    bias_ = bias;
    forward_ = backward_ = forward;
    if (!direct) {
      cpu::pack_winograd_filter(forward, desc.filter.data(), in, out);
      return;
    }
    auto* const backward = forward + direct_filter_bytes(kernels, in, out) / sizeof(float);
    pack_conv_filter(kernels, forward, desc.filter.data(), in, out, false);
    pack_conv_filter(kernels, backward, desc.filter.data(), in, out, true);
    backward_ = backward;
  }
  [[nodiscard]] const float* bias() const { return bias_; }
  [[nodiscard]] const float* packed(bool flipped) const { return flipped ? backward_ : forward_; }

 private:
  Buffer buffer_;
  const float *bias_ = nullptr, *forward_ = nullptr, *backward_ = nullptr;
};

ConvProblem make_problem(TensorView out, ConstTensorView in) {
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
void run(const CpuConvolutions& c, ConvProblem& problem, const ConvFilter& filter, Shape input,
         Workspace workspace) {
  problem.filter = static_cast<const CpuConvFilter&>(filter).packed(problem.flipped);
  auto* const scratch = static_cast<float*>(workspace.data);
  if (c.is_direct(filter.in_channels(), filter.out_channels()))
    return run_direct(c.kernels, c.pool, problem, input.h, input.w, scratch);
  const WinogradKey key{problem.out_h, problem.out_w, problem.in_c, problem.out_c, problem.flipped};
  run_winograd(c.kernels, c.pool, problem, c.choices.plan(key), scratch);
}

}  // namespace

bool CpuConvolutions::is_direct(std::int64_t in_channels, std::int64_t out_channels) const {
  return precision == Precision::kExact || std::min(in_channels, out_channels) < kFewestChannels;
}

std::size_t CpuConvolutions::filter_bytes(std::int64_t in_channels, std::int64_t out_channels) const {
  const std::size_t bias = bias_bytes(kernels, out_channels);
  if (!is_direct(in_channels, out_channels))
    return bias + float_bytes(cpu::winograd_filter_floats(in_channels, out_channels));
  return bias + direct_filter_bytes(kernels, in_channels, out_channels) +
         direct_filter_bytes(kernels, out_channels, in_channels);
}

std::size_t CpuConvolutions::workspace_bytes(const ConvTask& task) const {
  const int threads = pool.num_threads();
  const Shape& x = task.input;
  if (!is_direct(x.c, task.out_channels)) {
    return float_bytes(choices.plan(winograd_key(task)).scratch_floats(threads));
  }
  const bool forward = is_forward(task.op);
  return float_bytes(cpu::direct_scratch_floats(kernels, x.h, x.w, forward ? x.c : task.out_channels,
                                                forward ? task.out_channels : x.c, threads));
}

std::shared_ptr<const ConvFilter> CpuConvolutions::make_filter(const std::string& format, Buffer buffer,
                                                               const ConvFilterDesc& desc) const {
  return std::make_shared<const CpuConvFilter>(
      format, kernels, is_direct(desc.in_channels, desc.out_channels), std::move(buffer), desc);
}

void CpuConvolutions::forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding,
                              Relu relu, Workspace workspace) const {
  ConvProblem problem = make_problem(y, x);
  problem.pad_top = padding.top;
  problem.pad_left = padding.left;
  problem.bias = static_cast<const CpuConvFilter&>(filter).bias();
  problem.relu = relu == Relu::kYes;
  run(*this, problem, filter, x.shape, workspace);
}

void CpuConvolutions::backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter,
                                    Padding padding, Accumulate accumulate, ConstTensorView mask,
                                    Workspace workspace) const {
  ConvProblem problem = make_problem(dx, dy);
  problem.pad_top = 2 - padding.top;
  problem.pad_left = 2 - padding.left;
  problem.flipped = true;
  problem.mask = mask.as<float>();
  problem.accumulate = accumulate == Accumulate::kAdd;
  run(*this, problem, filter, dx.shape, workspace);
}

}  // namespace impasto
