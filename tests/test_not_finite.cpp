// Numbers that are not finite, wherever they come up: an error with its cause, never a picture.
#include <memory>
#include <string>

#include "engine/core/error.h"
#include "engine/style/stylizer.h"
#include "tests/support/catch.h"
#include "tests/support/small_renders.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// Filters times `factor` and no bias, so that features grow from layer to layer.
std::shared_ptr<const Weights> scaled_weights(float factor, std::size_t from = 0) {
  Weights weights = tiny_vgg();
  for (std::size_t i = from; i < weights.layers.size(); ++i) {
    for (float& f : weights.layers[i].filter) f *= factor;
  }
  return std::make_shared<Weights>(std::move(weights));
}

std::string failure(const StyleOptions& options, const std::shared_ptr<const Weights>& weights) {
  Stylizer stylizer(options, weights);
  try {
    (void)stylizer.run(content(), styles());
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("features that overflow are an error that names the layer, also where no loss reads it") {
  for (const char* const device : {"cpu", "reference"}) {
    INFO(device);
    StyleOptions options = options_with(device, OptimizerKind::kLbfgs);
    options.num_scales = 1;
    const bool wide = options.device == "reference";
    const auto weights = scaled_weights(wide ? 1e37F : 1e20F);
    CHECK_THAT(failure(options, weights), ContainsSubstring("expected finite numbers, found others at "));
    options.objective.style_layers = {{"relu5_1", 1}};
    options.objective.content_layers = {{"relu5_1", 1}};
    CHECK_THAT(failure(options, weights),
               ContainsSubstring("features of the content: expected finite numbers, found others at relu"));
    options.objective.content_layers.clear();
    CHECK_THAT(
        failure(options, weights),
        ContainsSubstring("features of the style picture: expected finite numbers, found others at relu"));
  }
}

TEST_CASE("features of so many channels that infinities meet with both signs are an error all the same") {
  StyleOptions options = options_with("cpu", OptimizerKind::kLbfgs);
  options.num_scales = 1;
  options.objective.content_layers = {{"relu2_2", 1}};
  options.objective.style_layers = {{"relu2_1", 1}};
  Weights wide = random_weights("vgg16", 1);
  wide.layers.resize(4);
  for (std::size_t i = 0; i < 2; ++i) {
    for (float& f : wide.layers[i].filter) f *= 1e20F;
  }
  CHECK_THAT(failure(options, std::make_shared<Weights>(std::move(wide))),
             ContainsSubstring("features of the content: expected finite numbers, found others at "));
}

TEST_CASE("features whose Gram matrix overflows are an error that names the layer") {
  StyleOptions options = options_with("cpu", OptimizerKind::kLbfgs);
  options.num_scales = 1;
  options.objective.style_layers = {{"relu1_1", 1}};
  options.objective.content_layers = {{"relu1_1", 1}};
  CHECK_THAT(failure(options, scaled_weights(1e20F)),
             ContainsSubstring("style layer relu1_1: expected a finite target, found that its square is "));
}

TEST_CASE("a weight that no gradient can hold is an error with every optimiser, not the content unchanged") {
  for (const char* const device : {"cpu"}) {  // double holds it
    for (StyleOptions options : every_optimizer(device)) {
      INFO(device << " " << name_of(options.optimizer));
      options.num_scales = 1;
      for (const int iterations : {1, 7}) {
        options.iterations = iterations;
        options.objective.scaling = Scaling::kPaper;
        options.objective.style_weight = 1e36;
        // Its first step is of unit length, and double holds all of it.
        const bool steps = options.optimizer.kind == OptimizerKind::kLbfgs &&
                           options.optimizer.line_search == LineSearch::kNone && iterations == 1;
        if (steps && options.device == "reference") continue;
        const std::string message = failure(options, scaled_weights(20));
        CHECK_THAT(message, ContainsSubstring("finite"));
        CHECK((message.find("style relu") != std::string::npos ||
               message.find("content relu") != std::string::npos));
      }
    }
  }
}

TEST_CASE("Adam under a weight whose gradient's square overflows is an error, not the content unchanged") {
  StyleOptions options = options_with("cpu", OptimizerKind::kAdam);
  options.num_scales = 1;
  options.objective.style_weight = 1e27;
  CHECK_THAT(failure(options, weights()), ContainsSubstring("a gradient whose square is finite"));
}
