// Renders that are stopped and go on.
#include "engine/core/error.h"
#include "engine/style/stylizer.h"
#include "tests/support/catch.h"
#include "tests/support/small_renders.h"

using namespace impasto;
using namespace impasto::test;

namespace {

Checkpoint stopped_after(const StyleOptions& options, std::size_t stop) {
  Stylizer stylizer(options, weights());
  std::size_t count = 0;
  const auto progress = [&](const Progress&) { return ++count == stop ? Action::kStop : Action::kContinue; };
  CHECK(stylizer.run(content(), styles(), {progress, {}, nullptr, nullptr}).stopped);
  return stylizer.checkpoint();
}

/// Stopped after evaluation `stop` and resumed, a render makes the evaluations and the picture of `whole`.
void require_same_resumed(const StyleOptions& options, const Run& whole, std::size_t stop) {
  INFO(name_of(options.optimizer) << " stopped after " << stop);
  const Checkpoint checkpoint = stopped_after(options, stop);
  Stylizer stylizer(options, weights());
  std::vector<double> losses;
  const auto progress = [&](const Progress& p) {
    losses.push_back(p.loss);
    return Action::kContinue;
  };
  const RenderResult rest = stylizer.run(content(), styles(), {progress, {}, &checkpoint, nullptr});
  CHECK(losses.size() == whole.trace.size() - stop);
  if (!losses.empty()) CHECK(losses.back() == whole.trace.back().loss);
  CHECK(rest.image.rgb == whole.result.image.rgb);
}

}  // namespace

TEST_CASE("a render stopped at any iteration and resumed ends with the same bits") {
  std::vector<StyleOptions> variants = every_optimizer(op_devices().back());
  variants.push_back(with_pyramid(variants.front()));
  variants.back().coarse_iterations = 4;
  variants.back().handover = Handover::kChange;
  for (const StyleOptions& options : variants) {
    const Run whole = render(options);
    for (std::size_t stop = 1; stop <= whole.trace.size(); ++stop) require_same_resumed(options, whole, stop);
  }
}

TEST_CASE("resuming with another picture or option is an error that names it") {
  StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  Stylizer stylizer(options, weights());
  (void)stylizer.run(content(), styles(),
                     {[](const Progress&) { return Action::kStop; }, {}, nullptr, nullptr});
  const Checkpoint checkpoint = stylizer.checkpoint();
  RunHooks hooks;
  hooks.resume = &checkpoint;
  Stylizer again(options, weights());
  CHECK_THROWS_WITH((void)again.run(styles()[0], styles(), hooks), ContainsSubstring("content"));
  options.objective.content_weight = 0.75;
  Stylizer other(options, weights());
  CHECK_THROWS_WITH((void)other.run(content(), styles(), hooks), ContainsSubstring("content-weight"));
}
