#include "engine/style/objective.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "engine/core/message.h"
#include "engine/core/trace.h"

namespace impasto {
namespace {

/// The deepest node at which a loss reads the content's (style's) features; -1: none does.
int deepest_node(const ObjectiveOptions& options, const NodeGraph& graph, bool Loss::*reads) {
  int deepest = -1;
  for (const Loss* const loss : all_losses()) {
    if (loss->layers == nullptr || !(loss->*reads)) continue;
    for (const LayerWeight& layer : loss->layers(options)) {
      deepest = std::max(deepest, graph.tap_nodes[static_cast<std::size_t>(graph.tap(layer.layer))]);
    }
  }
  return deepest;
}

/// In how many parts the features come at the tap.
int num_parts(const Program& program, const NodeGraph& graph, int tap) {
  int parts = 1;
  for (const Step& step : program.steps) {
    if (tap < 0 || step.op != Op::kTapGradient || graph.nodes[static_cast<std::size_t>(step.node)].tap != tap)
      continue;
    parts = std::max(parts, step.tap.part + 1);
  }
  return parts;
}

bool any_reads(const LossTerms& terms, bool Loss::*reads) {
  return std::any_of(terms.begin(), terms.end(), [&](const auto& term) { return term->loss().*reads; });
}

}  // namespace

std::vector<std::string> objective_taps(const ObjectiveOptions& options) {
  std::vector<std::string> taps;
  for (const Loss* const loss : all_losses()) {
    if (loss->layers == nullptr) continue;
    for (const LayerWeight& layer : loss->layers(options)) {
      if (std::find(taps.begin(), taps.end(), layer.layer) == taps.end()) taps.push_back(layer.layer);
    }
  }
  return taps;
}

ProgramTask evaluation_task(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  return {picture, options.pooling, Pass::kForwardBackward, static_cast<int>(graph.nodes.size()) - 1};
}

ProgramTask content_task(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  return {picture, options.pooling, Pass::kForward, deepest_node(options, graph, &Loss::reads_content)};
}

ProgramTask style_task(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  return {picture, options.pooling, Pass::kForward, deepest_node(options, graph, &Loss::reads_style)};
}

std::vector<TensorSpec> objective_tensors(const ObjectiveOptions& options, const NodeGraph& graph,
                                          const Program& evaluation, const BackendTraits& traits) {
  std::vector<TensorSpec> specs;
  std::int64_t scratch = 0, slots = 0;
  const LossTerms terms = make_terms(options, graph, evaluation.picture);
  for (const auto& term : terms) {
    const int parts = num_parts(evaluation, graph, term->tap());
    for (TensorSpec& spec : term->tensors(traits, parts)) specs.push_back(std::move(spec));
    scratch = std::max(scratch, term->scratch_elements());
    slots += term->num_slots(parts);
  }
  specs.push_back({"weights", {1, 1, slots}, DType::kFloat64});
  specs.push_back({"scratch", {1, 1, scratch}, traits.real});
  specs.push_back({"slots", {1, 1, slots + 1}, DType::kFloat64});  // and the gradients' peak
  return specs;
}

std::size_t style_target_bytes(const ObjectiveOptions& options, const NodeGraph& graph, Shape picture) {
  std::size_t bytes = 0;
  std::set<std::string> counted;
  for (const auto& term : make_terms(options, graph, picture)) {
    if (!counted.insert(term->style_statistic()).second) continue;
    bytes += static_cast<std::size_t>(term->statistic_elements()) * sizeof(double);
  }
  return bytes;
}

StyleObjective::StyleObjective(Backend& backend, Executor& executor, const ObjectiveOptions& options,
                               std::span<const TensorView> tensors, NetworkMemory memory)
    : backend_(backend),
      executor_(executor),
      memory_(memory),
      terms_(make_terms(options, executor.graph(), memory.plan->program.picture)),
      weights_(tensors[tensors.size() - 3]),
      slots_(tensors.back()) {
  const TensorView scratch = tensors[tensors.size() - 2];
  std::size_t next = 0;
  double* slot = slots_.as<double>();
  for (const auto& term : terms_) {
    const int parts = num_parts(memory.plan->program, executor.graph(), term->tap());
    const std::size_t count = term->tensors(backend_.traits(), parts).size();
    num_slots_.push_back(term->num_slots(parts));
    term->bind(tensors.subspan(next, count), scratch, {slot, {1, 1, num_slots_.back()}, DType::kFloat64});
    next += count;
    slot += num_slots_.back();
  }
  slot_values_.resize(static_cast<std::size_t>(slots_.shape.c));
  term_values_.resize(terms_.size());
  for (auto& readback : readbacks_) readback = backend_.make_readback(slots_.shape.c);

  hooks_.features = [this](int tap, const TapRows& rows, TensorView features) {
    for (const auto& term : terms_) {
      if (term->tap() == tap && term->active()) term->take_features(context(memory_), features, rows);
    }
  };
  hooks_.complete = [this](int tap) {
    for (const auto& term : terms_) {
      if (term->tap() == tap && term->active()) term->complete(context(memory_));
    }
  };
  hooks_.gradient = [this](int tap, const TapGradient& step, TensorView d, ConstTensorView features) {
    write_tap_gradient(tap, step, d, features);
  };
  backend_.set_gradient_scale(1);
}

std::function<void(int, ConstTensorView)> StyleObjective::finite_check(const char* whose) {
  return [this, whose](int node, ConstTensorView out) {
    const TensorView slot{slots_.data, {1, 1, 1}, DType::kFloat64};
    double energy = 0;
    backend_.dot(slot, out, out);
    backend_.download(std::span<double>(&energy, 1), slot);
    if (std::isfinite(energy)) return;
    throw make_error(ErrorCode::kBadInput,
                     "features of the {}: expected finite numbers, found others at {}: the weights make them "
                     "larger than {} holds; use other weights",
                     whose, executor_.graph().nodes[static_cast<std::size_t>(node)].name,
                     to_string(out.dtype));
  };
}

void StyleObjective::set_content(const NetworkMemory& memory) {
  if (!any_reads(terms_, &Loss::reads_content)) return;
  TapHooks hooks;
  hooks.convolved = finite_check("content");
  hooks.features = [&](int tap, const TapRows& rows, ConstTensorView features) {
    for (const auto& term : terms_) {
      if (term->tap() == tap) term->take_content(context(memory), features, rows);
    }
  };
  executor_.run(memory, {}, hooks);
}

std::vector<std::string> StyleObjective::style_statistics() const {
  std::vector<std::string> names;
  for (const auto& term : terms_) {
    const std::string name = term->style_statistic();
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

StyleTargets StyleObjective::measure_style(const NetworkMemory& memory, std::span<const float> coverage) {
  StyleTargets targets;
  if (!any_reads(terms_, &Loss::reads_style)) return targets;
  std::map<std::string, LossTerm*> terms;  // of each statistic one
  for (const auto& term : terms_) {
    if (!term->style_statistic().empty()) terms.emplace(term->style_statistic(), term.get());
  }
  TapHooks hooks;
  hooks.convolved = finite_check("style picture");
  hooks.features = [&](int tap, const TapRows& rows, TensorView features) {
    for (const auto& [name, term] : terms) {
      if (term->tap() == tap) {
        term->add_style(context(memory), features, rows, memory.plan->program.picture, coverage);
      }
    }
  };
  executor_.run(memory, {}, hooks);
  for (const auto& [name, term] : terms) targets.statistics[name] = term->style_measured(context(memory));
  return targets;
}

void StyleObjective::set_styles(std::span<const WeightedTargets> styles) {
  for (const auto& term : terms_) {
    const std::string name = term->style_statistic();
    if (name.empty()) continue;
    std::vector<double> blend;
    for (const WeightedTargets& style : styles) {
      const std::vector<double>& own = style.targets->statistics.at(name);
      blend.resize(own.size());
      for (std::size_t i = 0; i < own.size(); ++i) blend[i] += style.weight * own[i];
    }
    term->set_style(context(memory_), blend);
  }
}

void StyleObjective::finish_targets(const std::function<void(const std::string&)>& warn) {
  backend_.fill(slots_, 0);
  for (const auto& term : terms_) term->measure_energy(context(memory_));
  backend_.download(std::span<double>(slot_values_), slots_);
  backend_.fill(slots_, 0);  // terms that are left out stay so
  sum_slots(slot_values_);
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    LossTerm& term = *terms_[i];
    if (!std::isfinite(term_values_[i])) {
      throw make_error(
          ErrorCode::kBadInput,
          "{} layer {}: expected a finite target, found that its square is {}: the features there "
          "are too large; use other weights or leave the layer out",
          term.loss().name, term.layer(), term_values_[i]);
    }
    const std::string reason = term.finish(term_values_[i]);
    term.set_active(reason.empty());
    if (reason.empty() || !warn) continue;
    const std::string where = term.layer().empty() ? "" : " layer " + term.layer();
    warn(fmt::format("{}{} is left out: {}", term.loss().name, where, reason));
  }
  std::vector<double> weights;
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    weights.insert(weights.end(), static_cast<std::size_t>(num_slots_[i]), terms_[i]->weight());
  }
  backend_.upload(weights_, std::span<const double>(weights));
}

void StyleObjective::evaluate(ConstTensorView x, TensorView gradient) {
  backend_.repeat(recording_, [this, x, gradient] { run(x, gradient, GradientRoom::kWide); });
}

void StyleObjective::run(ConstTensorView x, TensorView gradient, GradientRoom room) {
  const TraceRange trace("objective");
  executor_.run(memory_, {x, gradient}, hooks_);
  for (const auto& term : terms_) {
    const TapRows all{{0, x.shape.h}, x.shape.h, 0};
    if (term->tap() < 0) term->add_gradient(context(memory_), gradient, x, {all, Accumulate::kAdd});
  }
  if (grey_) backend_.average_channels(gradient);
  backend_.watch_gradients(peak_slot(), room);
}

TensorView StyleObjective::peak_slot() const {
  return {slots_.as<double>() + slots_.shape.c - 1, {1, 1, 1}, DType::kFloat64};
}

void StyleObjective::calibrate(ConstTensorView x, TensorView gradient) {
  constexpr int kMostTries = 8;
  const double before = backend_.gradient_scale();
  double peak = 0;
  for (int i = 0; i < kMostTries; ++i) {
    run(x, gradient, GradientRoom::kNarrow);
    backend_.download(std::span<double>(&peak, 1), peak_slot());
    if (tells_gradient_scale(peak)) return;
  }
  // Zero everywhere says nothing of the iterations to come.
  if (peak == 0) backend_.set_gradient_scale(before);
}

void StyleObjective::write_tap_gradient(int tap, TapGradient step, TensorView d, ConstTensorView features) {
  bool written = false;
  // The last term first: a style term's is a product, which overwrites at less cost than it adds.
  for (auto term = terms_.rbegin(); term != terms_.rend(); ++term) {
    if ((*term)->tap() != tap || !(*term)->active()) continue;
    (*term)->add_gradient(context(memory_), d, features, step);
    step.accumulate = Accumulate::kAdd;
    written = true;
  }
  if (written) return;  // else every loss of this tap is left out
  if (step.accumulate == Accumulate::kOverwrite) {
    backend_.fill(d, 0);
  } else if (step.mask == Relu::kYes) {
    backend_.relu_backward(d, d, features, Accumulate::kOverwrite);
  }
}

const LossValues& StyleObjective::values() {
  backend_.download(std::span<double>(slot_values_), slots_);
  read_slots(slot_values_);
  return values_;
}

void StyleObjective::write_value(TensorView slot) {
  backend_.weighted_sum(slot, weights_, {slots_.data, weights_.shape, slots_.dtype});
}

void StyleObjective::queue_values() {
  Readback* const readback = readbacks_[next_readback_++ % kMostQueued].get();
  readback->start(slots_);
  queued_.push_back(readback);
}

const LossValues& StyleObjective::take_values() {
  if (queued_.empty()) throw Error(ErrorCode::kInternal, "objective: expected queued values, found none");
  Readback* const readback = queued_.front();
  queued_.pop_front();
  const std::span<const double> slots = readback->wait();
  read_slots(slots);
  if (!(slots.back() <= kLargestHalf)) ++num_saturated_;
  return values_;
}

std::string StyleObjective::largest_term() const {
  std::string largest;
  double most = -1;
  for (const auto& term : terms_) {
    const LossValue* const loss = find_loss(values_.losses, term->loss().name);
    if (loss == nullptr || !std::isfinite(most)) break;
    for (const auto& [layer, value] : loss->terms) {
      if (layer != term->layer() || std::abs(term->weight() * value) <= most) continue;
      most = std::abs(term->weight() * value);
      largest = term->loss().name + (layer.empty() ? "" : " " + layer);
    }
  }
  return largest;
}

void StyleObjective::sum_slots(std::span<const double> slots) {
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    const auto own = slots.first(static_cast<std::size_t>(num_slots_[i]));
    slots = slots.subspan(own.size());
    term_values_[i] = std::accumulate(own.begin(), own.end(), 0.0);
  }
}

void StyleObjective::read_slots(std::span<const double> slots) {
  sum_slots(slots);
  values_ = {};
  for (const Loss* const loss : all_losses()) {
    LossValue& value = values_.losses.emplace_back();
    value.name = loss->name;
    value.of_picture = loss->layers == nullptr;
    for (std::size_t i = 0; i < terms_.size(); ++i) {
      if (&terms_[i]->loss() != loss) continue;
      value.terms.emplace_back(terms_[i]->layer(), term_values_[i]);
    }
  }
  std::size_t next = 0;  // in the order of write_value
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    for (int k = 0; k < num_slots_[i]; ++k) values_.total += terms_[i]->weight() * slots[next++];
  }
}

}  // namespace impasto
