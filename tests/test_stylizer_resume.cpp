// Renders that are stopped and go on, and scales that end early.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

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

/// Evaluations at the first scale.
std::size_t first_scale_length(const Run& run) {
  return static_cast<std::size_t>(
      std::count_if(run.trace.begin(), run.trace.end(), [](const Progress& p) { return p.scale == 0; }));
}

}  // namespace

TEST_CASE("a render stopped at any iteration and resumed ends with the same bits") {
  std::vector<StyleOptions> variants = every_optimizer(op_devices().back());
  variants.push_back(with_pyramid(variants.front()));
  variants.back().coarse_iterations = 4;
  variants.back().handover = Handover::kChange;
  variants.back().grain = GrainSource::kStyle;
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

TEST_CASE("a tolerance ends each scale early, and the next begins") {
  for (const std::string& device : op_devices()) {
    for (StyleOptions options : every_optimizer(device)) {
      INFO(device << " " << name_of(options.optimizer));
      const Run whole = render(options);  // seven evaluations a scale: too few to converge
      options.tolerance = 0.9;
      CHECK(render(options).result.image.rgb == whole.result.image.rgb);

      options.iterations = 40;
      const Run run = render(options);
      const std::size_t first = first_scale_length(run);
      REQUIRE(first >= 11);
      REQUIRE(first < 40);
      const std::size_t second = run.trace.size() - first;
      REQUIRE(second >= 11);
      REQUIRE(second < 40);
      for (std::size_t i = 0; i < run.trace.size(); ++i) {
        const Progress& p = run.trace[i];
        CHECK(p.iteration == static_cast<int>(i < first ? i : i - first) + 1);
        CHECK(p.iterations == 40);
        CHECK(p.ends_scale == (i + 1 == first || i + 1 == run.trace.size()));
      }
      CHECK(!run.result.stopped);
      CHECK(run.result.image.width == 48);

      options.tolerance = 0;  // just so many evaluations, asked for
      options.coarse_iterations = static_cast<int>(first);
      options.iterations = static_cast<int>(second);
      const Run asked = render(options);
      CHECK(asked.trace.size() == run.trace.size());
      CHECK(asked.trace.back().ends_scale);
      CHECK(asked.result.image.rgb == run.result.image.rgb);
    }
  }
}

TEST_CASE("a render with a tolerance stopped and resumed, also where a scale ends, ends with the same bits") {
  for (StyleOptions options : every_optimizer(op_devices().back())) {
    options.iterations = 40;
    options.tolerance = 0.5;
    const Run whole = render(options);
    const std::size_t first = first_scale_length(whole), all = whole.trace.size();
    REQUIRE(first < 40);
    REQUIRE(all > first + 6);
    for (const std::size_t stop : {std::size_t{3}, first - 1, first, first + 1, first + 6, all - 1, all}) {
      require_same_resumed(options, whole, stop);
    }
  }
}

TEST_CASE("a checkpoint whose lowest losses are missing is refused where there is a tolerance") {
  StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  options.tolerance = 0.5;
  Checkpoint checkpoint = stopped_after(options, 3);
  CHECK(checkpoint.best_losses.size() == 3);
  checkpoint.best_losses.clear();
  RunHooks hooks;
  hooks.resume = &checkpoint;
  Stylizer again(options, weights());
  CHECK_THROWS_WITH((void)again.run(content(), styles(), hooks),
                    "checkpoint: expected 3 lowest losses that do not rise, found 0");
  checkpoint.best_losses = {3, std::numeric_limits<double>::quiet_NaN(), 1};
  CHECK_THROWS_WITH((void)again.run(content(), styles(), hooks),
                    "checkpoint: expected 3 lowest losses that do not rise, found 3 others");
  options.tolerance = 0;
  CHECK(stopped_after(options, 3).best_losses.empty());
}

TEST_CASE("a checkpoint whose tensors or scale are another render's is refused") {
  const StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  const Checkpoint checkpoint = stopped_after(options, 3);
  Stylizer again(options, weights());
  const auto resume = [&](const Checkpoint& changed) {
    RunHooks hooks;
    hooks.resume = &changed;
    (void)again.run(content(), styles(), hooks);
  };
  const auto mean = std::find_if(checkpoint.tensors.begin(), checkpoint.tensors.end(),
                                 [](const Checkpoint::Tensor& t) { return t.name == "mean"; });
  REQUIRE(mean != checkpoint.tensors.end());
  const auto at = static_cast<std::size_t>(mean - checkpoint.tensors.begin());
  const std::string wanted = to_string(mean->dtype) + to_string(mean->shape);

  Checkpoint changed = checkpoint;
  changed.tensors[at].name = "median";
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected a tensor 'mean', found none");

  changed = checkpoint;
  std::swap(changed.tensors[at].shape.h, changed.tensors[at].shape.w);
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected 'mean' as " + wanted +
                                         " for this device and size, found " + to_string(mean->dtype) +
                                         to_string(changed.tensors[at].shape));

  changed = checkpoint;
  changed.tensors[at].dtype = DType::kFloat64;
  changed.tensors[at].data.resize(2 * mean->data.size());
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected 'mean' as " + wanted +
                                         " for this device and size, found " + to_string(DType::kFloat64) +
                                         to_string(mean->shape));

  changed = checkpoint;
  changed.tensors[at].data.pop_back();
  const std::string bytes = std::to_string(mean->data.size());
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected 'mean' in " + bytes + " bytes, found " +
                                         std::to_string(mean->data.size() - 1));

  changed = checkpoint;
  changed.scale = 2;
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected a scale below 2, found 2");
  changed.scale = checkpoint.scale;
  changed.iteration = std::int64_t{1} << 31;
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected an iteration below 8, found 2147483648");
  changed.iteration = -1;
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected an iteration below 8, found -1");

  for (const char* scale : {"1.6069380442589903e+60", "0", "-1", "3", "nan", "inf", "1x"}) {
    changed = checkpoint;
    changed.device["gradient_scale"] = scale;
    CHECK_THROWS_WITH(
        resume(changed),
        "checkpoint: expected a power of two as the gradients' scale, found \"" + std::string(scale) + "\"");
  }

  changed = checkpoint;
  changed.host_state = {1};
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected no numbers of optimizer state, found 1");
  changed = checkpoint;
  changed.best_losses = {1, 1, 1};
  CHECK_THROWS_WITH(resume(changed), "checkpoint: expected 0 lowest losses that do not rise, found 3");
  resume(checkpoint);  // and the same program goes on after all of them
}

TEST_CASE("a checkpoint whose L-BFGS names a slot that is none is refused before the slot is used") {
  for (const LineSearch search : {LineSearch::kWolfe, LineSearch::kNone}) {
    const StyleOptions options = options_with(op_devices().back(), OptimizerKind::kLbfgs, search);
    Checkpoint checkpoint = stopped_after(options, 3);
    const auto state = std::find_if(checkpoint.tensors.begin(), checkpoint.tensors.end(),
                                    [](const Checkpoint::Tensor& t) { return t.name == "state"; });
    REQUIRE(state != checkpoint.tensors.end());
    const double slot = 1e6;
    std::memcpy(state->data.data() + sizeof slot * LbfgsState::kSpare, &slot, sizeof slot);
    RunHooks hooks;
    hooks.resume = &checkpoint;
    Stylizer again(options, weights());
    CHECK_THROWS_WITH((void)again.run(content(), styles(), hooks),
                      "checkpoint: expected a spare slot from 0 to " +
                          std::to_string(std::min(options.optimizer.history, options.iterations)) +
                          " in L-BFGS's state, found 1e+06");
  }
}
