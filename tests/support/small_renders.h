#pragma once
// Renders of small random pictures at two scales, with every optimiser.
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/core/text.h"
#include "engine/style/stylizer.h"
#include "tests/support/test_device.h"
#include "tests/support/tiny_vgg.h"

namespace impasto::test {

inline Image random_image(std::int64_t width, std::int64_t height, std::uint32_t seed) {
  std::mt19937 random(seed);
  Image image{width, height, std::vector<float>(static_cast<std::size_t>(3 * width * height)), {}};
  for (float& v : image.rgb) v = static_cast<float>(random() % 256) / 255;
  return resize(resize(image, {width / 3, height / 3}), {width, height});
}

inline StyleOptions options_with(const std::string& device, OptimizerKind kind,
                                 LineSearch search = LineSearch::kWolfe) {
  StyleOptions options;
  options.device = device;
  if (device == other_device().device) options.precision = to_string(other_device().precision);
  options.threads = 2;
  options.size = 48;
  options.num_scales = 2;
  options.min_size = 0;
  options.iterations = 7;
  options.optimizer.kind = kind;
  options.optimizer.line_search = search;
  if (kind == OptimizerKind::kGradientDescent) options.optimizer.learning_rate = 1e3;
  return options;
}
/// Gradient descent that finds its steps itself, with momentum or without.
inline StyleOptions automatic(const std::string& device, double momentum) {
  StyleOptions options = options_with(device, OptimizerKind::kGradientDescent);
  options.optimizer.learning_rate.reset();
  options.optimizer.momentum = momentum;
  return options;
}
inline StyleOptions with_pyramid(StyleOptions options) {
  options.optimizer.preconditioner = Preconditioner::kPyramid;
  return options;
}
/// All of them, on one device.
inline std::vector<StyleOptions> every_optimizer(const std::string& device) {
  return {options_with(device, OptimizerKind::kLbfgs, LineSearch::kWolfe),
          with_pyramid(options_with(device, OptimizerKind::kLbfgs, LineSearch::kWolfe)),
          options_with(device, OptimizerKind::kLbfgs, LineSearch::kNone),
          options_with(device, OptimizerKind::kAdam),
          options_with(device, OptimizerKind::kGradientDescent),
          automatic(device, 0),
          automatic(device, 0.9)};
}
inline std::string name_of(const OptimizerOptions& o) {
  return to_string(o.kind) + " " + to_string(o.line_search) + " " + to_string(o.preconditioner) + " rate " +
         (o.learning_rate ? format_number(*o.learning_rate) : "auto") + " momentum " +
         format_number(o.momentum);
}

inline std::shared_ptr<const Weights> weights() { return std::make_shared<Weights>(tiny_vgg()); }

inline const Image& content() {
  static const Image image = random_image(60, 45, 1);
  return image;
}
inline const std::vector<Image>& styles() {
  static const std::vector<Image> images{random_image(50, 50, 2), random_image(40, 70, 3)};
  return images;
}

struct Run {
  RenderResult result;
  std::vector<Progress> trace;
};

inline Run render(const StyleOptions& options, int stop_after = 0) {
  Run run;
  Stylizer stylizer(options, weights());
  run.result = stylizer.run(content(), styles(),
                            {[&](const Progress& p) {
                               run.trace.push_back(p);
                               const bool stop = stop_after == static_cast<int>(run.trace.size());
                               return stop ? Action::kStop : Action::kContinue;
                             },
                             {},
                             nullptr,
                             nullptr});
  return run;
}

}  // namespace impasto::test
