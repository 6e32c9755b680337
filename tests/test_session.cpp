// A session and its renders: what they share, what each has for itself, and how one is stepped through.
#include "engine/style/session.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include "engine/backend/backend.h"
#include "engine/core/error.h"
#include "engine/style/render.h"
#include "engine/style/stylizer.h"
#include "engine/style/targets.h"
#include "tests/support/catch.h"
#include "tests/support/small_renders.h"
#include "tests/support/tuning_text.h"

using namespace impasto;
using namespace impasto::test;

namespace {

RenderInput pictures() { return {&content(), style_inputs({}, styles()), nullptr, {}}; }

Image finish(Render& render) {
  while (render.step()) {
  }
  CHECK(render.finished());
  return render.picture();
}

}  // namespace

TEST_CASE("renders of one session, evaluation by evaluation in turn, give the bits of each alone") {
  for (const std::string& device : op_devices()) {
    INFO(device);
    const StyleOptions one = options_with(device, OptimizerKind::kLbfgs);
    StyleOptions other = options_with(device, OptimizerKind::kAdam);
    other.objective.style_layers = {{"relu1_1", 1}, {"relu2_1", 2}};  // less deep
    other.objective.pooling = Pooling::kAverage;
    other.size = 40;
    Session session(one, weights());
    Render a(session, one, pictures());
    Render b(session, other, pictures());
    for (bool more = true; more;) {
      const bool first = a.step(), second = b.step();
      more = first || second;
    }
    CHECK(a.picture().rgb == render(one).result.image.rgb);
    CHECK(b.picture().rgb == render(other).result.image.rgb);
  }
}

TEST_CASE("a style picture is measured once for a size, whatever the number of renders") {
  const StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  Session session(options, weights());
  Render first(session, options, pictures());
  const Image picture = finish(first);
  CHECK(session.measured_styles() == 4);  // two pictures at two scales

  RenderInput input = pictures();
  const Image photo = random_image(60, 45, 9);
  input.content = &photo;
  Render second(session, options, input);
  const Image taken_up = finish(second);
  CHECK(session.measured_styles() == 4);
  Session fresh(options, weights());
  Render measuring(fresh, options, input);
  CHECK(finish(measuring).rgb == taken_up.rgb);

  Render again(session, options, pictures());
  CHECK(finish(again).rgb == picture.rgb);
  CHECK(session.measured_styles() == 4);

  StyleOptions other = options;
  other.objective.pooling = Pooling::kAverage;
  Render different(session, other, pictures());
  (void)finish(different);
  CHECK(session.measured_styles() == 8);
  other.grain = GrainSource::kStyle;
  Render grained(session, other, pictures());
  (void)finish(grained);
  CHECK(session.measured_styles() == 12);
}

