// Renders in less memory than the network at once needs.
#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "engine/style/stylizer.h"
#include "tests/support/catch.h"
#include "tests/support/small_renders.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// One scale, tall enough for strips.
StyleOptions tall(StyleOptions options) {
  options.num_scales = 1;
  options.size = 96;
  options.iterations = 4;
  return options;
}

const Image& tall_content() {
  static const Image image = random_image(48, 96, 4);
  return image;
}

RenderPlan plan_of(const StyleOptions& options) {
  return Session(options, weights(), SessionOptions::one_render()).plan(options, {{48, 96}, {{{50, 50}}}});
}

StyleOptions within(StyleOptions options, std::size_t bytes) {
  options.memory_bytes = static_cast<std::int64_t>(bytes);
  return options;
}

/// The least that any plan takes: where nothing fits, the smallest one is told.
std::size_t least(const StyleOptions& options) { return plan_of(within(options, 1)).device_bytes; }

struct Ended {
  RenderResult result;
  Checkpoint checkpoint;
};

Ended end_tall(const StyleOptions& options, const Checkpoint* resume = nullptr, int stop_after = 0,
               bool inexact = false) {
  RunHooks hooks;
  hooks.resume = resume;
  hooks.resume_inexact = inexact;
  int evaluations = 0;
  hooks.progress = [&](const Progress&) {
    return ++evaluations == stop_after ? Action::kStop : Action::kContinue;
  };
  Stylizer stylizer(options, weights());
  RenderResult result = stylizer.run(tall_content(), {styles().data(), 1}, hooks);
  return {std::move(result), stylizer.checkpoint()};
}

RenderResult render_tall(const StyleOptions& options, const Checkpoint* resume = nullptr,
                         bool inexact = false) {
  return end_tall(options, resume, 0, inexact).result;
}

double distance(const Image& a, const Image& b) {
  REQUIRE(a.rgb.size() == b.rgb.size());
  double most = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) most = std::max(most, std::abs(double{a.rgb[i]} - b.rgb[i]));
  return most;
}

}  // namespace

TEST_CASE("a render in strips takes what was planned and gives the picture of the whole, to rounding") {
  for (const std::string& device : test::op_devices()) {
    for (const StyleOptions& any : every_optimizer(device)) {
      const StyleOptions options = tall(any);
      const RenderPlan whole = plan_of(options);
      const RenderResult expected = render_tall(options);
      const std::size_t smallest = least(options);
      REQUIRE(smallest < whole.device_bytes);
      CHECK(plan_of(within(options, whole.device_bytes)).scales[0].way == "at once");
      for (const double share : {0.5, 0.0}) {
        const auto budget =
            smallest + static_cast<std::size_t>(share * static_cast<double>(whole.device_bytes - smallest));
        const RenderPlan plan = plan_of(within(options, budget));
        INFO(device << " " << name_of(options.optimizer) << ": " << plan.scales[0].way << ", history "
                    << plan.scales[0].history);
        CHECK(plan.fits());
        // With half of what can be saved, it may be enough that the style picture goes in strips.
        if (share == 0) CHECK(plan.scales[0].way != "at once");
        const RenderResult result = render_tall(within(options, budget));
        CHECK(result.counted_bytes == plan.device_bytes);
        if (device == "reference" && plan.scales[0].history == whole.scales[0].history) {
          CHECK(distance(result.image, expected.image) < 1e-4);
        }
      }
    }
  }
}

TEST_CASE("what no plan fits into is refused with the least that one takes, which is enough") {
  const StyleOptions options = tall(options_with(test::op_devices().back(), OptimizerKind::kLbfgs));
  const std::size_t smallest = least(options);
  CHECK(plan_of(within(options, smallest)).fits());
  CHECK_FALSE(plan_of(within(options, smallest - 1)).fits());
  CHECK_THROWS_WITH(render_tall(within(options, smallest - 1)), ContainsSubstring("needs at least"));
}

