#pragma once
// What a render will take, known before the first allocation. Plain values; planning.h makes them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/backend/conv_task.h"
#include "engine/core/size.h"

namespace impasto {

/// The sizes of a render's pictures, as their files have them.
struct RenderSizes {
  struct Style {
    PixelSize size;
    double scale = 1;  ///< StyleInput::scale
  };
  PixelSize content;
  std::vector<Style> styles;
};

/// Convolutions that differ in the rows of their strips alone.
struct ConvolutionWork {
  ConvTask task;       ///< as most of them have it
  double outputs = 0;  ///< elements of all their outputs (backward: of the gradients that they take)
};

/// What takes the time of some passes through the network.
struct Work {
  std::vector<ConvolutionWork> convolutions;
  double gram_flops = 0;
  double moved_bytes = 0;  ///< read and written by all else, about
};

struct ScalePlan {
  int iterations = 0;  ///< evaluations of loss and gradient, at most (StyleOptions::tolerance)
  PixelSize size;
  std::vector<PixelSize> style_sizes;  ///< of each style picture
  std::string way;                     ///< through the network, for people: "at once" or in which strips
  int history = 0;                     ///< L-BFGS: pairs that there is room for; others 0
  bool strained = false;               ///< narrow strips that cost much time, or a very short history
  std::size_t activation_bytes = 0;    ///< feature maps and their gradients, at their offsets in one arena
  std::size_t workspace_bytes = 0;     ///< beside them, of an evaluation
  std::size_t target_bytes = 0;        ///< content features, style Gram matrices, loss slots
  std::size_t optimizer_bytes = 0;     ///< picture, gradient, history
  double flops = 0;  ///< of one iteration: convolutions and Gram matrices, forward and backward
  Work iteration;    ///< what that is made of
  Work targets;      ///< before the first one: the content's features and the styles' statistics
};

struct RenderPlan {
  std::vector<ScalePlan> scales;
  std::string device, precision;
  std::size_t filter_bytes = 0;  ///< prepared filters, once
  std::size_t fixed_bytes = 0;   ///< the backend's own
  std::size_t device_bytes = 0;  ///< peak on the device: filters + fixed + the largest scale
  std::size_t host_bytes = 0;    ///< pictures, weights, style statistics beside it (an estimate, stated so)
  std::int64_t budget_bytes = 0;
  std::int64_t chosen_for_bytes =
      0;  ///< the budget that decided strips and history: this one, or a checkpoint's

  /// Of all iterations, with a tolerance at most.
  [[nodiscard]] double flops() const {
    double sum = 0;
    for (const ScalePlan& scale : scales) sum += scale.flops * scale.iterations;
    return sum;
  }
  /// What a render takes of its own beside what its session has.
  [[nodiscard]] std::size_t arena_bytes() const { return device_bytes - filter_bytes - fixed_bytes; }
  [[nodiscard]] bool fits() const { return static_cast<std::int64_t>(device_bytes) <= budget_bytes; }
};

}  // namespace impasto
