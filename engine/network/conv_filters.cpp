#include "engine/network/conv_filters.h"

#include "engine/core/message.h"

namespace impasto {
namespace {

/// The first layer reads the picture: scale folded in, channels padded with zeros to what the backend wants.
std::vector<float> first_filter(const Weights& weights, std::int64_t input_channels) {
  const ConvWeights& layer = weights.layers.front();
  std::vector<float> filter(static_cast<std::size_t>(9 * input_channels * layer.out_channels), 0.0F);
  for (std::int64_t t = 0; t < 9; ++t) {
    for (std::int64_t c = 0; c < layer.in_channels; ++c) {
      const double scale = weights.preprocessing.scale[static_cast<std::size_t>(c)];
      for (std::int64_t k = 0; k < layer.out_channels; ++k) {
        filter[static_cast<std::size_t>((t * input_channels + c) * layer.out_channels + k)] =
            static_cast<float>(
                scale *
                layer.filter[static_cast<std::size_t>((t * layer.in_channels + c) * layer.out_channels + k)]);
      }
    }
  }
  return filter;
}

}  // namespace

void prepare_conv_filters(Backend& backend, const Weights& weights, const NodeGraph& graph,
                          ConvFilters& filters) {
  filters.resize(weights.layers.size());
  const std::int64_t input_channels = backend.traits().input_channels;
  for (const Node& node : graph.nodes) {
    if (node.conv < 0) continue;
    const auto index = static_cast<std::size_t>(node.conv);
    if (filters[index]) continue;
    const ConvWeights& layer = weights.layers[index];
    if (layer.filter.empty()) {
      throw make_error(ErrorCode::kUsage, "layers: expected none beyond those of the first render, found {}",
                       layer.name);
    }
    if (index > 0) {
      filters[index] =
          backend.make_conv_filter({layer.in_channels, layer.out_channels, layer.filter, layer.bias});
      continue;
    }
    const std::vector<float> filter = first_filter(weights, input_channels);
    filters[index] = backend.make_conv_filter({input_channels, layer.out_channels, filter, layer.bias});
  }
}

ConvFilters make_conv_filters(Backend& backend, const Weights& weights, const NodeGraph& graph) {
  ConvFilters filters;
  prepare_conv_filters(backend, weights, graph, filters);
  return filters;
}

void prepare_convolutions(Backend& backend, const Program& program) {
  for (const Step& step : program.steps) {
    if (Program::is_convolution(step)) backend.prepare_conv(program.conv_task(step));
  }
}

}  // namespace impasto