TEST_CASE("a history gives way before a render is refused, with a word") {
  StyleOptions options = tall(options_with(test::op_devices().back(), OptimizerKind::kLbfgs));
  options.iterations = 12;
  const RenderPlan whole = plan_of(options);
  CHECK(whole.scales[0].history == 10);
  const RenderResult result = render_tall(within(options, least(options)));
  REQUIRE(result.warnings.size() == 1);
  CHECK_THAT(result.warnings[0],
             ContainsSubstring("expected room for a history of 10 pairs, found room for 1 "));
  options.iterations = 3;  // never more pairs than evaluations
  CHECK(plan_of(options).scales[0].history == 3);
}

TEST_CASE("a render goes on in the strips that it began with, whatever memory there is now") {
  const StyleOptions options = tall(options_with(test::op_devices().back(), OptimizerKind::kAdam));
  const std::size_t smallest = least(options), whole = plan_of(options).device_bytes;
  const StyleOptions narrow = within(options, smallest), half = within(options, (smallest + whole) / 2);
  const RenderResult expected = render_tall(narrow);
  const Checkpoint checkpoint = end_tall(narrow, nullptr, 2).checkpoint;
  CHECK(render_tall(options, &checkpoint).image.rgb == expected.image.rgb);
  const Checkpoint wide = end_tall(half, nullptr, 2).checkpoint;
  CHECK_THROWS_WITH(render_tall(narrow, &wide), ContainsSubstring("as where the checkpoint was made"));
  CHECK(distance(render_tall(narrow, &wide, true).image, expected.image) < 0.05);
  Checkpoint bad = checkpoint;
  for (const char* text :
       {"0", "48x96", "48x96 history 4 evaluation 2:1 content -", "48x96 history -1 evaluation x content -",
        "48x96 history 4 evaluation 99:1 content 9:0 style 9:0",
        "99x96 history 4 evaluation - content - style -",
        "48x96 history 4 evaluation 9:99999999999999999999 content 9:0 style 9:0"}) {
    bad.device["plan"] = text;
    CHECK_THROWS_WITH(render_tall(options, &bad), ContainsSubstring("checkpoint: expected"));
  }
}

TEST_CASE("a history of another length is begun anew where that is allowed") {
  StyleOptions options = tall(options_with(test::op_devices().back(), OptimizerKind::kLbfgs));
  options.iterations = 12;
  const StyleOptions narrow = within(options, least(options));
  const Ended stopped = end_tall(options, nullptr, 6);
  CHECK_THROWS_WITH(render_tall(narrow, &stopped.checkpoint),
                    ContainsSubstring("as where the checkpoint was made"));
  const RenderResult result = render_tall(narrow, &stopped.checkpoint, true);
  CHECK(distance(result.image, stopped.result.image) < 0.5);
  const Checkpoint short_history = end_tall(narrow, nullptr, 6).checkpoint;
  CHECK(render_tall(options, &short_history).image.rgb == render_tall(narrow).image.rgb);
}

TEST_CASE("the largest size is the largest that fits without narrow strips") {
  StyleOptions options = tall(options_with(test::op_devices().back(), OptimizerKind::kLbfgs));
  options = within(options, plan_of(options).device_bytes);
  options.size = StyleOptions::kLargest;
  const RenderPlan plan = plan_of(options);
  CHECK(plan.fits());
  const std::int64_t side = plan.scales.back().size.long_side();
  CHECK(side > 96);  // in strips
  CHECK_FALSE(plan.scales.back().strained);
  options.size = side;
  CHECK(plan_of(options).device_bytes == plan.device_bytes);
  options.size = side + 1;
  const RenderPlan larger = plan_of(options);
  CHECK((larger.scales.back().strained || !larger.fits()));
  options.size = StyleOptions::kLargest;
  CHECK(render_tall(options).image.height == side);
  options.most_side = 80;
  CHECK(plan_of(options).scales.back().size.long_side() == 80);
  options.most_side = side + 10;
  CHECK(plan_of(options).scales.back().size.long_side() == side);
  CHECK_THROWS_WITH(plan_of(within(options, 1000)), "size: expected one that fits the memory, found none");
}
