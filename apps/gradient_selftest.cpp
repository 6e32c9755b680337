#include "apps/gradient_selftest.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numbers>

#include "apps/text.h"
#include "engine/core/message.h"
#include "engine/core/random.h"
#include "engine/network/executor.h"
#include "engine/options/option_table.h"
#include "engine/style/objective.h"
#include "engine/style/picture.h"
#include "engine/style/planning.h"

namespace impasto::apps {
namespace {

/// Waves in all directions, flat fields with edges, and grain: something at every layer to see.
Image generated_picture(PixelSize size, std::uint64_t seed) {
  Image image{size.width, size.height, {}, {}};
  image.rgb.reserve(static_cast<std::size_t>(3 * size.pixels()));
  const auto random = [&](std::uint64_t i) { return unit_interval(splitmix64((seed << 40) + i)); };
  for (std::int64_t y = 0; y < size.height; ++y) {
    for (std::int64_t x = 0; x < size.width; ++x) {
      for (std::uint64_t c = 0; c < 3; ++c) {
        double value = 0.5;
        for (std::uint64_t wave = 0; wave < 5; ++wave) {
          const double length = 3 * std::exp2(static_cast<double>(wave)) * (1 + random(20 * c + wave));
          const double angle = 2 * std::numbers::pi * random(100 + 5 * c + wave);
          const double phase =
              (static_cast<double>(x) * std::cos(angle) + static_cast<double>(y) * std::sin(angle)) / length;
          value += 0.07 * std::sin(2 * std::numbers::pi * (phase + random(200 + 5 * c + wave)));
        }
        value +=
            ((x / 11 + y / 7) % 3 == 0 ? 0.15 : -0.05) + 0.1 * (random(1000 + 3 * image.rgb.size()) - 0.5);
        image.rgb.push_back(static_cast<float>(std::clamp(value, 0.0, 1.0)));
      }
    }
  }
  return image;
}

struct Pictures {
  Image photograph;
  std::vector<Image> paintings;
};

/// Generated ones are as large as what is asked for, 4:3.
Pictures make_pictures(const GradientArguments& a, const StyleOptions& options) {
  Pictures pictures;
  if (!a.pictures.empty()) {
    if (a.pictures.size() < 2)
      throw Error(ErrorCode::kUsage, "pictures: expected a photograph and a painting or none, found one");
    for (const std::string& path : a.pictures) pictures.paintings.push_back(flatten(read_image(path)));
    pictures.photograph = std::move(pictures.paintings.front());
    pictures.paintings.erase(pictures.paintings.begin());
    return pictures;
  }
  if (options.size == 0 || options.size == StyleOptions::kLargest)
    throw Error(ErrorCode::kUsage, "option --size: expected a number of pixels where no picture is given");
  const PixelSize size{options.size, std::max<std::int64_t>(1, options.size * 3 / 4)};
  pictures.photograph = generated_picture(size, 1);
  const std::size_t paintings = std::max<std::size_t>(1, options.objective.style_blend.size());
  for (std::size_t i = 0; i < paintings; ++i) pictures.paintings.push_back(generated_picture(size, i + 2));
  return pictures;
}

/// An objective as a render has it at its last scale.
class ObjectiveUnderTest final : public Differentiable {
 public:
  ObjectiveUnderTest(Backend& backend, const ConvFilters& filters, const Weights& weights,
                     const StyleOptions& options, const Pictures& pictures)
      : backend_(backend),
        executor_(backend, filters, build_graph(weights, objective_taps(options.objective))) {
    RenderSizes sizes{pictures.photograph.size(), {}};
    for (const Image& painting : pictures.paintings) sizes.styles.push_back({painting.size()});
    if (Tuning* const tuning = backend.tuning()) tuning->begin("", "");
    PlannedRender planned = plan_render(options, weights, executor_.graph(), backend, sizes, {});
    if (Tuning* const tuning = backend.tuning()) (void)tuning->end();
    if (!planned.plan.fits()) {
      throw Error(ErrorCode::kResources,
                  misfit(planned.plan, options, weights, executor_.graph(), backend, sizes));
    }
    layout_ = std::move(planned.scales.back());
    arena_ = backend.allocate(layout_.arena_bytes());
    memory_ = divide(layout_, backend.traits().alignment, arena_.data());
    objective_ = std::make_unique<StyleObjective>(
        backend, executor_, options.objective, memory_.objective,
        NetworkMemory::at(layout_.evaluation, memory_.network, memory_.network_bytes));
    set_targets(options, weights.preprocessing, pictures);
  }

