#pragma once
// The inside of a Session, for its renders.
#include <memory>
#include <string>

#include "engine/backend/backend.h"
#include "engine/network/conv_filters.h"
#include "engine/style/checkpoint.h"
#include "engine/style/planning.h"
#include "engine/style/session.h"
#include "engine/style/targets.h"

namespace impasto {

struct Session::Impl {
  SessionOptions options;
  std::shared_ptr<const Weights> weights;  // without filters once they have gone (SessionOptions)
  std::unique_ptr<Backend> backend;
  std::string device_note;
  // What lives on the backend must go before it.
  ConvFilters filters;
  TargetCache targets{0};
  int num_renders = 0;           // that there are now
  std::size_t in_use = 0;        // bytes of the arenas that they have or will have
  bool foreign_choices = false;  // the device's are a checkpoint's

  /// The network up to the objective's taps. Error(kUsage) for an unknown layer, and where there is none.
  [[nodiscard]] NodeGraph graph(const ObjectiveOptions& objective) const;
  [[nodiscard]] PlannedRender plan(const StyleOptions& render, const NodeGraph& graph,
                                   const RenderSizes& sizes);
  /// What the device chooses by from here on, before a render is planned: what its checkpoint says, beside
  /// what renders that there are go by. Error as of add_tuning.
  void begin_choices(const Checkpoint* resume);
  /// Those of the graph; what no render before needed is prepared now. Error(kUsage) if the weights have
  /// gone.
  [[nodiscard]] const ConvFilters& filters_for(const NodeGraph& graph);
};

}  // namespace impasto
