// The Frobenius style loss on Gram matrices (Gatys, Ecker, Bethge 2016, eq. 4-6).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/message.h"
#include "engine/style/terms/scaling.h"
#include "engine/style/terms/term.h"

namespace impasto {
namespace {

/// Means of 2x2 blocks, sizes rounded down, as often as the network pools between the picture and a tap.
std::vector<float> pooled(std::span<const float> coverage, Shape picture, Shape tap) {
  std::vector<float> m(coverage.begin(), coverage.end());
  for (std::int64_t h = picture.h, w = picture.w; h > tap.h || w > tap.w; h /= 2, w /= 2) {
    std::vector<float> half;
    half.reserve(static_cast<std::size_t>((h / 2) * (w / 2)));
    for (std::int64_t y = 0; y + 1 < h; y += 2) {
      for (std::int64_t x = 0; x + 1 < w; x += 2) {
        const float* const block = m.data() + y * w + x;
        half.push_back((block[0] + block[1] + block[w] + block[w + 1]) / 4);
      }
    }
    m = std::move(half);
  }
  return m;
}

class GramTerm final : public LossTerm {
 public:
  GramTerm(std::string layer, int tap, double weight, Shape features, Scaling scaling)
      : LossTerm(gram_loss(), std::move(layer), tap, weight), features_(features), scaling_(scaling) {}

  [[nodiscard]] std::vector<TensorSpec> tensors(const BackendTraits& traits) const override {
    return {{"style " + layer(), square(), traits.real},
            {"style gradient " + layer(), square(), traits.activation}};
  }
  [[nodiscard]] std::int64_t scratch_elements() const override { return square().elements(); }
  void bind(std::span<const TensorView> tensors, TensorView scratch, TensorView slot) override {
    target_ = tensors[0];
    d_gram_ = tensors[1];
    gram_ = {scratch.data, square(), scratch.dtype};
    slot_ = slot;
  }

  [[nodiscard]] std::string style_statistic() const override { return "gram " + layer(); }
  [[nodiscard]] std::int64_t statistic_elements() const override { return square().elements(); }
  [[nodiscard]] std::vector<double> measure_style(const TermContext& context, TensorView features,
                                                  Shape picture, std::span<const float> coverage) override {
    if (coverage.empty()) {
      context.backend.gram(gram_, features, 1.0 / static_cast<double>(features.shape.positions()),
                           Accumulate::kOverwrite, context.workspace);
    } else {
      measure_covered(context, features, pooled(coverage, picture, features.shape));
    }
    std::vector<double> statistic(static_cast<std::size_t>(square().elements()));
    context.backend.download(std::span<double>(statistic), gram_);
    return statistic;
  }
  void set_style(const TermContext& context, std::span<const double> statistic) override {
    context.backend.upload(target_, statistic);
  }
  void measure_energy(const TermContext& context) override { context.backend.dot(slot_, target_, target_); }
  [[nodiscard]] bool finish(double energy) override {
    const std::optional<double> factor = style_factor(scaling_, features_, energy);
    factor_ = factor.value_or(0);
    return factor.has_value();
  }

  /// The matrix, and its product with the features on the way back.
  [[nodiscard]] double flops() const override {
    return 4.0 * static_cast<double>(features_.elements()) * static_cast<double>(features_.c);
  }

  void take_features(const TermContext& context, ConstTensorView features) override {
    // dJ/dF = 2/N F dJ/dG; the 2/N stands with dJ/dG, which keeps it small.
    const double per_position = 1.0 / static_cast<double>(features_.positions());
    const LossScales scales{factor_, context.gradient_scale * 2 * per_position * weight() * 2 * factor_};
    context.backend.style_loss(slot_, d_gram_, gram_, features, target_, per_position, scales,
                               context.workspace);
  }
  void add_gradient(const TermContext& context, TensorView d, ConstTensorView features,
                    Accumulate accumulate) override {
    context.backend.gram_backward(d, features, d_gram_, 1, accumulate, context.workspace);
  }

 private:
  [[nodiscard]] Shape square() const { return {1, features_.c, features_.c}; }
  void measure_covered(const TermContext& context, TensorView features, const std::vector<float>& m);

  Shape features_;  // of the picture that is rendered
  Scaling scaling_;
  double factor_ = 0;  // scaling.h
  TensorView target_, d_gram_, gram_, slot_;
};

/// gram = sum_p m_p f_p f_p' / sum_p m_p. A position's weight goes into the features, as its root, by way of
/// the host: it happens once for a style picture and scale, strip by strip, and only where weights differ.
/// The features are put back, as the next layer reads them.
void GramTerm::measure_covered(const TermContext& context, TensorView features, const std::vector<float>& m) {
  constexpr std::int64_t kStripElements = 1 << 21;  // 8 MiB on the host
  Backend& backend = context.backend;
  const auto [h, w, c] = features.shape;
  const double sum = std::accumulate(m.begin(), m.end(), 0.0);
  if (sum == 0) {
    throw make_error(
        ErrorCode::kBadInput,
        "style picture: expected a part that is not transparent and that layer {} sees, found none of "
        "its {}x{} positions",
        layer(), w, h);
  }
  Accumulate accumulate = Accumulate::kOverwrite;
  std::vector<float> plain, weighted;
  std::int64_t rows = 0;
  for (std::int64_t y = 0; y < h; y += rows) {
    TensorView strip{static_cast<std::byte*>(features.data) +
                         y * w * c * static_cast<std::int64_t>(size_of(features.dtype)),
                     {std::min(h - y, std::max<std::int64_t>(1, kStripElements / (w * c))), w, c},
                     features.dtype};
    // Of less positions, a product may be split into more parts.
    while (strip.shape.h > 1 &&
           backend.traits().gram_workspace_bytes(strip.shape) > context.workspace.bytes) {
      --strip.shape.h;
    }
    rows = strip.shape.h;
    const std::span<const float> own(m.data() + y * w, static_cast<std::size_t>(rows * w));
    const auto [least, most] = std::minmax_element(own.begin(), own.end());
    if (*most == 0) continue;
    if (*least < 1) {
      plain.resize(static_cast<std::size_t>(strip.shape.elements()));
      backend.download(std::span<float>(plain), strip);
      weighted = plain;
      for (std::size_t i = 0; i < weighted.size(); ++i) {
        weighted[i] *= std::sqrt(own[i / static_cast<std::size_t>(c)]);
      }
      backend.upload(strip, std::span<const float>(weighted));
    }
    backend.gram(gram_, strip, 1 / sum, accumulate, context.workspace);
    accumulate = Accumulate::kAdd;
    if (*least < 1) backend.upload(strip, std::span<const float>(plain));
  }
}

const std::vector<LayerWeight>& layers(const ObjectiveOptions& options) { return options.style_layers; }

void add(LossTerms& terms, const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  add_layer_terms<GramTerm>(terms, options.style_layers, options.style_weight, options, graph, picture);
}

}  // namespace

const Loss& gram_loss() {
  static const Loss loss{
      .name = "style", .layers = layers, .reads_content = false, .reads_style = true, .add = add};
  return loss;
}

}  // namespace impasto
