// The Frobenius style loss on Gram matrices (Gatys, Ecker, Bethge 2016, eq. 4-6).
#include "engine/style/terms/coverage.h"
#include "engine/style/terms/scaling.h"
#include "engine/style/terms/term.h"

namespace impasto {
namespace {

class GramTerm final : public LossTerm {
 public:
  GramTerm(std::string layer, int tap, double weight, Shape features, Scaling scaling)
      : LossTerm(gram_loss(), std::move(layer), tap, weight), features_(features), scaling_(scaling) {}

  [[nodiscard]] std::vector<TensorSpec> tensors(const BackendTraits& traits, int parts) const override {
    std::vector<TensorSpec> specs{{"style " + layer(), square(), traits.real},
                                  {"style gradient " + layer(), square(), traits.activation}};
    if (parts > 1) specs.push_back({"gram " + layer(), square(), traits.real});
    return specs;
  }
  [[nodiscard]] std::int64_t scratch_elements() const override { return square().elements(); }
  void bind(std::span<const TensorView> tensors, TensorView scratch, TensorView slots) override {
    target_ = tensors[0];
    d_gram_ = tensors[1];
    // One that is added up stays while other terms do the same.
    gram_ = tensors.size() > 2 ? tensors[2] : TensorView{scratch.data, square(), scratch.dtype};
    slot_ = slots;
  }

  [[nodiscard]] std::string style_statistic() const override { return "gram " + layer(); }
  [[nodiscard]] std::int64_t statistic_elements() const override { return square().elements(); }
  void add_style(const TermContext& context, TensorView features, const TapRows& rows, Shape picture,
                 std::span<const float> coverage) override {
    if (rows.part == 0) {
      const Shape whole{rows.height, features.shape.w, features.shape.c};
      covered_ = {picture, whole, coverage, layer()};
    }
    covered_.add(context, target_, features, rows);  // in the place of what it becomes a part of
  }
  [[nodiscard]] std::vector<double> style_measured(const TermContext& context) override {
    covered_ = {};
    std::vector<double> statistic(static_cast<std::size_t>(square().elements()));
    context.backend.download(std::span<double>(statistic), target_);
    return statistic;
  }
  void set_style(const TermContext& context, std::span<const double> statistic) override {
    context.backend.upload(target_, statistic);
  }
  void measure_energy(const TermContext& context) override { context.backend.dot(slot_, target_, target_); }
  [[nodiscard]] std::string finish(double energy) override {
    const std::optional<double> factor = style_factor(scaling_, features_, energy);
    factor_ = factor.value_or(0);
    return factor ? "" : kZeroTarget;
  }

  /// The matrix, and its product with the features on the way back.
  [[nodiscard]] double flops() const override {
    return 4.0 * static_cast<double>(features_.elements()) * static_cast<double>(features_.c);
  }

  void take_features(const TermContext& context, ConstTensorView features, const TapRows& rows) override {
    if (rows.whole()) {
      context.backend.style_loss(slot_, d_gram_, gram_, features, target_, per_position(), scales(),
                                 context.workspace);
      return;
    }
    const Accumulate accumulate = rows.part == 0 ? Accumulate::kOverwrite : Accumulate::kAdd;
    context.backend.gram(gram_, features, per_position(), accumulate, context.workspace);
  }
  void complete(const TermContext& context) override {
    context.backend.gram_loss(slot_, d_gram_, gram_, target_, scales());
  }
  void add_gradient(const TermContext& context, TensorView d, ConstTensorView features,
                    const TapGradient& step) override {
    context.backend.gram_backward(d, features, d_gram_, 1, step.accumulate, step.mask, context.workspace);
  }

 private:
  [[nodiscard]] Shape square() const { return {1, features_.c, features_.c}; }
  [[nodiscard]] double per_position() const { return 1.0 / static_cast<double>(features_.positions()); }
  /// dJ/dF = 2/N F dJ/dG; the 2/N stands with dJ/dG, which keeps it small.
  [[nodiscard]] LossScales scales() const { return {factor_, 2 * per_position() * weight() * 2 * factor_}; }

  Shape features_;  // of the picture that is rendered
  Scaling scaling_;
  double factor_ = 0;  // scaling.h
  TensorView target_, d_gram_, gram_, slot_;
  CoveredGram covered_;  // while a style picture is measured
};

const std::vector<LayerWeight>& layers_of_style(const ObjectiveOptions& options) {
  return options.style_layers;
}

void add_style(LossTerms& terms, const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  add_layer_terms<GramTerm>(terms, options.style_layers, options.style_weight, options, graph, picture);
}

}  // namespace

const Loss& gram_loss() {
  static const Loss loss{.name = "style",
                         .layers = layers_of_style,
                         .reads_content = false,
                         .reads_style = true,
                         .add = add_style};
  return loss;
}

}  // namespace impasto
