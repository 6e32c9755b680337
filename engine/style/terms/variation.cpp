// Total variation of the picture (kernels/ops.h has its kinds).
#include "engine/style/terms/term.h"

namespace impasto {
namespace {

class VariationTerm final : public LossTerm {
 public:
  VariationTerm(TotalVariation kind, double weight)
      : LossTerm(variation_loss(), {}, -1, weight), variation_(kind) {}

  [[nodiscard]] std::vector<TensorSpec> tensors(const BackendTraits& /*traits*/,
                                                int /*parts*/) const override {
    return {};
  }
  void bind(std::span<const TensorView> /*tensors*/, TensorView /*scratch*/, TensorView slots) override {
    slot_ = slots;
  }
  void add_gradient(const TermContext& context, TensorView d, ConstTensorView picture,
                    const TapGradient& /*step*/) override {
    context.backend.total_variation(slot_, d, picture, variation_, weight());
  }

 private:
  TotalVariation variation_;
  TensorView slot_;
};

void add_variation(LossTerms& terms, const ObjectiveOptions& options, const NodeGraph& /*graph*/,
                   Shape /*picture*/) {
  if (options.tv_weight != 0) terms.push_back(std::make_unique<VariationTerm>(options.tv, options.tv_weight));
}

}  // namespace

const Loss& variation_loss() {
  static const Loss loss{
      .name = "tv", .layers = nullptr, .reads_content = false, .reads_style = false, .add = add_variation};
  return loss;
}

}  // namespace impasto
