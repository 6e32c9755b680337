#pragma once
// Runs programs on a device: forward through VGG, and backward with respect to the picture only, for the
// weights are frozen.
#include <functional>

#include "engine/backend/backend.h"
#include "engine/network/conv_filters.h"
#include "engine/network/memory_plan.h"
#include "engine/network/vgg.h"
#include "engine/network/weights.h"

namespace impasto {

/// Memory that a plan describes: an arena of at least plan.arena_bytes, and a workspace.
struct NetworkMemory {
  const NetworkPlan* plan = nullptr;
  void* arena = nullptr;
  Workspace workspace;
  /// The arena at `base`, all the rest of `bytes` as workspace; at least plan.bytes().
  [[nodiscard]] static NetworkMemory at(const NetworkPlan& plan, void* base, std::size_t bytes) {
    return {&plan, base, {static_cast<std::byte*>(base) + plan.arena_bytes, bytes - plan.arena_bytes}};
  }
  /// A tensor of the plan's program that lies in the arena.
  [[nodiscard]] TensorView view(int tensor) const {
    const auto t = static_cast<std::size_t>(tensor);
    const ProgramTensor& planned = plan->program.tensors[t];
    return {static_cast<std::byte*>(arena) + plan->offsets[t], planned.shape, planned.dtype};
  }
  /// Where a kForward program finds its picture.
  [[nodiscard]] TensorView picture() const { return view(Program::kPicture); }
};

/// The tensors that a kForwardBackward program gets from outside, (h,w,3) real.
struct ExternalTensors {
  ConstTensorView picture;
  TensorView gradient;  ///< overwritten
};

/// What the losses do where a program reaches a tap.
struct TapHooks {
  /// Rows of the features. They may be overwritten after the call, and must not have changed when it returns.
  std::function<void(int tap, const TapRows& rows, TensorView features)> features;
  /// All rows have been there, in several calls of `features`. May be empty.
  std::function<void(int tap)> complete;
  /// d (+)= the losses' gradient at these rows of the tap, masked by the features where that is asked for.
  std::function<void(int tap, const TapGradient& step, TensorView d, ConstTensorView features)> gradient;
  /// A convolution of the forward pass is done, with the ReLU where it is fused. May be empty.
  std::function<void(int node, ConstTensorView out)> convolved = {};
};

/// A network's graph with its filters on a device. Must not outlive the backend.
class Executor {
 public:
  /// With filters that others may use, too: make_conv_filters() of this graph or of a deeper one.
  Executor(Backend& backend, ConvFilters filters, NodeGraph graph);
  /// With filters of its own.
  Executor(Backend& backend, const Weights& weights, NodeGraph graph);

  [[nodiscard]] const NodeGraph& graph() const { return graph_; }

  /// All steps in order. Programs must be of this graph.
  void run(const NetworkMemory& memory, const ExternalTensors& external, const TapHooks& hooks);

 private:
  void run_step(const Step& step, const NetworkMemory& memory, const ExternalTensors& external,
                const TapHooks& hooks);

  Backend& backend_;
  NodeGraph graph_;
  ConvFilters filters_;
};

}  // namespace impasto
