// The library's border: what a caller may get wrong is an Error of its kind before anything is touched.
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "engine/impasto.h"
#include "tests/support/catch.h"
#include "tests/support/misuse.h"

using namespace impasto;
using namespace impasto::test;

namespace {

Weights with(const std::function<void(Weights&)>& change) {
  Weights weights = tiny_vgg();
  change(weights);
  return weights;
}

void use(Weights weights) {
  Stylizer stylizer(small(), std::make_shared<Weights>(std::move(weights)));
  (void)stylizer.run(content(), styles());
}

void plan(PixelSize content, PixelSize style, double scale = 1, std::int64_t size = 32) {
  StyleOptions options = small();
  options.size = size;
  Session session(options, weights());
  (void)session.plan(options, {content, {{style, scale}}});
}

/// A render of a checkpoint of its own, changed.
void resume(const std::function<void(Checkpoint&)>& change) {
  Stylizer stylizer(small(), weights());
  (void)stylizer.run(content(), styles());
  auto checkpoint = std::make_shared<Checkpoint>(stylizer.checkpoint());
  change(*checkpoint);
  Session session(small(), weights());
  Render render(session, small(), {&content(), style_inputs({}, styles()), nullptr, checkpoint});
  while (render.step()) {
  }
}

template <class T>
T moved_from(T& object) {
  return std::move(object);
}

void set(StyleOptions options) { validate(options); }

std::vector<Misuse> of_weights() {
  return {
      {"no weights", [] { Session(small(), nullptr); }},
      {"no weights for a stylizer", [] { Stylizer(small(), nullptr); }},
      {"weights without layers", [] { use(Weights{}); }},
      {"a filter too short", [] { use(with([](Weights& w) { w.layers[1].filter.resize(7); })); }},
      {"a filter too long", [] { use(with([](Weights& w) { w.layers[0].filter.push_back(0); })); }},
      {"no filter", [] { use(with([](Weights& w) { w.layers[0].filter.clear(); })); }},
      {"a bias too short", [] { use(with([](Weights& w) { w.layers[2].bias.pop_back(); })); }},
      {"no bias", [] { use(with([](Weights& w) { w.layers[2].bias.clear(); })); }},
      {"channels that do not chain", [] { use(with([](Weights& w) { w.layers[1].in_channels = 5; })); }},
      {"no channels", [] { use(with([](Weights& w) { w.layers[0].out_channels = 0; })); }},
      {"negative channels", [] { use(with([](Weights& w) { w.layers[0].out_channels = -4; })); }},
      {"huge channels", [] { use(with([](Weights& w) { w.layers[0].out_channels = kHuge; })); }},
      {"a first layer of another picture",
       [] { use(with([](Weights& w) { w.layers[0].in_channels = 4; })); }},
      {"a layer of no VGG", [] { use(with([](Weights& w) { w.layers[0].name = "dense"; })); }},
      {"layers in another order", [] { use(with([](Weights& w) { w.layers[1].name = "conv3_1"; })); }},
      {"two layers of one name", [] { use(with([](Weights& w) { w.layers[1].name = "conv1_1"; })); }},
      {"a filter that is no number", [] { use(with([](Weights& w) { w.layers[0].filter[3] = kNan; })); }},
      {"an infinite bias", [] { use(with([](Weights& w) { w.layers[0].bias[0] = kInfinity; })); }},
      {"a mean that is no number", [] { use(with([](Weights& w) { w.preprocessing.mean[1] = kNan; })); }},
      {"a scale of 0", [] { use(with([](Weights& w) { w.preprocessing.scale[1] = 0; })); }},
      {"a network that there is not", [] { (void)random_weights("vgg11", 1); }},
      {"a network without a name", [] { (void)random_weights("", 1); }},
      {"a seed that is none", [] { (void)find_weights("random:x"); }},
      {"a file that is not there", [] { (void)load_weights("no such file.h5"); }, ErrorCode::kBadInput},
      {"a file without a name", [] { (void)load_weights(""); }, ErrorCode::kBadInput},
  };
}

std::vector<Misuse> of_renders() {
  const Image &c = content(), &s = styles()[0];
  return {
      {"no content", [&] { render(nullptr, &s); }},
      {"no style picture", [&] { render(&c, nullptr); }},
      {"no styles", [&] { (void)Stylizer(small(), weights()).run(c, {}); }},
      {"a start without a picture",
       [&] {
         Session session(small(), weights());
         Render(session, option([](StyleOptions& o) { o.init = Init::kPicture; }),
                {&c, {{.picture = &s}}, nullptr, {}});
       }},
      {"a blend of another number",
       [&] {
         (void)style_inputs(option([](StyleOptions& o) { o.objective.style_blend = {1, 2}; }).objective, {});
       }},
      {"a negative weight of a style",
       [&] {
         Session session(small(), weights());
         Render(session, small(), {&c, {{.picture = &s, .weight = -1}}, nullptr, {}});
       }},
      {"a mask",
       [&] {
         Session session(small(), weights());
         Render(session, small(), {&c, {{.picture = &s, .mask = &s}}, nullptr, {}});
       }},
      {"a picture before the first step",
       [&] {
         Session session(small(), weights());
         (void)Render(session, small(), {&c, {{.picture = &s}}, nullptr, {}}).picture();
       }},
      {"a checkpoint before the first run", [&] { (void)Stylizer(small(), weights()).checkpoint(); }},
      {"a style of 2^40 times the size",
       [&] {
         Session session(small(), weights());
         Render(session, small(), {&c, {{.picture = &s, .scale = 0x1p40}}, nullptr, {}});
       }},
      {"a style of 1e300 times the size",
       [&] {
         Session session(small(), weights());
         Render(session, small(), {&c, {{.picture = &s, .scale = 1e300}}, nullptr, {}});
       }},
  };
}

std::vector<Misuse> of_sizes() {
  return {
      {"no content's size",
       [] {
         plan({}, {24, 24});
       }},
      {"a negative content",
       [] {
         plan({-5, 24}, {24, 24});
       }},
      {"a content of 2^40 x 2^40",
       [] {
         plan({kHuge, kHuge}, {24, 24});
       }},
      {"a content of 2^36 x 16 as it is",
       [] {
         plan({kHuge / 16, 16}, {24, 24}, 1, 0);
       }},
      {"a style without a size",
       [] {
         plan({24, 24}, {0, 24});
       }},
      {"a style of 2^40 x 2^40",
       [] {
         plan({24, 24}, {kHuge, kHuge});
       }},
      {"a style of a negative size",
       [] {
         plan({24, 24}, {24, INT64_MIN});
       }},
      {"a style's scale of 0",
       [] {
         plan({24, 24}, {24, 24}, 0);
       }},
      {"a style's scale that is no number",
       [] {
         plan({24, 24}, {24, 24}, std::nan(""));
       }},
      {"an infinite style's scale",
       [] {
         plan({24, 24}, {24, 24}, INFINITY);
       }},
      {"a stylizer's plan of nothing", [] { (void)Stylizer(small(), weights()).plan({}, {}); }},
      {"a misfit of an empty plan",
       [] {
         RenderPlan empty;
         empty.device_bytes = 1;
         (void)Session(small(), weights()).misfit(empty, small(), {{24, 24}, {{{24, 24}}}});
       }},
      {"resize to nothing",
       [] {
         (void)resize(content(), {0, 5});
       }},
      {"resize to a negative size",
       [] {
         (void)resize(content(), {5, -5});
       }},
      {"resize to 2^40 x 2^40",
       [] {
         (void)resize(content(), {kHuge, kHuge});
       }},
      {"resize to 2^40 x 1",
       [] {
         (void)resize(content(), {kHuge, 1});
       },
       ErrorCode::kResources},
      {"resize to 1 x 2^40",
       [] {
         (void)resize(content(), {1, kHuge});
       },
       ErrorCode::kResources},
      {"alpha to 2^20 x 2^20",
       [] {
         Image image = random_image(24, 24, 1);
         image.alpha.assign(24 * 24, 1);
         (void)resize_alpha(image, {kHuge / 1024 / 1024, kHuge});
       }},
  };
}

std::vector<Misuse> of_checkpoints() {
  const ErrorCode bad = ErrorCode::kBadInput;
  return {
      {"a scale of -1", [] { resume([](Checkpoint& c) { c.scale = -1; }); }, bad},
      {"a scale of 2^40", [] { resume([](Checkpoint& c) { c.scale = kHuge; }); }, bad},
      {"an iteration of -1", [] { resume([](Checkpoint& c) { c.iteration = -1; }); }, bad},
      {"an iteration of 2^40", [] { resume([](Checkpoint& c) { c.iteration = kHuge; }); }, bad},
      {"seconds that are no number", [] { resume([](Checkpoint& c) { c.seconds = std::nan(""); }); }, bad},
      {"negative seconds", [] { resume([](Checkpoint& c) { c.seconds = -1; }); }, bad},
      {"tensors too short", [] { resume([](Checkpoint& c) { c.tensors[0].data.resize(3); }); }, bad},
      {"no tensors", [] { resume([](Checkpoint& c) { c.tensors.clear(); }); }, bad},
      {"tensors of another shape", [] { resume([](Checkpoint& c) {
                                          c.tensors[0].shape = {-1, -1, 3};
                                        }); },
       bad},
      {"tensors that are no numbers",
       [] {
         resume([](Checkpoint& c) {
           std::fill(c.tensors[0].data.begin(), c.tensors[0].data.end(), std::byte{0xFF});
         });
       },
       bad},
      {"numbers that no optimiser has", [] { resume([](Checkpoint& c) { c.host_state.assign(9, 1e300); }); },
       bad},
      {"losses that there cannot be",
       [] { resume([](Checkpoint& c) { c.best_losses.assign(9, std::nan("")); }); }, bad},
      {"options of nobody", [] { resume([](Checkpoint& c) {
                                   c.options = {{"x", "y"}};
                                 }); }, bad},
      {"inputs of nobody", [] { resume([](Checkpoint& c) { c.inputs.clear(); }); }, bad},
      {"a file that is not there", [] { (void)load_checkpoint("no such checkpoint"); }, bad},
      {"a file without a name", [] { (void)load_checkpoint(""); }, bad},
      {"a place that there is not", [] { save_checkpoint("no such folder/x", {}); }, bad},
  };
}

std::vector<Misuse> of_moves() {
  return {
      {"a render that was moved from",
       [] {
         Session session(small(), weights());
         Render render(session, small(), {&content(), style_inputs({}, styles()), nullptr, {}});
         const Render other = moved_from(render);
         (void)render.step();
       }},
      {"the picture of a render that was moved from",
       [] {
         Session session(small(), weights());
         Render render(session, small(), {&content(), style_inputs({}, styles()), nullptr, {}});
         const Render other = moved_from(render);
         (void)render.picture();
       }},
      {"a stylizer that was moved from",
       [] {
         Stylizer stylizer(small(), weights());
         Stylizer other = moved_from(stylizer);
         (void)stylizer.run(content(), styles());
       }},
      {"the plan of a stylizer that was moved from",
       [] {
         Stylizer stylizer(small(), weights());
         const Stylizer other = moved_from(stylizer);
         (void)stylizer.plan({24, 24}, {});
       }},
      {"a session that was moved from",
       [] {
         Session session(small(), weights());
         const Session other = moved_from(session);
         Render(session, small(), {&content(), style_inputs({}, styles()), nullptr, {}});
       }},
      {"the device of a session that was moved from",
       [] {
         Session session(small(), weights());
         const Session other = moved_from(session);
         (void)session.device_description();
       }},
      {"the plan of a session that was moved from",
       [] {
         Session session(small(), weights());
         const Session other = moved_from(session);
         (void)session.plan(small(), {{24, 24}, {{{24, 24}}}});
       }},
  };
}

std::vector<Misuse> of_options() {
  return {
      {"a preset that there is not", [] { (void)make_preset("x"); }},
      {"an option that there is not",
       [] {
         (void)make_options({{"x", "y"}});
       }},
      {"a value that there is not",
       [] {
         (void)make_options({{"init", "y"}});
       }},
      {"negative iterations", [] { set(option([](StyleOptions& o) { o.iterations = -1; })); }},
      {"iterations of 0", [] { set(option([](StyleOptions& o) { o.iterations = 0; })); }},
      {"a size of 2^40", [] { set(option([](StyleOptions& o) { o.size = kHuge; })); }},
      {"a negative size", [] { set(option([](StyleOptions& o) { o.size = -1; })); }},
      {"a style's scale that is no number",
       [] { set(option([](StyleOptions& o) { o.style_scale = std::nan(""); })); }},
      {"an infinite weight",
       [] { set(option([](StyleOptions& o) { o.objective.style_weight = INFINITY; })); }},
      {"weights of 0",
       [] {
         set(option([](StyleOptions& o) { o.objective.style_weight = o.objective.content_weight = 0; }));
       }},
      {"a start that there is not",
       [] { set(option([](StyleOptions& o) { o.init = static_cast<Init>(77); })); }},
      {"a scaling that there is not",
       [] { set(option([](StyleOptions& o) { o.objective.scaling = static_cast<Scaling>(77); })); }},
      {"a pooling that there is not",
       [] { set(option([](StyleOptions& o) { o.objective.pooling = static_cast<Pooling>(77); })); }},
      {"an optimiser that there is not",
       [] { set(option([](StyleOptions& o) { o.optimizer.kind = static_cast<OptimizerKind>(77); })); }},
      {"a negative number of pairs", [] { set(option([](StyleOptions& o) { o.optimizer.history = -3; })); }},
      {"scales without end", [] { set(option([](StyleOptions& o) { o.num_scales = 1 << 30; })); }},
      {"a negative budget", [] { set(option([](StyleOptions& o) { o.memory_bytes = -5; })); }},
      {"a layer of another network",
       [] {
         Session(small(), weights()).check(option([](StyleOptions& o) {
           o.objective.style_layers = {{"relu9_9", 1}};
         }));
       }},
      {"a device that there is not",
       [] { Session(option([](StyleOptions& o) { o.device = "x"; }), weights()); }},
      {"a precision that there is not",
       [] { Session(option([](StyleOptions& o) { o.precision = "x"; }), weights()); }},
      {"negative threads", [] { Session(option([](StyleOptions& o) { o.threads = -1; }), weights()); }},
      {"threads without number",
       [] { Session(option([](StyleOptions& o) { o.threads = 1 << 30; }), weights()); }},
  };
}

std::vector<Misuse> of_files() {
  const ErrorCode bad = ErrorCode::kBadInput;
  const auto write = [](const WriteOptions& options) {
    write_image(place(), random_image(24, 24, 1), options);
  };
  return {
      {"no bytes", [] { (void)decode_image(nullptr, 0, "x"); }, bad},
      {"bytes at a null pointer", [] { (void)decode_image(nullptr, 100, "x"); }},
      {"a header at a null pointer", [] { (void)probe_image(nullptr, 100, "x"); }},
      {"a picture that is not there", [] { (void)read_image("no such picture.png"); }, bad},
      {"a picture without a name", [] { (void)read_image(""); }, bad},
      {"a header without a name", [] { (void)probe_image(""); }, bad},
      {"a picture to a suffix that there is not", [] { write_image("x.gif", content()); }},
      {"a picture to a folder that there is not", [] { write_image("no such folder/x.png", content()); },
       bad},
      {"12 bits", [=] { write({.bits = 12, .metadata = {}}); }},
      {"a quality of 0", [=] { write({.quality = 0, .metadata = {}}); }},
      {"a quality of 101", [=] { write({.quality = 101, .metadata = {}}); }},
      {"the alpha of a suffix that there is not", [] { (void)output_format_keeps_alpha("x"); }},
      {"the bits of a suffix that there is not", [] { (void)output_format_keeps_16_bits(""); }},
  };
}

}  // namespace

TEST_CASE("what a caller gets wrong is refused before anything is touched") {
  for (const auto& table :
       {of_weights(), of_renders(), of_sizes(), of_checkpoints(), of_moves(), of_options(), of_files()}) {
    for (const Misuse& misuse : table) require_refused(misuse);
  }
}