  /// The photograph with grain: without it a content loss is at its least, and windows of max pools tie.
  [[nodiscard]] std::vector<double> start() {
    constexpr double kGrain = 40;  // grey levels to both sides
    std::vector<double> x(photograph_.begin(), photograph_.end());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += kGrain * (2 * unit_interval(splitmix64(i)) - 1);
    if (backend_.traits().scaled_gradients) {
      backend_.upload(memory_.optimizer[0], std::span<const double>(x));
      objective_->calibrate(memory_.optimizer[0], memory_.optimizer[1]);
    }
    return x;
  }
  [[nodiscard]] double value(std::span<const double> x) override {
    backend_.upload(memory_.optimizer[0], x);
    objective_->evaluate(memory_.optimizer[0], memory_.optimizer[1]);
    return objective_->values().total;
  }
  [[nodiscard]] std::vector<double> gradient() override {
    std::vector<double> host(static_cast<std::size_t>(memory_.optimizer[1].shape.elements()));
    backend_.download(std::span(host), memory_.optimizer[1]);
    return host;
  }
  [[nodiscard]] PixelSize size() const { return layout_.size; }

 private:
  NetworkMemory stage(const NetworkPlan& plan, const std::vector<float>& x) {
    const NetworkMemory memory = NetworkMemory::at(plan, memory_.network, memory_.network_bytes);
    if (!plan.program.steps.empty()) backend_.upload(memory.picture(), std::span(x));
    return memory;
  }
  void set_targets(const StyleOptions& options, const Preprocessing& preprocessing,
                   const Pictures& pictures) {
    const auto at = [&](const Image& image, PixelSize size) {
      return to_network_space(resize(image, size).rgb, preprocessing);
    };
    photograph_ = at(pictures.photograph, layout_.size);
    objective_->set_content(stage(layout_.content_pass, photograph_));
    std::vector<StyleTargets> targets;
    for (std::size_t i = 0; i < pictures.paintings.size(); ++i) {
      const Shape shape = layout_.style_passes[i].program.picture;
      const std::vector<float> painting = at(pictures.paintings[i], {shape.w, shape.h});
      targets.push_back(objective_->measure_style(stage(layout_.style_passes[i], painting)));
    }
    const std::vector<StyleInput> inputs = style_inputs(options.objective, pictures.paintings);
    double sum = 0;
    for (const StyleInput& input : inputs) sum += input.weight;
    std::vector<WeightedTargets> blend;
    for (std::size_t i = 0; i < targets.size(); ++i) blend.push_back({&targets[i], inputs[i].weight / sum});
    objective_->set_styles(blend);
    objective_->finish_targets(print_warning);
  }

