#pragma once
// What many renders share: a device that is opened once, the network's filters on it, the device's choices,
// and the statistics of style pictures.
#include <cstddef>
#include <memory>
#include <string>

#include "engine/network/weights.h"
#include "engine/options/options.h"
#include "engine/style/render_plan.h"

namespace impasto {

class Backend;

struct SessionOptions {
  /// Keeps the weights on the host, so that a later render may need convolutions that none before it did.
  /// Else they go when the first render's filters have been prepared.
  bool keep_weights = true;
  /// Bytes of style statistics that are kept for later renders of the same style.
  std::size_t target_cache_bytes = std::size_t{64} << 20;

  /// For a single render: nothing is kept that only another one would use.
  [[nodiscard]] static constexpr SessionOptions one_render() { return {false, 0}; }
};

/// Neither thread-safe nor global: several may live in one process, siblings too, each used, with its
/// renders, by one thread at a time.
class Session {
 public:
  /// Opens the device. Of `machine`, device, precision, threads and autotune are read; renders of this
  /// session go by these. Error(kUsage, kResources) if there is no such device.
  Session(const StyleOptions& machine, std::shared_ptr<const Weights> weights, SessionOptions options = {});
  ~Session();
  Session(Session&&) noexcept;

  /// Another one on the same device, for renders of another thread: it has a backend (on a GPU: a stream) of
  /// its own, and shares weights, prepared filters and style statistics. What the renders of one have counts
  /// in the budget of the others'.
  [[nodiscard]] Session sibling() const;

  /// Error(kUsage) for options that make no sense and for layers that the network does not have.
  void check(const StyleOptions& options) const;
  /// Sizes in, bytes out, whether it fits (RenderPlan::fits) or not; with autotune it times the convolutions
  /// of these sizes first. Without a budget in the options it is what other renders have left, and `released`
  /// bytes of these. Error(kUsage) as of check().
  [[nodiscard]] RenderPlan plan(const StyleOptions& options, const RenderSizes& sizes,
                                std::size_t released = 0);
  /// One line on a plan that does not fit, with the largest size that would; empty for one that fits.
  [[nodiscard]] std::string misfit(const RenderPlan& plan, const StyleOptions& options,
                                   const RenderSizes& sizes) const;

  /// The seam (engine/backend/backend.h, which is not installed).
  [[nodiscard]] Backend& backend();
  /// The most that was allocated on the device at one time, as counted.
  [[nodiscard]] std::size_t peak_device_bytes() const;
  /// What of a style picture was measured so far, over all renders, siblings' too: one for each picture, size
  /// and set of layers, unless it left the cache.
  [[nodiscard]] std::size_t measured_styles() const;
  [[nodiscard]] std::string device_description() const;
  /// One line where `auto` could not use a GPU that seems to be there, with the reason, or where the device
  /// has fewer threads than were asked for; else empty.
  [[nodiscard]] std::string device_note() const;
  /// One line on how work was given to the device, for people; may be empty.
  [[nodiscard]] std::string device_activity() const;

 private:
  friend class Render;  // by session_impl.h
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// At which sizes a render of these sizes reads its content, then each style picture: one for each scale.
/// Without planning. Error(kUsage) as of plan().
[[nodiscard]] std::vector<std::vector<PixelSize>> picture_sizes(const StyleOptions& options,
                                                                const Weights& weights,
                                                                const RenderSizes& sizes);

}  // namespace impasto
