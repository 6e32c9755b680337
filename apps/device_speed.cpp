#include "apps/device_speed.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

namespace impasto::apps {

double seconds_of(Backend& backend, int repeats, const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const Buffer flag = backend.allocate(sizeof(double));
  const TensorView slot = flag.view(0, {1, 1, 1}, DType::kFloat64);
  backend.fill(slot, 0);
  double value = 0;
  const auto wait = [&] { backend.download(std::span<double>(&value, 1), slot); };
  work();
  wait();
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    const auto begin = Clock::now();
    work();
    wait();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

SampleConv::SampleConv(Backend& backend, const ConvTask& task, Choice choice)
    : backend_(backend), task_(task) {
  const Shape &input = task.input, output = task.output();
  const std::vector<float> filter(static_cast<std::size_t>(9 * input.c * output.c), 0.01F);
  const std::vector<float> bias(static_cast<std::size_t>(output.c), 0.1F);
  conv_ = backend.make_conv_filter({input.c, output.c, filter, bias});
  const BackendTraits& traits = backend.traits();
  const auto aligned = [&](std::size_t bytes) {
    return (bytes + traits.alignment - 1) / traits.alignment * traits.alignment;
  };
  const std::size_t x_bytes =
      aligned(static_cast<std::size_t>(input.elements()) * size_of(traits.activation));
  const std::size_t y_bytes =
      aligned(static_cast<std::size_t>(output.elements()) * size_of(traits.activation));
  if (choice == Choice::kPrepared) backend.prepare_conv(task);
  const std::size_t workspace_bytes = traits.conv_workspace_bytes(task);
  memory_ = backend.allocate(x_bytes + y_bytes + std::max<std::size_t>(workspace_bytes, 1));
  x_ = memory_.view(0, input, traits.activation);
  y_ = memory_.view(x_bytes, output, traits.activation);
  workspace_ = {static_cast<std::byte*>(memory_.data()) + x_bytes + y_bytes, workspace_bytes};
  backend.fill(x_, 0.5);
  backend.fill(y_, 0.25);
}

void SampleConv::run() {
  switch (task_.op) {
    case ConvOp::kForwardRelu:
    case ConvOp::kForward: {
      const Relu relu = task_.op == ConvOp::kForwardRelu ? Relu::kYes : Relu::kNo;
      return backend_.conv2d_forward(y_, x_, *conv_, task_.padding, relu, workspace_);
    }
    case ConvOp::kBackwardData:
    case ConvOp::kBackwardDataAdd: break;
  }
  const bool add = task_.op == ConvOp::kBackwardDataAdd;
  backend_.conv2d_backward_data(x_, y_, *conv_, task_.padding,
                                add ? Accumulate::kAdd : Accumulate::kOverwrite, {}, workspace_);
}

double SampleConv::flops() const {
  return 18.0 * static_cast<double>(x_.shape.elements()) * static_cast<double>(y_.shape.c);
}

}  // namespace impasto::apps
