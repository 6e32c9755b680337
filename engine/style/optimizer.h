#pragma once
// Optimisers over one picture-sized vector. All vectors stay on the device.
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/options/options.h"

namespace impasto {

/// A function of the picture, with its gradient.
class Objective {
 public:
  virtual ~Objective() = default;
  /// Queues J(x) and gradient = dJ/dx (overwritten); does not wait.
  virtual void evaluate(ConstTensorView x, TensorView gradient) = 0;
  /// Queues J of the last evaluate into a slot; does not wait.
  virtual void write_value(TensorView slot) = 0;
};

/// Displayable range of x in its three channels.
struct PixelRange {
  std::array<double, 3> lower{0, 0, 0}, upper{255, 255, 255};
};

/// One step = one evaluation of the objective ("iteration"), then a move of x.
///
/// No step() allocates, and none waits. Everything that a resumed run needs is in tensors() and
/// host_state(): restored into a new optimiser of the same options, they continue with the same bits, in the
/// middle of a line search too.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Evaluates at x (tensors()[0]), then moves x to where the next step will evaluate. Always the same
  /// objective: the device may replay the whole step (Backend::repeat).
  virtual void step(Objective& objective) = 0;
  /// The picture to show and save, between two steps: where the optimiser backs off (backs_off) the evaluated
  /// point with the lowest loss (it may be rebuilt in the gradient's memory; waits), else the point after the
  /// last move.
  [[nodiscard]] virtual ConstTensorView picture() const = 0;
  /// One line for people on why the picture hardly moved and
  /// what to do; empty where there is nothing to say. Waits.
  [[nodiscard]] virtual std::string advice() const { return {}; }
  /// Further doubles that belong to the state (line search bracket, counters); same length at all times.
  /// Waits where they lie on the device.
  [[nodiscard]] virtual std::vector<double> host_state() const { return {}; }
  /// After tensors() were restored. Error(kBadInput) if it is not what host_state() of such an optimiser
  /// gives, or if numbers in tensors() that places and counts are taken from cannot be.
  virtual void restore_host_state(std::span<const double> state);
  /// Device tensors that belong to the state, x first, named as optimizer_tensors names them. Scratch (the
  /// gradient, inner products) is left out.
  [[nodiscard]] const std::vector<std::pair<std::string, TensorView>>& tensors() const { return tensors_; }

 protected:
  std::vector<std::pair<std::string, TensorView>> tensors_;
};

/// The device tensors that an optimiser works in, x first and the gradient second: pure, for the memory plan.
///   gradient descent   x, gradient, velocity; with learning rate auto x, gradient, [velocity,] base,
///                      base_gradient, best, dots, scalars, machine; the bracketed one with momentum
///   Adam               x, gradient, mean, variance, step
///   L-BFGS             x, gradient, previous_gradient, direction, [base,] history, state, dots, coefficients
///                      [, scalars]; the bracketed ones with the Wolfe line search or with clamp; with the
///                      search also machine, with the pyramid also conditioned, previous_conditioned,
///                      with_previous, products and its levels
[[nodiscard]] std::vector<TensorSpec> optimizer_tensors(const OptimizerOptions& options, Shape picture,
                                                        DType real);

/// Does such an optimiser take back a step that led to a loss that is not finite?
[[nodiscard]] bool backs_off(const OptimizerOptions& options);

/// `tensors` are memory for optimizer_tensors(), in that order; x (tensors[0]) holds the start, everything
/// else is initialised here. The range is used when options.clamp is set.
[[nodiscard]] std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, Backend& backend,
                                                        std::span<const TensorView> tensors,
                                                        const PixelRange& range);

}  // namespace impasto
