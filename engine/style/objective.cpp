#include "engine/style/objective.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/error.h"
#include "engine/core/trace.h"
#include "engine/style/losses.h"

namespace impasto {
namespace {

/// Weights as given, or divided by their sum.
std::vector<double> layer_weights(const std::vector<LayerWeight>& layers, bool normalise) {
  std::vector<double> weights;
  for (const LayerWeight& layer : layers) weights.push_back(layer.weight);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (normalise && sum > 0) {
    for (double& w : weights) w /= sum;
  }
  return weights;
}

int tap_of(const NodeGraph& graph, const std::string& layer) {
  return static_cast<int>(std::find(graph.taps.begin(), graph.taps.end(), layer) - graph.taps.begin());
}

Shape tap_shape(const NodeGraph& graph, const std::vector<Shape>& shapes, int tap) {
  return shapes[static_cast<std::size_t>(graph.tap_nodes[static_cast<std::size_t>(tap)])];
}

/// -1 of no layers.
int deepest_node(const NodeGraph& graph, const std::vector<LayerWeight>& layers) {
  int deepest = -1;
  for (const LayerWeight& layer : layers) {
    deepest = std::max(deepest, graph.tap_nodes[static_cast<std::size_t>(tap_of(graph, layer.layer))]);
  }
  return deepest;
}

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

}  // namespace

std::vector<std::string> objective_taps(const ObjectiveOptions& options) {
  std::vector<std::string> taps;
  for (const auto* layers : {&options.content_layers, &options.style_layers}) {
    for (const LayerWeight& layer : *layers) {
      if (std::find(taps.begin(), taps.end(), layer.layer) == taps.end()) taps.push_back(layer.layer);
    }
  }
  return taps;
}

Program evaluation_program(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture,
                           const BackendTraits& traits) {
  return whole_program(graph, picture, options.pooling, Pass::kForwardBackward, traits);
}

Program content_program(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture,
                        const BackendTraits& traits) {
  return whole_program(graph, picture, options.pooling, Pass::kForward, traits,
                       deepest_node(graph, options.content_layers));
}

Program style_program(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture,
                      const BackendTraits& traits) {
  return whole_program(graph, picture, options.pooling, Pass::kForward, traits,
                       deepest_node(graph, options.style_layers));
}

std::vector<TensorSpec> objective_tensors(const ObjectiveOptions& options, const NodeGraph& graph,
                                          Shape picture, const BackendTraits& traits) {
  const std::vector<Shape> shapes = graph.shapes(picture);
  std::vector<TensorSpec> specs;
  for (const LayerWeight& layer : options.content_layers) {
    specs.push_back(
        {"content " + layer.layer, tap_shape(graph, shapes, tap_of(graph, layer.layer)), traits.activation});
  }
  std::int64_t widest = 0;
  for (const LayerWeight& layer : options.style_layers) {
    const std::int64_t c = tap_shape(graph, shapes, tap_of(graph, layer.layer)).c;
    specs.push_back({"style " + layer.layer, {1, c, c}, traits.real});
    specs.push_back({"style gradient " + layer.layer, {1, c, c}, traits.activation});
    widest = std::max(widest, c);
  }
  if (widest > 0) specs.push_back({"gram", {1, widest, widest}, traits.real});
  const auto slots =
      static_cast<std::int64_t>(options.content_layers.size() + options.style_layers.size() + 1);
  specs.push_back({"slots", {1, 1, slots}, DType::kFloat64});
  return specs;
}

StyleObjective::StyleObjective(Backend& backend, Executor& executor, const ObjectiveOptions& options,
                               std::span<const TensorView> tensors, NetworkMemory memory)
    : backend_(backend), executor_(executor), options_(options), memory_(memory) {
  const NodeGraph& graph = executor_.graph();
  const std::vector<Shape> shapes = graph.shapes(memory_.plan->program.picture);
  std::size_t next = 0;
  const auto make_term = [&](const std::string& layer, double weight) {
    Term term;
    term.layer = layer;
    term.tap = tap_of(graph, layer);
    term.weight = weight;
    term.features = tap_shape(graph, shapes, term.tap);
    term.target = tensors[next++];
    return term;
  };
  const std::vector<double> content_weights =
      layer_weights(options_.content_layers, options_.normalize_layer_weights);
  for (std::size_t i = 0; i < content_weights.size(); ++i) {
    content_.push_back(
        make_term(options_.content_layers[i].layer, options_.content_weight * content_weights[i]));
  }
  const std::vector<double> style_weights =
      layer_weights(options_.style_layers, options_.normalize_layer_weights);
  for (std::size_t i = 0; i < style_weights.size(); ++i) {
    style_.push_back(make_term(options_.style_layers[i].layer, options_.style_weight * style_weights[i]));
    style_.back().d_gram = tensors[next++];
  }
  if (!style_.empty()) gram_ = tensors[next++];
  slots_ = tensors[next++];
  slot_values_.resize(static_cast<std::size_t>(slots_.shape.c));
  for (auto& readback : readbacks_) readback = backend_.make_readback(slots_.shape.c);
  std::size_t slot = 0;
  const auto slot_view = [&] { return TensorView{slots_.as<double>() + slot++, {1, 1, 1}, DType::kFloat64}; };
  for (Term& term : content_) term.slot = slot_view();
  for (Term& term : style_) term.slot = slot_view();
  tv_slot_ = slot_view();

  // Style Gram matrices are taken as soon as a tap's features
  // exist; the gradients are written when backward gets there.
  hooks_.features = [this](int tap, TensorView features) { take_features(tap, features); };
  hooks_.gradient = [this](int tap, TensorView d, ConstTensorView features) {
    write_tap_gradient(tap, d, features);
  };
}

void StyleObjective::take_features(int tap, ConstTensorView features) {
  for (Term& term : style_) {
    if (term.tap != tap || term.factor == 0) continue;
    const TensorView g{gram_.data, term.target.shape, gram_.dtype};
    // dJ/dF = 2/N F dJ/dG; the 2/N stands with dJ/dG, which keeps it small.
    IMPASTO_TRACE_RANGE("style loss " + term.layer);
    const double per_position = 1.0 / static_cast<double>(term.features.positions());
    const LossScales scales{term.factor, gradient_scale_ * 2 * per_position * term.weight * 2 * term.factor};
    backend_.style_loss(term.slot, term.d_gram, g, features, term.target, per_position, scales,
                        memory_.workspace);
  }
}

void StyleObjective::set_content(const NetworkMemory& memory) {
  if (content_.empty()) return;
  TapHooks hooks;
  hooks.features = [this](int tap, ConstTensorView features) {
    for (const Term& term : content_) {
      if (term.tap == tap) backend_.copy(term.target, features);
    }
  };
  executor_.run(memory, {}, hooks);
}

void StyleObjective::add_style(const NetworkMemory& memory, double weight, std::span<const float> coverage) {
  if (style_.empty()) return;
  TapHooks hooks;
  hooks.features = [&](int tap, TensorView features) {
    for (const Term& term : style_) {
      if (term.tap != tap) continue;
      if (!coverage.empty()) {
        add_covered_gram(term, features, memory, coverage, weight);
        continue;
      }
      backend_.gram(term.target, features, weight / static_cast<double>(features.shape.positions()),
                    first_style_ ? Accumulate::kOverwrite : Accumulate::kAdd, memory.workspace);
    }
  };
  executor_.run(memory, {}, hooks);
  first_style_ = false;
}

/// A position's weight goes into the features, as its root, by way of the host: it happens once for a style
/// picture and scale, strip by strip, and only where weights differ. The features are put back, as the next
/// layer reads them.
void StyleObjective::add_covered_gram(const Term& term, TensorView features, const NetworkMemory& memory,
                                      std::span<const float> coverage, double weight) {
  constexpr std::int64_t kStripElements = 1 << 21;  // 8 MiB on the host
  const auto [h, w, c] = features.shape;
  const std::vector<float> m = pooled(coverage, memory.plan->program.picture, features.shape);
  const double sum = std::accumulate(m.begin(), m.end(), 0.0);
  if (sum == 0) {
    throw Error(ErrorCode::kBadInput,
                "style picture: expected a part that is not transparent and that layer " + term.layer +
                    " sees, found none of its " + std::to_string(w) + "x" + std::to_string(h) + " positions");
  }
  Accumulate accumulate = first_style_ ? Accumulate::kOverwrite : Accumulate::kAdd;
  std::vector<float> plain, weighted;
  std::int64_t rows = 0;
  for (std::int64_t y = 0; y < h; y += rows) {
    TensorView strip{static_cast<std::byte*>(features.data) +
                         y * w * c * static_cast<std::int64_t>(size_of(features.dtype)),
                     {std::min(h - y, std::max<std::int64_t>(1, kStripElements / (w * c))), w, c},
                     features.dtype};
    // Of less positions, a product may be split into more parts.
    while (strip.shape.h > 1 &&
           backend_.traits().gram_workspace_bytes(strip.shape) > memory.workspace.bytes) {
      --strip.shape.h;
    }
    rows = strip.shape.h;
    const std::span<const float> own(m.data() + y * w, static_cast<std::size_t>(rows * w));
    const auto [least, most] = std::minmax_element(own.begin(), own.end());
    if (*most == 0) continue;
    if (*least < 1) {
      plain.resize(static_cast<std::size_t>(strip.shape.elements()));
      backend_.download(std::span<float>(plain), strip);
      weighted = plain;
      for (std::size_t i = 0; i < weighted.size(); ++i) {
        weighted[i] *= std::sqrt(own[i / static_cast<std::size_t>(c)]);
      }
      backend_.upload(strip, std::span<const float>(weighted));
    }
    backend_.gram(term.target, strip, weight / sum, accumulate, memory.workspace);
    accumulate = Accumulate::kAdd;
    if (*least < 1) backend_.upload(strip, std::span<const float>(plain));
  }
}

void StyleObjective::finish_targets(const std::function<void(const std::string&)>& warn) {
  for (Term& term : content_) backend_.dot(term.slot, term.target, term.target);
  for (Term& term : style_) backend_.dot(term.slot, term.target, term.target);
  backend_.fill(tv_slot_, 0);
  backend_.download(std::span<double>(slot_values_), slots_);
  backend_.fill(slots_, 0);  // terms that are left out stay so
  std::size_t slot = 0;
  const auto choose = [&](Term& term, const char* kind, std::optional<double> factor) {
    if (!factor && warn) {
      warn(std::string(kind) + " layer " + term.layer + " is left out: its target is zero everywhere");
    }
    term.factor = factor.value_or(0);
  };
  for (Term& term : content_) {
    choose(term, "content", content_factor(options_.scaling, term.features, slot_values_[slot++]));
  }
  for (Term& term : style_) {
    choose(term, "style", style_factor(options_.scaling, term.features, slot_values_[slot++]));
  }
}

void StyleObjective::evaluate(ConstTensorView x, TensorView gradient) {
  fresh_ = false;
  backend_.repeat(recording_, [this, x, gradient] { run(x, gradient); });
}

void StyleObjective::run(ConstTensorView x, TensorView gradient) {
  IMPASTO_TRACE_RANGE("objective");
  executor_.run(memory_, {x, gradient, 1 / gradient_scale_}, hooks_);
  if (options_.tv_weight != 0)
    backend_.total_variation(tv_slot_, gradient, x, options_.tv, options_.tv_weight);
  if (grey_) backend_.average_channels(gradient);
}

void StyleObjective::calibrate(ConstTensorView x, TensorView gradient) {
  // The gradients of a render shrink from its first iteration
  // on; room for some growth, the rest for their decline.
  constexpr double kLargest = 1024;
  constexpr int kMostTries = 8;
  fresh_ = false;
  const double before = gradient_scale_;
  double peak = 0;
  for (int i = 0; i < kMostTries; ++i) {
    (void)backend_.take_gradient_peak();
    run(x, gradient);
    peak = backend_.take_gradient_peak();
    // Too small to be seen, or too large: a wide step; else the right one.
    const int exponent = peak < 1 ? 20 : !(peak < 32768) ? -12 : std::ilogb(kLargest / peak);
    gradient_scale_ = std::ldexp(gradient_scale_, std::clamp(exponent, -20, 20));
    if (exponent == std::ilogb(kLargest / peak) || gradient_scale_ > 0x1p100 || gradient_scale_ < 0x1p-100)
      break;
  }
  if (peak == 0) gradient_scale_ = before;  // zero everywhere, which says nothing of the iterations to come
}

void StyleObjective::write_tap_gradient(int tap, TensorView d, ConstTensorView features) {
  IMPASTO_TRACE_RANGE("loss gradient " + executor_.graph().taps[static_cast<std::size_t>(tap)]);
  Accumulate accumulate = Accumulate::kOverwrite;
  for (Term& term : style_) {
    if (term.tap != tap || term.factor == 0) continue;
    backend_.gram_backward(d, features, term.d_gram, 1, accumulate, memory_.workspace);
    accumulate = Accumulate::kAdd;
  }
  for (Term& term : content_) {
    if (term.tap != tap || term.factor == 0) continue;
    const LossScales scales{term.factor, gradient_scale_ * term.weight * 2 * term.factor};
    backend_.squared_error(term.slot, d, features, term.target, scales, accumulate);
    accumulate = Accumulate::kAdd;
  }
  if (accumulate == Accumulate::kOverwrite) backend_.fill(d, 0);  // every loss of this tap is left out
}

const LossValues& StyleObjective::values() {
  if (fresh_) return values_;
  backend_.download(std::span<double>(slot_values_), slots_);
  read_slots(slot_values_);
  fresh_ = true;
  return values_;
}

void StyleObjective::queue_values() {
  if (fresh_) return queued_.push_back(nullptr);
  Readback* const readback = readbacks_[next_readback_++ % kMostQueued].get();
  readback->start(slots_);
  queued_.push_back(readback);
}

const LossValues& StyleObjective::take_values() {
  if (queued_.empty()) throw Error(ErrorCode::kInternal, "objective: expected queued values, found none");
  Readback* const readback = queued_.front();
  queued_.pop_front();
  if (readback != nullptr) read_slots(readback->wait());
  return values_;
}

void StyleObjective::read_slots(std::span<const double> slots) {
  values_.content.resize(content_.size());
  values_.style.resize(style_.size());
  values_.total = 0;
  for (std::size_t i = 0; i < content_.size(); ++i) {
    values_.content[i] = {content_[i].layer, slots[i]};
    values_.total += content_[i].weight * slots[i];
  }
  for (std::size_t i = 0; i < style_.size(); ++i) {
    values_.style[i] = {style_[i].layer, slots[content_.size() + i]};
    values_.total += style_[i].weight * values_.style[i].second;
  }
  values_.tv = slots.back();
  values_.total += options_.tv_weight * values_.tv;
}

}  // namespace impasto
