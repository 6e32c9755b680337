#include "engine/network/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

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

NetworkPlan plan_memory(Program program, const BackendTraits& traits) {
  NetworkPlan plan;
  plan.program = std::move(program);
  const std::vector<ProgramTensor>& tensors = plan.program.tensors;
  std::vector<Lifetime> lifetimes(tensors.size(), {.bytes = 0, .first = -1, .last = -1});
  for (std::size_t i = 0; i < plan.program.steps.size(); ++i) {
    const Step& step = plan.program.steps[i];
    for (const Step::Operand& operand : {step.out, step.in, step.features}) {
      if (!operand) continue;
      Lifetime& life = lifetimes[static_cast<std::size_t>(operand.tensor)];
      life.last = static_cast<int>(i);
      if (life.first < 0) life.first = life.last;
    }
    std::size_t workspace = 0;
    if (Program::is_convolution(step)) {
      workspace = traits.conv_workspace_bytes(plan.program.layer_input(step),
                                              plan.program.layer_output(step).c, step.padding);
    } else if (step.op == Op::kTapFeatures) {
      workspace = traits.gram_workspace_bytes(plan.program.shape(step.in));
    }
    plan.workspace_bytes = std::max(plan.workspace_bytes, workspace);
  }
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    if (tensors[t].external) continue;
    lifetimes[t].bytes = static_cast<std::size_t>(tensors[t].shape.elements()) * size_of(tensors[t].dtype);
  }
  plan.arena_bytes = assign_offsets(lifetimes, traits.alignment);
  for (const Lifetime& life : lifetimes) plan.offsets.push_back(life.offset);
  return plan;
}

}  // namespace impasto
