#pragma once
// The inside of a Session, for its renders.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "engine/backend/backend.h"
#include "engine/backend/devices.h"
#include "engine/network/conv_filters.h"
#include "engine/style/checkpoint.h"
#include "engine/style/planning.h"
#include "engine/style/session.h"
#include "engine/style/targets.h"

namespace impasto {

/// What sibling sessions have in common, each in its thread.
struct Siblings {
  explicit Siblings(std::size_t target_cache_bytes)
      : targets(std::make_shared<TargetCache>(target_cache_bytes)) {}

  std::mutex preparing;  // of `filters`
  ConvFilters filters;
  const std::shared_ptr<TargetCache> targets;
  std::atomic<std::size_t> measured_styles = 0;
  std::atomic<std::size_t> in_use = 0;  // bytes of the arenas that their renders have or will have
};

struct Session::Impl {
  SessionOptions options;
  BackendOptions machine;
  std::shared_ptr<const Weights> weights;  // without filters once they have gone (SessionOptions)
  std::unique_ptr<Backend> backend;
  std::string device_note;
  // What lives on the backend must go before it.
  ConvFilters filters;  // of the siblings', those that this one was asked for
  std::shared_ptr<Siblings> siblings;
  std::shared_ptr<TargetCache> targets;  // the siblings', or its own while a checkpoint's choices stand
  int num_renders = 0;                   // that there are now

  /// The device's choices for one render while it is planned: a checkpoint's, beside those that stand for
  /// renders that there are; where there is none, nothing stands. Taken back unless they are kept.
  class Choosing {
   public:
    /// Error as of Tuning::begin and recorded_tuning.
    Choosing(Impl& session, const Checkpoint* resume);
    ~Choosing();
    Choosing(const Choosing&) = delete;
    Choosing& operator=(const Choosing&) = delete;
    /// From here on they stand. Their text, for checkpoints.
    [[nodiscard]] std::string keep();

   private:
    Impl& session_;
    Tuning* tuning_;  // null: a device without choices, or kept
    bool foreign_;
  };

  /// The network up to the objective's taps. Error(kUsage) for an unknown layer, and where there is none.
  [[nodiscard]] NodeGraph graph(const ObjectiveOptions& objective) const;
  /// While Choosing. `released`: of what is in use; `ways`: as in Beside.
  [[nodiscard]] PlannedRender plan(const StyleOptions& render, const NodeGraph& graph,
                                   const RenderSizes& sizes, std::size_t released = 0,
                                   std::vector<ScaleWays> ways = {});
  /// Of a style picture, by TargetCache's key.
  [[nodiscard]] std::shared_ptr<const StyleTargets> targets_for(const std::string& key,
                                                                const std::function<StyleTargets()>& make);
  /// Those of the graph; what no render before needed is prepared now. Error(kUsage) if the weights have
  /// gone.
  [[nodiscard]] const ConvFilters& filters_for(const NodeGraph& graph);
};

}  // namespace impasto
