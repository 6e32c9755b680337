#pragma once
// Where every feature map and gradient lies in one arena, known before anything is allocated. Pure: no
// backend is touched.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/network/vgg.h"

namespace impasto {

/// Bytes that must stay untouched from step `first` to step `last`, both included.
struct Lifetime {
  std::size_t bytes = 0;
  int first = 0, last = 0;
  std::size_t offset = 0;  ///< assigned
};

/// Assigns offsets (multiples of alignment) so that tensors alive in one step never overlap: the largest
/// first, each at the lowest place that is free for its whole life. Returns the bytes of the arena.
std::size_t assign_offsets(std::vector<Lifetime>& tensors, std::size_t alignment);

[[nodiscard]] constexpr std::size_t align_up(std::size_t bytes, std::size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

enum class Pass : std::uint8_t {
  kForward,          ///< feature maps die as soon as the next layer and the tap have read them
  kForwardBackward,  ///< they live until backward has used them as ReLU mask, pooling choice or tap
};

struct PlannedTensor {
  Shape shape;
  DType dtype = DType::kFloat32;
  std::size_t offset = 0;
};

struct NetworkPlan {
  Shape picture;
  PlannedTensor staging;                ///< (h,w,3) real: room for a picture, kForward only
  PlannedTensor input, dinput;          ///< the picture as the first layer reads it, and its gradient
  std::vector<PlannedTensor> output;    ///< one a node
  std::vector<PlannedTensor> gradient;  ///< one a node; kForwardBackward only
  std::size_t arena_bytes = 0;
  std::size_t workspace_bytes = 0;  ///< the largest of any convolution's and any tap's Gram matrix
  double flops = 0;                 ///< of the convolutions; both directions if planned
};

/// Steps: forward of node i is step i; the deepest tap's gradient is written in step n; backward of node i is
/// step 2n - i and writes the gradient of node i - 1.
[[nodiscard]] NetworkPlan plan_network(const NodeGraph& graph, Shape picture, Pass pass,
                                       const BackendTraits& traits);

}  // namespace impasto
