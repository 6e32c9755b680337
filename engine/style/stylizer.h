#pragma once
// A photograph in the style of one or more paintings: the whole render in one call. For many renders, or for
// one step by step: Session and Render.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/size.h"
#include "engine/image/image.h"
#include "engine/network/weights.h"
#include "engine/options/options.h"
#include "engine/style/checkpoint.h"
#include "engine/style/render.h"
#include "engine/style/render_plan.h"

namespace impasto {

enum class Action : std::uint8_t { kContinue, kStop };

struct RunHooks {
  /// After every evaluation. kStop ends the run after this iteration; the result is the picture so far.
  /// picture() and checkpoint() of the Stylizer may be called inside; Render::step says which state they
  /// show.
  std::function<Action(const Progress&)> progress;
  std::function<void(const std::string&)> warn;  ///< one line each
  const Checkpoint* resume = nullptr;            ///< must come from the same options, pictures and weights
  const Image* start = nullptr;                  ///< the picture of Init::kPicture
  int exact_every = 1;                           ///< RenderHooks::exact_every
  bool resume_inexact = false;                   ///< RenderInput::resume_inexact
};

struct RenderResult {
  Image image;
  bool stopped = false;           ///< by the progress hook
  std::size_t counted_bytes = 0;  ///< the device's peak, as counted
  std::vector<std::string> warnings;
};

/// Neither thread-safe nor global: several may live in one process, each used by one thread at a time.
class Stylizer {
 public:
  /// Opens the device. Error for options that make no sense, an unknown layer, no such device.
  Stylizer(StyleOptions options, std::shared_ptr<const Weights> weights);
  ~Stylizer();
  Stylizer(Stylizer&&) noexcept;

  /// Sizes in, bytes out; with autotune it times the convolutions of these sizes first. Error(kResources) if
  /// it does not fit the budget.
  [[nodiscard]] RenderPlan plan(PixelSize content, std::span<const PixelSize> styles) const;

  /// Renders. Error(kResources) before the first iteration if memory will not do. A loss that is not finite
  /// ends the run with Error(kBadInput); picture() then is the last good one.
  [[nodiscard]] RenderResult run(const Image& content, std::span<const Image> styles,
                                 const RunHooks& hooks = {});

  /// The picture so far, at the current scale's size; only during run() or after it, until the next begins.
  [[nodiscard]] Image picture() const;
  [[nodiscard]] Checkpoint checkpoint() const;

  [[nodiscard]] const StyleOptions& options() const;
  /// Session's, of the same names.
  [[nodiscard]] std::string device_description() const;
  [[nodiscard]] std::string device_note() const;
  [[nodiscard]] std::string device_activity() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace impasto
