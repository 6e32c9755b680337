#pragma once
// Of all ways through the network in strips, the one of least work that fits into the memory there is. Pure:
// no backend is touched.
#include <cstddef>
#include <string>

#include "engine/network/memory_plan.h"
#include "engine/network/program.h"

namespace impasto {

/// Goes through the network at once where that fits; else in the segments and strips of least work that fit;
/// where none do, in those of least memory. `bytes`: for NetworkPlan::bytes(). Work is counted in
/// convolutions (convolution_flops).
[[nodiscard]] Segments choose_segments(const NodeGraph& graph, const ProgramTask& task,
                                       const BackendTraits& traits, std::size_t bytes);

/// The most strips there can be: of one row, with every pool kept.
[[nodiscard]] Segments finest_segments(const NodeGraph& graph, const ProgramTask& task);

/// "5:0,12:8", each segment's last node and rows: the last bits of what a program gives hang on them.
[[nodiscard]] std::string to_text(const Segments& segments);

/// "at once"; "layers to pool2 in 8 strips, to relu5_1 at once".
[[nodiscard]] std::string describe(const NodeGraph& graph, Shape picture, const Segments& segments);

}  // namespace impasto
