#include "engine/style/stylizer.h"

#include <optional>
#include <utility>

#include "engine/core/message.h"
#include "engine/style/present.h"
#include "engine/style/session.h"

namespace impasto {

struct Stylizer::Impl {
  Impl(StyleOptions how, Session&& in) : options(std::move(how)), session(std::move(in)) {}

  StyleOptions options;
  Session session;
  std::optional<Render> render;  // the last one, for picture() and checkpoint()

  [[nodiscard]] const Render& last(const char* asked) const {
    if (render) return *render;
    throw make_error(ErrorCode::kUsage, "{}: nothing has been rendered yet", asked);
  }
};

Stylizer::Stylizer(StyleOptions options, std::shared_ptr<const Weights> weights) {
  validate(options);
  // Every render has the same layers, and mostly there is but one.
  Session session(options, std::move(weights), SessionOptions::one_render());
  session.check(options);
  impl_ = std::make_unique<Impl>(std::move(options), std::move(session));
}

Stylizer::~Stylizer() = default;
Stylizer::Stylizer(Stylizer&&) noexcept = default;

RenderPlan Stylizer::plan(PixelSize content, std::span<const PixelSize> styles) const {
  RenderSizes sizes{content, {}};
  for (const PixelSize& style : styles) sizes.styles.push_back({style});
  Impl& s = present(impl_, "stylizer");
  // The last render's memory goes before the next one's is taken.
  const std::size_t released = s.render ? s.render->plan().arena_bytes() : 0;
  RenderPlan plan = s.session.plan(s.options, sizes, released);
  if (plan.fits()) return plan;
  throw Error(ErrorCode::kResources, s.session.misfit(plan, s.options, sizes));
}

RenderResult Stylizer::run(const Image& content, std::span<const Image> styles, const RunHooks& hooks) {
  Impl& s = present(impl_, "stylizer");
  RenderResult result;
  const auto warn = [&](const std::string& message) {
    result.warnings.push_back(message);
    if (hooks.warn) hooks.warn(message);
  };
  RenderInput input{&content, style_inputs(s.options.objective, styles), hooks.start, {}};
  input.resume_inexact = hooks.resume_inexact;
  // Borrowed: it is the caller's until run() returns.
  if (hooks.resume != nullptr) input.resume = {std::shared_ptr<void>(), hooks.resume};

  s.render.reset();  // and its memory, before the next asks for its own
  Render& render =
      s.render.emplace(s.session, s.options, std::move(input), RenderHooks{warn, hooks.exact_every});
  while (render.step()) {
    if (!hooks.progress || hooks.progress(render.progress()) != Action::kStop) continue;
    result.stopped = true;
    render.stop();
  }
  result.image = render.picture();
  result.counted_bytes = s.session.peak_device_bytes();
  return result;
}

Image Stylizer::picture() const { return present(impl_, "stylizer").last("picture").picture(); }
Checkpoint Stylizer::checkpoint() const { return present(impl_, "stylizer").last("checkpoint").checkpoint(); }

const StyleOptions& Stylizer::options() const { return present(impl_, "stylizer").options; }
std::string Stylizer::device_note() const { return present(impl_, "stylizer").session.device_note(); }
std::string Stylizer::device_activity() const { return present(impl_, "stylizer").session.device_activity(); }
std::string Stylizer::device_description() const {
  return present(impl_, "stylizer").session.device_description();
}

}  // namespace impasto
