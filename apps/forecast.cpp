#include "apps/forecast.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <tuple>

#include "apps/device_speed.h"
#include "engine/core/error.h"

namespace impasto::apps {
namespace {

/// Speeds of a device, each measured when it is first asked for.
class Speeds {
 public:
  explicit Speeds(Backend& backend) : backend_(backend) {}

  double seconds(const Work& work) {
    double sum = work.gram_flops / gram_flops() + work.moved_bytes / bytes();
    for (const ConvolutionWork& convolution : work.convolutions) sum += seconds(convolution);
    return sum;
  }

 private:
  double seconds(const ConvolutionWork& work) {
    ConvTask task = work.task;
    Shape& input = task.input;
    const auto key = std::tuple(input.h, input.w, input.c, task.out_channels, is_forward(task.op));
    const auto found = convolutions_.find(key);
    if (found != convolutions_.end()) return work.outputs * found->second;
    // Of a large layer a part is enough: on a CPU a small one, on a GPU one that keeps it busy.
    const double most = backend_.traits().asynchronous ? 2e11 : 1e9;
    constexpr std::int64_t kLeastRows = 14, kLeastColumns = 28;
    const auto part = [&](std::int64_t side, std::int64_t other, std::int64_t least) {
      const double one = 18.0 * static_cast<double>(other * input.c * task.out_channels);
      return std::clamp(static_cast<std::int64_t>(most / one), std::min(least, side), side);
    };
    input.h = part(input.h, kLeastColumns, kLeastRows);
    input.w = part(input.w, input.h, kLeastColumns);
    task.padding = {};
    SampleConv sample(backend_, task, SampleConv::Choice::kByRule);
    const double least = seconds_of(backend_, 2, [&] { sample.run(); });
    const double one = least / static_cast<double>(input.h * input.w * task.out_channels);
    convolutions_.emplace(key, one);
    return work.outputs * one;
  }

  double gram_flops() {
    if (gram_flops_ > 0) return gram_flops_;
    const Shape features{32, 64, 256}, square{1, 256, 256};
    const BackendTraits& traits = backend_.traits();
    const Buffer f =
        backend_.allocate(static_cast<std::size_t>(features.elements()) * size_of(traits.activation));
    const Buffer g = backend_.allocate(static_cast<std::size_t>(square.elements()) * size_of(traits.real));
    const Buffer workspace =
        backend_.allocate(std::max<std::size_t>(traits.gram_workspace_bytes(features), 1));
    const TensorView x = f.view(0, features, traits.activation);
    backend_.fill(x, 0.5);
    const double seconds = seconds_of(backend_, 2, [&] {
      backend_.gram(g.view(0, square, traits.real), x, 1, Accumulate::kOverwrite,
                    {workspace.data(), traits.gram_workspace_bytes(features)});
    });
    gram_flops_ = 2.0 * static_cast<double>(features.elements() * features.c) / seconds;
    return gram_flops_;
  }

  double bytes() {
    if (bytes_ > 0) return bytes_;
    const Shape shape{1, 1, std::int64_t{1} << 21};
    const DType real = backend_.traits().real;
    const Buffer from = backend_.allocate(static_cast<std::size_t>(shape.elements()) * size_of(real));
    const Buffer to = backend_.allocate(from.bytes());
    backend_.fill(from.view(0, shape, real), 1);
    const double seconds =
        seconds_of(backend_, 2, [&] { backend_.copy(to.view(0, shape, real), from.view(0, shape, real)); });
    bytes_ = 2 * static_cast<double>(from.bytes()) / seconds;
    return bytes_;
  }

  Backend& backend_;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool>, double>
      convolutions_;  // seconds an output element
  double gram_flops_ = 0, bytes_ = 0;
};

/// `other`, its convolutions of the nearest sizes that `work` has of their kind: so these are not timed too.
Work like(const Work& work, Work other) {
  for (ConvolutionWork& convolution : other.convolutions) {
    std::int64_t off = std::numeric_limits<std::int64_t>::max();
    const auto kind = [](const ConvTask& task) {
      return std::tuple(task.input.c, task.out_channels, is_forward(task.op));
    };
    const ConvTask own = convolution.task;
    for (const ConvolutionWork& c : work.convolutions) {
      const std::int64_t apart = std::abs(c.task.input.w - own.input.w);
      if (kind(c.task) != kind(own) || apart >= off) continue;
      off = apart;
      convolution.task = c.task;
    }
  }
  return other;
}

Forecast forecast_once(Backend& backend, const RenderPlan& plan) {
  Forecast result;
  Speeds speeds(backend);
  try {
    for (const ScalePlan& scale : plan.scales) {
      const double iteration = speeds.seconds(scale.iteration);
      result.per_iteration.push_back(iteration);
      result.total += iteration * scale.iterations + speeds.seconds(like(scale.iteration, scale.targets));
    }
  } catch (const Error& error) {  // no room to try, which the render need not have
    if (error.code() != ErrorCode::kResources) throw;
    return {};
  }
  return result;
}

}  // namespace

Forecast forecast(Backend& backend, const RenderPlan& plan) {
  // Twice, as one may fall into a moment in which the machine does something else.
  Forecast first = forecast_once(backend, plan), second = forecast_once(backend, plan);
  return second.total < first.total ? second : first;
}

bool worth_forecasting(const RenderPlan& plan) {
  constexpr double kMuch = 5e12;  // half a minute of a few cores
  return plan.flops() > kMuch;
}

}  // namespace impasto::apps