TEST_CASE("siblings, each in its thread, give the bits of one render alone and measure a style once") {
  for (const std::string& device : op_devices()) {
    INFO(device);
    const StyleOptions options = options_with(device, OptimizerKind::kAdam);
    const Image alone = render(options).result.image;
    Session first(options, weights());
    std::vector<Session> sessions;
    for (int i = 0; i < 3; ++i) sessions.push_back(first.sibling());
    sessions.push_back(std::move(first));
    std::vector<Image> results(sessions.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < sessions.size(); ++i) {
      threads.emplace_back([&, i] {
        Render own(sessions[i], options, pictures());
        while (own.step()) {
        }
        results[i] = own.picture();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Image& result : results) CHECK(result.rgb == alone.rgb);
    for (const Session& session : sessions) CHECK(session.measured_styles() == 4);
  }
}

TEST_CASE("who waits for targets that fail to be made makes them itself") {
  TargetCache cache(1 << 20);
  std::atomic<int> calls = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      try {
        (void)cache.find_or_make("a", [&]() -> StyleTargets {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          if (++calls < 3) throw Error(ErrorCode::kResources, "none");
          return {};
        });
      } catch (const Error&) {
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(calls == 3);
  CHECK(cache.made() == 1);
}

TEST_CASE("the targets that were used last are kept, as far as they fit") {
  const auto targets = [](std::size_t numbers) {
    return [numbers] {
      StyleTargets made;
      made.statistics["a"].resize(numbers);
      return made;
    };
  };
  const std::size_t one = targets(40)().bytes() + 1;  // and a key of one letter
  TargetCache cache(2 * one);
  (void)cache.find_or_make("a", targets(40));
  (void)cache.find_or_make("b", targets(40));
  (void)cache.find_or_make("a", targets(40));
  CHECK(cache.made() == 2);
  (void)cache.find_or_make("c", targets(40));  // b was used longest ago
  CHECK(cache.bytes() == 2 * one);
  (void)cache.find_or_make("a", targets(40));
  CHECK(cache.made() == 3);
  (void)cache.find_or_make("b", targets(40));
  CHECK(cache.made() == 4);
  CHECK(cache.find_or_make("too large", targets(200))->statistics.at("a").size() == 200);
  CHECK(cache.bytes() == 2 * one);
  TargetCache none(0);
  (void)none.find_or_make("", [] { return StyleTargets(); });
  CHECK(none.bytes() == 0);
}

TEST_CASE("a later render's filters are prepared when it needs them, unless the weights have gone") {
  const StyleOptions deep = options_with(op_devices().back(), OptimizerKind::kAdam);
  StyleOptions shallow = deep;
  shallow.objective.content_layers = {{"relu1_1", 1}};
  shallow.objective.style_layers = {{"relu1_1", 1}};
  for (const bool kept : {true, false}) {
    Session session(shallow, weights(), {.keep_weights = kept});
    const std::size_t before = session.backend().allocated_bytes();
    std::optional<Render> first;
    first.emplace(session, shallow, pictures());
    CHECK(session.backend().allocated_bytes() == before);  // nothing is taken before the first step
    (void)finish(*first);
    first.reset();
    const std::size_t filters = session.backend().allocated_bytes();
    Render again(session, shallow, pictures());
    (void)again.step();
    CHECK(again.plan().filter_bytes == filters - before);
    Render second(session, deep, pictures());
    if (kept) {
      CHECK(finish(second).rgb == render(deep).result.image.rgb);
    } else {
      CHECK_THROWS_WITH(second.step(), ContainsSubstring("layers: expected none beyond"));
      CHECK_THROWS_WITH(second.step(), ContainsSubstring("no step after an error"));
    }
  }
}

TEST_CASE("what belongs to one style stands with it: weight, scale") {
  StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  Session session(options, weights());
  RenderInput input = pictures();
  input.styles[0].weight = 3;
  Render weighted(session, options, input);
  StyleOptions blended = options;
  blended.objective.style_blend = {3, 1};
  CHECK(finish(weighted).rgb == render(blended).result.image.rgb);

  input.styles[1].weight = 0;  // and so the first alone
  Render first_only(session, options, input);
  RenderInput single = pictures();
  single.styles.pop_back();
  Render alone(session, options, single);
  CHECK(finish(first_only).rgb == finish(alone).rgb);

  input = pictures();
  input.styles[0].scale = input.styles[1].scale = 0.5;
  Render scaled(session, options, input);
  CHECK(scaled.plan().scales.back().style_sizes[0].long_side() == 24);
  StyleOptions half = options;
  half.style_scale = 0.5;
  CHECK(finish(scaled).rgb == render(half).result.image.rgb);
  CHECK(scaled.checkpoint().inputs.at("style 1 scale") == "0.5");

  const auto require_refused = [&](const RenderInput& bad, const char* text) {
    CHECK_THROWS_WITH(Render(session, options, bad), ContainsSubstring(text));
  };
  input = pictures();
  input.styles[1].scale = 0;
  require_refused(input, "style picture 2: expected a scale above 0, found 0");
  input = pictures();
  input.styles[0].weight = -1;
  require_refused(input, "style picture 1: expected a weight from 0 on, found -1");
  input.styles[0].weight = input.styles[1].weight = 0;
  require_refused(input, "styles: expected a weight above 0");
  input = pictures();
  input.styles[0].mask = &content();
  require_refused(input, "style picture 1: expected no mask");
  input.styles.clear();
  require_refused(input, "style: expected at least one picture");
  CHECK_THROWS_WITH(style_inputs(blended.objective, std::span(styles()).first(1)),
                    ContainsSubstring("style-blend: expected 1 weights"));
}

TEST_CASE("a render is stopped, kept, and goes on in the same session, beside another one") {
  const StyleOptions options = options_with(op_devices().back(), OptimizerKind::kLbfgs);
  Session session(options, weights());
  Render whole(session, options, pictures());
  CHECK(whole.progress().iteration == 0);
  CHECK_THROWS_WITH(whole.picture(), ContainsSubstring("nothing has been rendered yet"));
  CHECK_THROWS_WITH(whole.checkpoint(), ContainsSubstring("nothing has been rendered yet"));
  std::optional<Render> part;
  part.emplace(session, options, pictures());
  for (int i = 0; i < 9; ++i) REQUIRE(part->step());
  CHECK(part->progress().scale == 1);
  part->stop();
  CHECK_FALSE(part->step());
  CHECK_FALSE(part->step());
  CHECK_FALSE(part->finished());
  RenderInput input = pictures();
  input.resume = std::make_shared<const Checkpoint>(part->checkpoint());
  part.reset();
  Render rest(session, options, std::move(input));
  CHECK(finish(rest).rgb == finish(whole).rgb);
  CHECK_FALSE(rest.step());
}

namespace {

/// VGG-16 with random filters: its convolutions have choices on the CPU.
struct Choosing {
  StyleOptions options = options_with("cpu", OptimizerKind::kAdam);
  std::shared_ptr<const Weights> network = std::make_shared<Weights>(random_weights("vgg16", 1));
  Choosing() {
    options.iterations = 2;
    options.objective.content_layers = {{"relu2_1", 1}};
    options.objective.style_layers = {{"relu1_1", 1}, {"relu2_1", 1}};
  }
  [[nodiscard]] Session session() const { return {options, network}; }
  [[nodiscard]] Image fresh(Session& session) const {
    Render render(session, options, pictures());
    return finish(render);
  }
  /// Of the first evaluation, as the rule chooses.
  [[nodiscard]] Checkpoint checkpoint() const {
    Session own = session();
    Render render(own, options, pictures());
    REQUIRE(render.step());
    return render.checkpoint();
  }
  /// The same with another way for each convolution: tiles that are not the rule's.
  [[nodiscard]] Checkpoint other_checkpoint() const {
    Checkpoint other = checkpoint();
    std::string& tuning = other.device.at("tuning");
    tuning = with_other_tiles(tuning);
    return other;
  }
  [[nodiscard]] RenderInput going_on(const Checkpoint& from) const {
    RenderInput input = pictures();
    input.resume = std::make_shared<const Checkpoint>(from);
    return input;
  }
};

}  // namespace

TEST_CASE("a render that goes on brings the device's choices, and no other render is led astray by them") {
  const Choosing c;
  const Checkpoint same = c.checkpoint(), other = c.other_checkpoint();
  REQUIRE(same.device.at("tuning") != other.device.at("tuning"));
  Session first = c.session();
  const Image by_rule = c.fresh(first);
  const auto resumed_alone = [&](const Checkpoint& from) {
    Session own = c.session();
    Render render(own, c.options, c.going_on(from));
    return finish(render);
  };
  const Image otherwise = resumed_alone(other);
  REQUIRE(otherwise.rgb != by_rule.rgb);
  CHECK(resumed_alone(same).rgb == by_rule.rgb);

  // After a fresh render, whose style statistics are not taken up; and before one.
  Session session = c.session();
  CHECK(c.fresh(session).rgb == by_rule.rgb);
  {
    Render render(session, c.options, c.going_on(other));
    CHECK(finish(render).rgb == otherwise.rgb);
  }
  CHECK(c.fresh(session).rgb == by_rule.rgb);

  // Beside one that is in work: the same choices are welcome, others refused, and it goes on as it began.
  Render beside(session, c.options, pictures());
  REQUIRE(beside.step());
  CHECK_THROWS_WITH(
      Render(session, c.options, c.going_on(other)),
      ContainsSubstring("checkpoint: expected ") && ContainsSubstring("as renders before it have it"));
  {
    Render render(session, c.options, c.going_on(same));
    CHECK(finish(render).rgb == by_rule.rgb);
  }
  // Refused for its budget, a checkpoint of other layers leaves none of its choices to a fresh render.
  Choosing wide;
  wide.options.size = 64;
  Session own = wide.session();
  const Image wide_by_rule = wide.fresh(own);
  StyleOptions tight = wide.options;
  tight.memory_bytes = 1;
  CHECK_THROWS_WITH(Render(session, tight, wide.going_on(wide.other_checkpoint())),
                    ContainsSubstring("memory:"));
  CHECK(wide.fresh(session).rgb == wide_by_rule.rgb);
  CHECK(finish(beside).rgb == by_rule.rgb);

  // One that is refused for its pictures changes nothing.
  Session untouched = c.session();
  RenderInput wrong = c.going_on(other);
  wrong.content = &styles()[0];
  CHECK_THROWS_WITH(Render(untouched, c.options, wrong), ContainsSubstring("content"));
  CHECK(c.fresh(untouched).rgb == by_rule.rgb);
}

TEST_CASE("what other renders have is no part of a render's budget") {
  const StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  Session session(options, weights());
  const RenderSizes sizes{{60, 45}, {{{50, 50}}, {{40, 70}}}};
  const std::int64_t before = session.plan(options, sizes).budget_bytes;
  std::optional<Render> render;
  render.emplace(session, options, pictures());
  const RenderPlan plan = session.plan(options, sizes);
  CHECK(before - plan.budget_bytes == static_cast<std::int64_t>(plan.arena_bytes()));
  CHECK(session.plan(options, sizes, plan.arena_bytes()).budget_bytes == before);
  Session sibling = session.sibling();
  StyleOptions all = options;
  all.memory_bytes = 0;
  const auto budget = [&](std::size_t released) { return sibling.plan(all, sizes, released).budget_bytes; };
  CHECK(budget(plan.arena_bytes()) - budget(0) == static_cast<std::int64_t>(plan.arena_bytes()));
  render.reset();
  CHECK(session.plan(options, sizes).budget_bytes == before);
}

TEST_CASE("a loss that is not finite from a scale's first evaluation leaves the picture it began with") {
  StyleOptions options = options_with(op_devices().back(), OptimizerKind::kGradientDescent);
  options.optimizer.learning_rate = 1e20;
  options.coarse_iterations = 1;
  options.iterations = 2;
  Session session(options, weights());
  Render render(session, options, pictures());
  REQUIRE(render.step());
  const Image coarse = render.picture();
  CHECK_THROWS_WITH(render.step(), ContainsSubstring("at iteration 1 of scale 2; a smaller --learning-rate"));
  const Image last = render.picture();
  REQUIRE(last.size() == PixelSize{48, 36});
  const Image begun = resize(coarse, last.size());
  double largest = 0, apart = 0;
  for (std::size_t i = 0; i < last.rgb.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(begun.rgb[i])));
    apart = std::max(apart, std::abs(static_cast<double>(begun.rgb[i]) - last.rgb[i]));
  }
  CHECK(largest > 1e9);
  CHECK(apart < 1e-4 * largest);
}

TEST_CASE("a scale that cannot begin leaves the picture of the one before") {
  StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  options.style_size = 51;
  options.objective.style_layers = {{"relu1_1", 1}, {"relu2_1", 1}};
  // The last column alone: the pool of an odd width drops it, that of the coarse scale's 26 does not.
  std::vector<Image> style{random_image(51, 51, 5)};
  style[0].alpha.assign(static_cast<std::size_t>(style[0].pixels()), 0.0F);
  for (std::size_t y = 0; y < 51; ++y) style[0].alpha[51 * y + 50] = 1;
  Session session(options, weights());
  Render render(session, options, {&content(), style_inputs({}, style), nullptr, {}});
  for (int i = 0; i < 7; ++i) REQUIRE(render.step());
  const Image coarse = render.picture();
  CHECK_THROWS_WITH(render.step(), ContainsSubstring("sees, found none of its 25x25 positions"));
  CHECK(render.picture().rgb == coarse.rgb);
}

TEST_CASE("a session plans what does not fit, too, and says what would") {
  StyleOptions options = options_with(op_devices().back(), OptimizerKind::kLbfgs);
  options.size = 2000;
  options.memory_bytes = 40'000'000;
  Session session(options, weights());
  const RenderSizes sizes{{60, 45}, {{{50, 50}}, {{40, 70}}}};
  const RenderPlan plan = session.plan(options, sizes);
  CHECK_FALSE(plan.fits());
  CHECK(plan.device_bytes > 40'000'000);
  CHECK_THAT(session.misfit(plan, options, sizes), ContainsSubstring("; --size "));
  options.size = 48;
  CHECK(session.misfit(session.plan(options, sizes), options, sizes).empty());
  options.objective.style_layers = {{"relu9_1", 1}};
  CHECK_THROWS_WITH(session.plan(options, sizes), ContainsSubstring("relu9_1"));
}

TEST_CASE("pictures on the way have the content's transparency, as the last one has") {
  Image photo = content();
  photo.alpha.assign(static_cast<std::size_t>(photo.pixels()), 1.0F);
  for (std::size_t i = 0; i < 600; ++i) photo.alpha[i] = 0;
  const StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
  Session session(options, weights());
  RenderInput input = pictures();
  input.content = &photo;
  Render render(session, options, input);
  REQUIRE(render.step());
  CHECK(render.picture().alpha == resize(photo, {24, 18}).alpha);
  CHECK(finish(render).alpha == resize(photo, {48, 36}).alpha);
}
