// The content loss: squared differences of features (Gatys, Ecker, Bethge 2016, eq. 1, 2).
#include "engine/style/terms/scaling.h"
#include "engine/style/terms/term.h"

namespace impasto {
namespace {

class ContentTerm final : public LossTerm {
 public:
  ContentTerm(std::string layer, int tap, double weight, Shape features, Scaling scaling)
      : LossTerm(content_loss(), std::move(layer), tap, weight), features_(features), scaling_(scaling) {}

  [[nodiscard]] std::vector<TensorSpec> tensors(const BackendTraits& traits) const override {
    return {{"content " + layer(), features_, traits.activation}};
  }
  void bind(std::span<const TensorView> tensors, TensorView /*scratch*/, TensorView slot) override {
    target_ = tensors[0];
    slot_ = slot;
  }

  void take_content(const TermContext& context, ConstTensorView features) override {
    context.backend.copy(target_, features);
  }
  void measure_energy(const TermContext& context) override { context.backend.dot(slot_, target_, target_); }
  [[nodiscard]] std::string finish(double energy) override {
    const std::optional<double> factor = content_factor(scaling_, features_, energy);
    factor_ = factor.value_or(0);
    return factor ? "" : kZeroTarget;
  }

  void add_gradient(const TermContext& context, TensorView d, ConstTensorView features,
                    Accumulate accumulate) override {
    const LossScales scales{factor_, context.gradient_scale * weight() * 2 * factor_};
    context.backend.squared_error(slot_, d, features, target_, scales, accumulate);
  }

 private:
  Shape features_;
  Scaling scaling_;
  double factor_ = 0;  // scaling.h
  TensorView target_, slot_;
};

const std::vector<LayerWeight>& layers(const ObjectiveOptions& options) { return options.content_layers; }

void add(LossTerms& terms, const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  add_layer_terms<ContentTerm>(terms, options.content_layers, options.content_weight, options, graph,
                               picture);
}

}  // namespace

const Loss& content_loss() {
  static const Loss loss{
      .name = "content", .layers = layers, .reads_content = true, .reads_style = false, .add = add};
  return loss;
}

}  // namespace impasto
