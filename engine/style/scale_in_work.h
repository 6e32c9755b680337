#pragma once
// The scale that a render works at: its losses and its optimiser at their places in the render's arena, and
// evaluation after evaluation.
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/network/executor.h"
#include "engine/style/checkpoint.h"
#include "engine/style/convergence.h"
#include "engine/style/objective.h"
#include "engine/style/optimizer.h"
#include "engine/style/scale_layout.h"

namespace impasto {

class ScaleInWork {
 public:
  /// Its number and how many there are, its evaluations (at most), and those of all scales before it; its
  /// layout's history.
  struct Place {
    int scale = 0, num_scales = 1;
    int iterations = 0;
    long long before = 0;
    int history = 0;  ///< L-BFGS: pairs that there is room for
  };

  /// Everything borrowed.
  ScaleInWork(Backend& backend, Executor& executor, const StyleOptions& options,
              const NetworkPlan& evaluation, ScaleMemory memory, Place place);

  // --- before the first evaluation: targets, then start()
  [[nodiscard]] StyleObjective& objective() { return objective_; }
  /// Memory for a plan of the layout's, content_pass or one of style_passes.
  [[nodiscard]] NetworkMemory pass(const NetworkPlan& plan) const {
    return NetworkMemory::at(plan, memory_.network, memory_.network_bytes);
  }
  /// x in network units, and its displayable range.
  void start(std::span<const float> x, const PixelRange& range);
  enum class Resume : std::uint8_t {
    kExact,
    kInexact,    ///< where the optimiser's tensors are of other shapes it begins anew at the picture
    kElsewhere,  ///< the same, and of what a device there chose nothing is taken over
  };
  /// Goes on from where the checkpoint ends; after start().
  void restore(const Checkpoint& checkpoint, Resume how);
  /// Finds the gradients' scale where the device needs one; instead of restore().
  void calibrate();

  // --- evaluations
  /// Makes and reads one more, and says whether there was one; with `last` none is begun, only the one that
  /// is queued is read. The next may be queued before it is read, unless its number over all scales is a
  /// multiple of `exact_every` (0: of nothing). Error(kBadInput) for a loss that is not finite.
  bool advance(bool last, int exact_every);
  [[nodiscard]] int reported() const { return reported_; }
  [[nodiscard]] const LossValues& values() const { return *values_; }
  /// Was the one read last this scale's last?
  [[nodiscard]] bool at_end() const { return reported_ == place_.iterations || convergence_.reached(); }
  /// The optimiser's own word on how it went, or that nothing moved; empty: nothing to say.
  [[nodiscard]] std::string advice() const;

  // --- its state
  [[nodiscard]] bool started() const { return optimizer_ != nullptr; }
  [[nodiscard]] const Place& place() const { return place_; }
  /// The point after the last move, or the last one with a finite loss where that one is not finite.
  [[nodiscard]] std::vector<float> x() const;
  /// All but options, inputs, seconds, and the device's tuning.
  void save(Checkpoint& checkpoint) const;

 private:
  [[nodiscard]] bool searches() const { return backs_off(options_.optimizer); }
  [[nodiscard]] bool may_begin(bool last) const;
  [[nodiscard]] bool may_run_ahead(int exact_every) const;
  /// Which of the last pictures an evaluation's point goes to.
  [[nodiscard]] std::size_t turn_of(int iteration) const {
    return static_cast<std::size_t>(iteration) % memory_.pictures.size();
  }
  [[nodiscard]] bool has_all(const Checkpoint& checkpoint) const;
  void queue();
  void check_finite(double loss);
  /// Error(kBadInput) where the first gradient was not finite, or the last picture is not.
  void check_moves();
  /// A number of the optimiser's that it has no use for before its first step.
  [[nodiscard]] TensorView spare_number() const;
  [[nodiscard]] std::vector<float> download(ConstTensorView view) const;

  Backend& backend_;
  const StyleOptions& options_;
  ScaleMemory memory_;  // of its pictures two or three, written in turn before each step
  Place place_;
  StyleObjective objective_;
  std::unique_ptr<Optimizer> optimizer_;
  Convergence convergence_;
  const LossValues* values_ = nullptr;  // of the evaluation read last
  int iteration_ = 0, reported_ = 0;    // queued, read
  int num_bad_ = 0;                     // losses in a row that were not finite
  std::optional<std::size_t> good_;     // the last picture whose loss was finite
  std::optional<double> first_;         // loss; none where the scale went on from a checkpoint
  double lowest_ = std::numeric_limits<double>::infinity();
  bool finite_gradient_ = true;  // the first one
  bool failed_ = false;
};

}  // namespace impasto
