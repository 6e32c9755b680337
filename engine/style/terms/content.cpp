// The content loss: squared differences of features (Gatys, Ecker, Bethge 2016, eq. 1, 2).
#include "engine/style/terms/scaling.h"
#include "engine/style/terms/term.h"

namespace impasto {
namespace {

class ContentTerm final : public LossTerm {
 public:
  ContentTerm(std::string layer, int tap, double weight, Shape features, Scaling scaling)
      : LossTerm(content_loss(), std::move(layer), tap, weight), features_(features), scaling_(scaling) {}

  [[nodiscard]] std::vector<TensorSpec> tensors(const BackendTraits& traits, int /*parts*/) const override {
    return {{"content " + layer(), features_, traits.activation}};
  }
  [[nodiscard]] int num_slots(int parts) const override { return parts; }
  void bind(std::span<const TensorView> tensors, TensorView /*scratch*/, TensorView slots) override {
    target_ = tensors[0];
    slots_ = slots;
  }

  void take_content(const TermContext& context, ConstTensorView features, const TapRows& rows) override {
    context.backend.copy(target_.rows(rows.rows.first, rows.rows.count), features);
  }
  void measure_energy(const TermContext& context) override { context.backend.dot(slot(0), target_, target_); }
  [[nodiscard]] std::string finish(double energy) override {
    const std::optional<double> factor = content_factor(scaling_, features_, energy);
    factor_ = factor.value_or(0);
    return factor ? "" : kZeroTarget;
  }

  void add_gradient(const TermContext& context, TensorView d, ConstTensorView features,
                    const TapGradient& step) override {
    const LossScales scales{factor_, weight() * 2 * factor_};
    const auto [rows, height, part] = step.at;
    context.backend.squared_error(slot(part), d, features, target_.rows(rows.first, rows.count), scales,
                                  step.accumulate, step.mask);
  }

 private:
  [[nodiscard]] TensorView slot(int part) const {
    return {slots_.as<double>() + part, {1, 1, 1}, DType::kFloat64};
  }

  Shape features_;
  Scaling scaling_;
  double factor_ = 0;  // scaling.h
  TensorView target_, slots_;
};

const std::vector<LayerWeight>& layers_of_content(const ObjectiveOptions& options) {
  return options.content_layers;
}

void add_content(LossTerms& terms, const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  add_layer_terms<ContentTerm>(terms, options.content_layers, options.content_weight, options, graph,
                               picture);
}

}  // namespace

const Loss& content_loss() {
  static const Loss loss{.name = "content",
                         .layers = layers_of_content,
                         .reads_content = true,
                         .reads_style = false,
                         .add = add_content};
  return loss;
}

}  // namespace impasto