  Backend& backend_;
  Executor executor_;
  ScaleLayout layout_;
  Buffer arena_;
  ScaleMemory memory_;
  std::unique_ptr<StyleObjective> objective_;
  std::vector<float> photograph_;
};

struct NamedOptions {
  std::string name;
  StyleOptions options;
  bool of_picture = false;  ///< without the network: float or double in every precision
};

/// The objective with one layer of one loss (of losses of the picture: without layers), and all others off.
StyleOptions only(const StyleOptions& options, const StyleOption& weight, const std::string& layer) {
  StyleOptions alone = options;
  for (const StyleOption& row : option_table()) {
    if (!row.weighs || row.name == weight.name) continue;
    const std::string& layers = *row.weighs;
    if (layers.empty()) {
      row.value.set(alone, row.name, "0");
    } else {
      find_option(layers).value.set(alone, layers, "none");
    }
  }
  if (!layer.empty()) {
    find_option(*weight.weighs).value.set(alone, *weight.weighs, layer);
    return alone;
  }
  // A network is run all the same: a layer that weighs nothing.
  alone.objective.content_layers = {{"relu1_1", 1}};
  alone.objective.content_weight = 0;
  return alone;
}

/// Each term that weighs something, then all of them.
std::vector<NamedOptions> objectives_to_check(const StyleOptions& options) {
  std::vector<NamedOptions> all;
  for (const StyleOption& row : option_table()) {
    if (!row.weighs || row.value.get(options) == "0") continue;
    const std::string loss = row.name.substr(0, row.name.find("-weight"));
    if (row.weighs->empty()) {
      all.push_back({loss, only(options, row, ""), true});
      continue;
    }
    const StyleOption& layers = find_option(*row.weighs);
    const std::string text = layers.value.get(options);
    if (text == "none") continue;
    for (const LayerWeight& layer : parse_layers(layers.name, text)) {
      if (layer.weight != 0) {
        all.push_back({loss + " " + layer.layer, only(options, row, format_layers({layer})), false});
      }
    }
  }
  all.push_back({"J", options, false});
  return all;
}

std::string verdict(const GradientRow& row) {
  if (row.is_off()) return "FAILED";
  return row.is_sound() ? "ok" : "cannot tell";
}

void print_table(const std::vector<GradientRow>& rows) {
  const auto number = [](double value) { return format_significant(value, 2); };
  Table table(2);
  table.add(
      {"gradient of", "directions", "slope", "rounding of J", "kinks", "its own", "bound", "found", ""});
  for (const GradientRow& row : rows) {
    table.add({row.term, row.directions == Directions::kUphill ? "uphill" : "random", number(row.slope),
               number(row.rounding), number(row.kinks), number(row.own), number(row.bound), number(row.found),
               verdict(row)});
  }
  std::fputs(table.text().c_str(), stdout);
}

/// Says what is off, and terms of which no row can tell anything; the exit code.
int judge(const std::vector<GradientRow>& rows) {
  std::size_t failed = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const GradientRow& row = rows[i];
    if (row.is_off()) {
      ++failed;
      std::printf("FAILED gradient of %s: expected differences of its values within %.2g, found %.2g\n",
                  row.term.c_str(), row.bound, row.found);
    }
    const bool last = i + 1 == rows.size() || rows[i + 1].term != row.term;
    const auto tells = [&](const GradientRow& r) {
      return r.term == row.term && (r.is_sound() || r.is_off());
    };
    if (!last || std::any_of(rows.begin(), rows.end(), tells)) continue;
    ++failed;
    std::printf(
        "FAILED gradient of %s: expected differences that tell something, found errors up to %.2g; "
        "use another --size or --precision\n",
        row.term.c_str(), row.bound);
  }
  std::printf("%zu comparisons, %zu failed\n", rows.size(), failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int run_gradient_selftest(const GradientArguments& a) {
  GivenOptions given = a.style_options;
  given.try_emplace("size", "64");
  StyleOptions options = make_options(given);
  options.num_scales = 1;
  options.min_size = 0;
  options.optimizer = {};
  options.optimizer.kind = OptimizerKind::kAdam;  // of which x and the gradient are used
  options.optimizer.line_search = LineSearch::kNone;
  options.iterations = 1;
  validate(options);
  const Pictures pictures = make_pictures(a, options);
  const Weights weights = find_weights(a.weights);
  const auto backend = open_device(options);
  std::printf("%s: %s, %s\n", backend->info().name.c_str(), backend->info().description.c_str(),
              weights.name.c_str());
  const ConvFilters filters =
      make_conv_filters(*backend, weights, build_graph(weights, objective_taps(options.objective)));
  const BackendTraits& traits = backend->traits();
  const GradientSteps steps = gradient_steps(traits.precision, traits.real);
  GradientSteps of_picture = steps;
  if (traits.real == DType::kFloat32) {
    const GradientSteps in_float = gradient_steps(Precision::kFp32, traits.real);
    of_picture.own_uphill = in_float.own_uphill;
    of_picture.own_random = in_float.own_random;
  }
  std::vector<GradientRow> rows;
  for (const NamedOptions& one : objectives_to_check(options)) {
    ObjectiveUnderTest objective(*backend, filters, weights, one.options, pictures);
    if (rows.empty()) {
      std::printf("%s, %d directions of each kind, steps of %g grey levels\n",
                  to_string(objective.size()).c_str(), a.directions, steps.wide);
      std::fflush(stdout);
    }
    const std::vector<double> x = objective.start();
    for (GradientRow& row :
         check_gradient(one.name, objective, x, one.of_picture ? of_picture : steps, a.directions)) {
      rows.push_back(std::move(row));
    }
  }
  print_table(rows);
  return judge(rows);
}

}  // namespace impasto::apps
