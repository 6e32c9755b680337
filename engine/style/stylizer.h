#pragma once
// A photograph in the style of one or more paintings: the whole render, in memory.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/size.h"
#include "engine/image/image.h"
#include "engine/network/weights.h"
#include "engine/options/options.h"
#include "engine/style/checkpoint.h"

namespace impasto {

/// One evaluation of the objective, at any scale.
struct Progress {
  int scale = 0, num_scales = 1;
  int iteration = 0;   ///< at this scale, from 1; the first is the loss of the starting picture
  int iterations = 0;  ///< at this scale; with a tolerance at most so many
  PixelSize size;      ///< of the picture at this scale
  double loss = 0;     ///< J
  std::vector<std::pair<std::string, double>> content, style;  ///< unweighted content_l and style_l
  double tv = 0;                                               ///< unweighted
  double seconds = 0;       ///< since the optimisation began (resumed runs included)
  bool ends_scale = false;  ///< its last: all iterations are done, or it has converged (convergence.h)
};

enum class Action : std::uint8_t { kContinue, kStop };

struct RunHooks {
  /// After every evaluation. kStop ends the run after this iteration; the result is the picture so far.
  /// picture() and checkpoint() of the Stylizer may be called inside. So that a GPU never waits for the host,
  /// it is told of an iteration when the next one is already queued (never with a tolerance, which may end
  /// the scale), and both then show the state after that one; where the iteration's number over all scales is
  /// a multiple of `exact_every` (0: nowhere but at a scale's end) they show its own.
  std::function<Action(const Progress&)> progress;
  std::function<void(const std::string&)> warn;  ///< one line each
  const Checkpoint* resume = nullptr;            ///< must come from the same options, pictures and weights
  const Image* start = nullptr;                  ///< the picture of Init::kPicture
  int exact_every = 1;                           ///< see progress
};

struct ScalePlan {
  int iterations = 0;  ///< evaluations of loss and gradient, at most (StyleOptions::tolerance)
  PixelSize size;
  std::vector<PixelSize> style_sizes;  ///< of each style picture
  std::size_t activation_bytes = 0;    ///< feature maps and their gradients, at their offsets in one arena
  std::size_t workspace_bytes = 0;
  std::size_t target_bytes = 0;     ///< content features, style Gram matrices, loss slots
  std::size_t optimizer_bytes = 0;  ///< picture, gradient, history
  double flops = 0;  ///< of one iteration: convolutions and Gram matrices, forward and backward
};

/// What a render will take, known before the first allocation.
struct RenderPlan {
  std::vector<ScalePlan> scales;
  std::string device, precision;
  std::size_t filter_bytes = 0;  ///< prepared filters, once
  std::size_t fixed_bytes = 0;   ///< the backend's own
  std::size_t device_bytes = 0;  ///< peak on the device: filters + fixed + the largest scale
  std::size_t host_bytes = 0;    ///< pictures and weights beside it (an estimate, stated so)
  std::int64_t budget_bytes = 0;
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

  /// The picture so far, at the current scale's size; only during run() or after it.
  [[nodiscard]] Image picture() const;
  [[nodiscard]] Checkpoint checkpoint() const;

  [[nodiscard]] const StyleOptions& options() const;
  [[nodiscard]] std::string device_description() const;
  /// One line where `auto` could not use a GPU that seems to be there, with the reason; else empty.
  [[nodiscard]] std::string device_note() const;
  /// One line on how work was given to the device, for people; may be empty.
  [[nodiscard]] std::string device_activity() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace impasto
