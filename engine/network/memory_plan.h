#pragma once
// Where every feature map and gradient of a program lies in one arena, known before anything is allocated.
// Pure: no backend is touched.
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/network/program.h"

namespace impasto {

/// Bytes that must stay untouched from step `first` to step `last`, both included.
struct Lifetime {
  std::size_t bytes = 0;
  int first = 0, last = 0;
  std::size_t offset = 0;  ///< assigned
  /// Where they may change at times between: the times when they may not, in order. Empty: all of it.
  std::vector<std::pair<int, int>> spans{};
};

/// Assigns offsets (multiples of alignment) so that tensors alive in one step never overlap: the largest
/// first, each at the lowest place that is free for its whole life. Returns the bytes of the arena.
std::size_t assign_offsets(std::vector<Lifetime>& tensors, std::size_t alignment);

/// A program with a place for each of its tensors.
struct NetworkPlan {
  Program program;
  std::vector<std::size_t> offsets;  ///< of each tensor in the arena; of an external one 0
  std::size_t arena_bytes = 0;
  std::size_t workspace_bytes = 0;  ///< the largest of any convolution's and any tap's Gram matrix

  [[nodiscard]] std::size_t bytes() const { return arena_bytes + workspace_bytes; }
};

/// Every tensor lives from the first step that names it to the last, a local one so in each strip.
[[nodiscard]] NetworkPlan plan_memory(Program program, const BackendTraits& traits);

}  // namespace impasto
