#pragma once
// The convolutions of a network on a device: what is prepared of them once, before memory is planned and
// used.
#include <memory>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/network/program.h"
#include "engine/network/vgg.h"
#include "engine/network/weights.h"

namespace impasto {

/// By Weights::layers index; null where the graph does not reach. All networks on devices of one
/// traits().filter_format may share them.
using ConvFilters = std::vector<std::shared_ptr<const ConvFilter>>;

/// Prepares the filters of every convolution in the graph that `filters` does not have yet. The weights are
/// not kept. Preprocessing::scale is folded into the first layer, so that the picture is always in 0..255
/// units less the mean. Error(kUsage) for a layer whose numbers have been let go.
void prepare_conv_filters(Backend& backend, const Weights& weights, const NodeGraph& graph,
                          ConvFilters& filters);
/// The same from none.
[[nodiscard]] ConvFilters make_conv_filters(Backend& backend, const Weights& weights, const NodeGraph& graph);

/// Backend::prepare_conv for every convolution of a program: before plan_memory().
void prepare_convolutions(Backend& backend, const Program& program);

}  // namespace impasto
