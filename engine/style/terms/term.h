#pragma once
// The losses of the objective. A loss is a file of its own here: its Loss, and the LossTerm that it has at
// each of its layers (where it attaches, what it keeps on the device, its targets, value and gradient); and a
// line in all_losses(). docs/losses.md has the formulas.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/network/program.h"
#include "engine/network/vgg.h"
#include "engine/options/options.h"

namespace impasto {

class LossTerm;
using LossTerms = std::vector<std::unique_ptr<LossTerm>>;

/// A loss before there is a network.
struct Loss {
  const char* name;  ///< in reports and messages: "content", "style", "tv"
  /// Its layers; null: it is one of the picture itself.
  const std::vector<LayerWeight>& (*layers)(const ObjectiveOptions&);
  bool reads_content, reads_style;  ///< whose features its terms are measured against
  /// Adds its terms over a picture (h,w,3).
  void (*add)(LossTerms& terms, const ObjectiveOptions& options, const NodeGraph& graph, Shape picture);
};

// One for each file here.
[[nodiscard]] const Loss& content_loss();
[[nodiscard]] const Loss& gram_loss();
[[nodiscard]] const Loss& variation_loss();

/// All of them, in the order of reports.
[[nodiscard]] const std::vector<const Loss*>& all_losses();

/// What a term works with, the same for all.
struct TermContext {
  Backend& backend;
  Workspace workspace;
};

class LossTerm {
 public:
  virtual ~LossTerm() = default;
  LossTerm(const LossTerm&) = delete;
  LossTerm& operator=(const LossTerm&) = delete;

  [[nodiscard]] const Loss& loss() const { return loss_; }
  [[nodiscard]] const std::string& layer() const { return layer_; }  ///< empty at the picture
  [[nodiscard]] int tap() const { return tap_; }                     ///< of the graph; -1: the picture
  [[nodiscard]] double weight() const { return weight_; }            ///< of its value in J
  /// False once finish() found a reason to leave it out: it has no part in value and gradient then.
  [[nodiscard]] bool active() const { return active_; }

  // --- memory: pure, then bound once
  /// Its own tensors, where the features at its tap come in so many parts. The slots for its value and the
  /// scratch come beside them.
  [[nodiscard]] virtual std::vector<TensorSpec> tensors(const BackendTraits& traits, int parts) const = 0;
  /// Numbers whose sum is its value.
  [[nodiscard]] virtual int num_slots(int /*parts*/) const { return 1; }
  /// Real elements that it needs for a moment; terms share the largest.
  [[nodiscard]] virtual std::int64_t scratch_elements() const { return 0; }
  /// `tensors` as asked for, in order; `slots` num_slots float64. All outlive the term.
  virtual void bind(std::span<const TensorView> tensors, TensorView scratch, TensorView slots) = 0;

  // --- targets: before the first evaluation
  /// Rows of the content's features at its tap.
  virtual void take_content(const TermContext&, ConstTensorView /*features*/, const TapRows&) {}
  /// What it wants to know of a style picture: the statistic's name. Terms of the same name take the same
  /// statistic.
  [[nodiscard]] virtual std::string style_statistic() const { return {}; }
  /// How many numbers that statistic has.
  [[nodiscard]] virtual std::int64_t statistic_elements() const { return 0; }
  /// Rows of a style picture's features at its tap, one part after the other, where position p counts for
  /// coverage[p] (0..1; empty: 1 everywhere; `picture`: the coverage's own shape). The features must be as
  /// before on return.
  virtual void add_style(const TermContext&, TensorView /*features*/, const TapRows&, Shape /*picture*/,
                         std::span<const float> /*coverage*/) {}
  /// The statistic of all that was added.
  [[nodiscard]] virtual std::vector<double> style_measured(const TermContext&) { return {}; }
  /// The blend of all style pictures' statistics.
  virtual void set_style(const TermContext&, std::span<const double> /*statistic*/) {}
  /// Writes what finish() needs into its first slot.
  virtual void measure_energy(const TermContext&) {}
  /// With what measure_energy found: why the term is left out, for people; empty: it is not.
  [[nodiscard]] virtual std::string finish(double /*energy*/) { return {}; }

  /// Floating-point operations of value and gradient, where they are worth counting beside convolutions.
  [[nodiscard]] virtual double flops() const { return 0; }

  // --- evaluation; values go to the slots, without weight
  /// In forward, rows of the features.
  virtual void take_features(const TermContext&, ConstTensorView /*features*/, const TapRows&) {}
  /// All of them have been there, in several parts.
  virtual void complete(const TermContext&) {}
  /// d (+)= weight * gradient of the value with respect to these rows of the features (scaled as the device
  /// wants: BackendTraits::scaled_gradients), then as rows.relu says d *= (features > 0); at the picture d +=
  /// weight * gradient with respect to it. The value, if it has not been written before.
  virtual void add_gradient(const TermContext&, TensorView d, ConstTensorView features,
                            const TapGradient& step) = 0;

  void set_active(bool active) { active_ = active; }

 protected:
  LossTerm(const Loss& loss, std::string layer, int tap, double weight)
      : loss_(loss), layer_(std::move(layer)), tap_(tap), weight_(weight) {}

 private:
  const Loss& loss_;
  std::string layer_;
  int tap_;
  double weight_;
  bool active_ = true;
};

/// All terms of an objective over a picture (h,w,3), in the order of reports. Pure.
[[nodiscard]] LossTerms make_terms(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture);

/// The layers' weights as given, or divided by their sum.
[[nodiscard]] std::vector<double> layer_shares(const std::vector<LayerWeight>& layers, bool normalise);

/// Adds a Term(layer, tap, weight, features, scaling) for each layer: its weight is `weight` times its c_l or
/// lambda_l, as given or divided by their sum; `features` the shape at its tap.
template <class Term>
void add_layer_terms(LossTerms& terms, const std::vector<LayerWeight>& layers, double weight,
                     const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  const std::vector<double> shares = layer_shares(layers, options.normalize_layer_weights);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const int tap = graph.tap(layers[i].layer);
    terms.push_back(std::make_unique<Term>(layers[i].layer, tap, weight * shares[i],
                                           graph.tap_shape(picture, tap), options.scaling));
  }
}

}  // namespace impasto
