#pragma once
// J = alpha * sum c_l content_l + beta * sum lambda_l style_l + tau * tv, and its gradient with respect to
// the picture. docs/losses.md has the formulas and their sources.
#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/network/executor.h"
#include "engine/options/options.h"
#include "engine/style/loss_value.h"
#include "engine/style/optimizer.h"
#include "engine/style/targets.h"
#include "engine/style/terms/term.h"

namespace impasto {

/// Taps that the objective needs: content and style layers, without duplicates.
[[nodiscard]] std::vector<std::string> objective_taps(const ObjectiveOptions& options);

/// What an objective runs: an evaluation, and what its targets need of the content and of a style picture;
/// nothing where no loss reads that.
[[nodiscard]] ProgramTask evaluation_task(const ObjectiveOptions& options, const NodeGraph& graph,
                                          Shape picture);
[[nodiscard]] ProgramTask content_task(const ObjectiveOptions& options, const NodeGraph& graph,
                                       Shape picture);
[[nodiscard]] ProgramTask style_task(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture);

/// Device tensors of the objective beside the network's: those of its terms, one scratch, the slots for its
/// values. Pure, for the memory plan.
[[nodiscard]] std::vector<TensorSpec> objective_tensors(const ObjectiveOptions& options,
                                                        const NodeGraph& graph, const Program& evaluation,
                                                        const BackendTraits& traits);

/// Bytes of the StyleTargets of one style picture.
[[nodiscard]] std::size_t style_target_bytes(const ObjectiveOptions& options, const NodeGraph& graph,
                                             Shape picture);

struct LossValues {
  double total = 0;               ///< J
  std::vector<LossValue> losses;  ///< every loss, also those that have no term
};

class StyleObjective final : public Objective {
 public:
  /// `tensors`: memory for objective_tensors(), in order.
  /// `memory`: of a plan for evaluation_task().
  StyleObjective(Backend& backend, Executor& executor, const ObjectiveOptions& options,
                 std::span<const TensorView> tensors, NetworkMemory memory);

  /// From now on the gradient has equal channels, so that a grey x stays grey. Before the first evaluation.
  void keep_grey() { grey_ = true; }

  /// Measures the content, which was uploaded to memory.picture() of a plan for content_task().
  void set_content(const NetworkMemory& memory);
  /// What the terms want to know of a style picture, each once.
  [[nodiscard]] std::vector<std::string> style_statistics() const;
  /// Measures a style picture in the same way, with a plan for style_task(). `coverage` (h * w of the
  /// picture, 0..1; empty: 1 everywhere): what each position counts for,
  ///   A^ = sum_p m_p f_p f_p' / sum_p m_p
  /// with m its mean over the pools' blocks at deeper layers. Error(kBadInput) where a layer sees none.
  [[nodiscard]] StyleTargets measure_style(const NetworkMemory& memory, std::span<const float> coverage = {});
  /// Takes the blend of these as the styles' targets.
  void set_styles(std::span<const WeightedTargets> styles);
  /// After the targets: reads their energies, and warns of layers that are dead in them and leaves those out.
  /// Error(kBadInput) for one that is not finite, as from set_content and measure_style for features that are
  /// not: a ReLU makes zero of what is no number, and all behind it would seem dead.
  void finish_targets(const std::function<void(const std::string&)>& warn);

  /// x and gradient lie in the same memory each time: the
  /// device may replay what it did before (Backend::repeat).
  void evaluate(ConstTensorView x, TensorView gradient) override;
  void write_value(TensorView slot) override;
  /// Of the last evaluation; waits for it.
  [[nodiscard]] const LossValues& values();
  /// The term that weighs most in the values read last, or the first that is not finite: "style relu1_1".
  [[nodiscard]] std::string largest_term() const;

  /// The same without stopping the device: queue_values() after an evaluation (a replayed one, too),
  /// take_values() for the oldest queued ones. At most kMostQueued at a time.
  static constexpr std::size_t kMostQueued = 2;
  void queue_values();
  [[nodiscard]] const LossValues& take_values();

  /// Where traits().scaled_gradients: chooses the device's scale by evaluating at x, with room above the
  /// largest gradient. From then on each evaluation is watched (Backend::watch_gradients).
  void calibrate(ConstTensorView x, TensorView gradient);
  /// How many of the evaluations whose values were read met gradients beyond the type's largest number, which
  /// were cut there.
  [[nodiscard]] int num_saturated() const { return num_saturated_; }

 private:
  [[nodiscard]] TermContext context(const NetworkMemory& memory) const {
    return {backend_, memory.workspace};
  }
  /// Behind the terms' slots.
  [[nodiscard]] TensorView peak_slot() const;
  [[nodiscard]] std::function<void(int, ConstTensorView)> finite_check(const char* whose);
  void run(ConstTensorView x, TensorView gradient, GradientRoom room);
  void write_tap_gradient(int tap, TapGradient step, TensorView d, ConstTensorView features);
  void read_slots(std::span<const double> slots);
  /// The sum of each term's.
  void sum_slots(std::span<const double> slots);

  Backend& backend_;
  Executor& executor_;
  NetworkMemory memory_;
  LossTerms terms_;             // in the order of their slots
  std::vector<int> num_slots_;  // of each term
  TensorView weights_;          // of each slot in J
  TensorView slots_;
  TapHooks hooks_;
  std::vector<double> slot_values_, term_values_;
  std::array<std::unique_ptr<Readback>, kMostQueued> readbacks_;
  std::deque<Readback*> queued_;  // oldest first
  std::size_t next_readback_ = 0;
  LossValues values_;
  int num_saturated_ = 0;
  std::unique_ptr<Recording> recording_;
  bool grey_ = false;
};

}  // namespace impasto
