#include "engine/network/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace impasto {

std::size_t assign_offsets(std::vector<Lifetime>& tensors, std::size_t alignment) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return tensors[a].bytes > tensors[b].bytes; });
  std::vector<std::size_t> placed;  // in order of offset
  std::size_t total = 0;
  for (const std::size_t i : order) {
    Lifetime& tensor = tensors[i];
    std::size_t offset = 0;
    for (const std::size_t j : placed) {
      const Lifetime& other = tensors[j];
      if (other.last < tensor.first || tensor.last < other.first) continue;
      if (offset + tensor.bytes <= other.offset) break;
      offset = std::max(offset, align_up(other.offset + other.bytes, alignment));
    }
    tensor.offset = offset;
    total = std::max(total, offset + tensor.bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), i,
                         [&](std::size_t a, std::size_t b) { return tensors[a].offset < tensors[b].offset; }),
        i);
  }
  return align_up(total, alignment);
}

NetworkPlan plan_network(const NodeGraph& graph, Shape picture, Pass pass, const BackendTraits& traits) {
  const int n = static_cast<int>(graph.nodes.size());
  const bool backward = pass == Pass::kForwardBackward;
  NetworkPlan plan;
  plan.picture = picture;
  const std::vector<Shape> shapes = graph.shapes(picture);
  const Shape input{picture.h, picture.w, traits.input_channels};

  std::vector<Lifetime> lifetimes;
  std::vector<PlannedTensor*> planned;
  const auto add = [&](PlannedTensor& tensor, Shape shape, DType dtype, int first, int last) {
    tensor = {shape, dtype, 0};
    planned.push_back(&tensor);
    lifetimes.push_back({static_cast<std::size_t>(shape.elements()) * size_of(dtype), first, last, 0});
  };

  plan.output.resize(static_cast<std::size_t>(n));
  plan.gradient.resize(backward ? static_cast<std::size_t>(n) : 0);
  if (!backward) add(plan.staging, picture, traits.real, -1, 0);
  add(plan.input, input, traits.activation, 0, 0);
  for (int i = 0; i < n; ++i) {
    const Node& node = graph.nodes[static_cast<std::size_t>(i)];
    const auto k = static_cast<std::size_t>(i);
    const bool next_is_pool = i + 1 < n && graph.nodes[k + 1].kind == NodeKind::kPool;
    const bool needed_backward = backward && (node.kind != NodeKind::kPool || next_is_pool || node.tap >= 0);
    const int last = needed_backward ? (i + 1 < n ? 2 * n - (i + 1) : n) : std::min(i + 1, n);
    add(plan.output[k], shapes[k], traits.activation, i, last);
    if (backward)
      add(plan.gradient[k], shapes[k], traits.activation, i + 1 < n ? 2 * n - (i + 1) : n, 2 * n - i);

    const Shape in = i == 0 ? input : shapes[k - 1];
    if (node.conv >= 0) {
      plan.workspace_bytes =
          std::max(plan.workspace_bytes, traits.conv_workspace_bytes(in, node.channels, {}));
      plan.flops += 2.0 * 9 * static_cast<double>(i == 0 ? picture.c : in.c) *
                    static_cast<double>(shapes[k].elements()) * (backward ? 2 : 1);
    }
    if (node.tap >= 0) {
      plan.workspace_bytes = std::max(plan.workspace_bytes, traits.gram_workspace_bytes(shapes[k]));
    }
  }
  if (backward) add(plan.dinput, input, traits.activation, 2 * n, 2 * n + 1);
  plan.arena_bytes = assign_offsets(lifetimes, traits.alignment);
  for (std::size_t i = 0; i < planned.size(); ++i) planned[i]->offset = lifetimes[i].offset;
  return plan;
}

}  // namespace impasto
