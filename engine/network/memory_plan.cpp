#include "engine/network/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

namespace impasto {
namespace {

bool overlap(const Lifetime& a, const Lifetime& b) {
  if (a.last < b.first || b.last < a.first) return false;
  using Spans = std::span<const std::pair<int, int>>;
  const std::pair whole_a{a.first, a.last}, whole_b{b.first, b.last};
  const Spans x = a.spans.empty() ? Spans(&whole_a, 1) : Spans(a.spans);
  const Spans y = b.spans.empty() ? Spans(&whole_b, 1) : Spans(b.spans);
  for (auto i = x.begin(), j = y.begin(); i != x.end() && j != y.end();) {
    if (i->first <= j->second && j->first <= i->second) return true;
    i->second < j->second ? ++i : ++j;
  }
  return false;
}

/// Step `i` of this strip names it.
void extend(Lifetime& life, int i, bool local, bool new_strip) {
  if (local && new_strip) life.spans.emplace_back(i, i);
  if (local) life.spans.back().second = i;
  if (life.first < 0) life.first = i;
  life.last = i;
}

/// What the steps need of the workspace, the largest; and beside that.
class WorkspaceSize {
 public:
  void take(const Program& program, const Step& step, const BackendTraits& traits) {
    if (Program::is_convolution(step)) {
      raise(shared_, traits.conv_workspace_bytes(program.conv_task(step)));
    } else if (step.op == Op::kTapFeatures || step.op == Op::kTapGradient) {
      const bool apart = step.op == Op::kTapFeatures && step.tap.whole() && traits.style_losses_beside;
      raise(apart ? apart_ : shared_, traits.gram_workspace_bytes(program.shape(step.in)));
    }
  }
  [[nodiscard]] std::size_t bytes(std::size_t alignment) const {
    return apart_ == 0 ? shared_ : align_up(shared_, alignment) + align_up(apart_, alignment);
  }

 private:
  static void raise(std::size_t& most, std::size_t bytes) { most = std::max(most, bytes); }
  std::size_t shared_ = 0, apart_ = 0;
};

}  // namespace

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
      if (!overlap(tensor, other)) continue;
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
  std::vector<Lifetime> lifetimes(tensors.size(), {.first = -1, .last = -1});
  std::vector<int> strips(tensors.size(), -1);  // the last one that named a tensor
  WorkspaceSize workspace;
  for (std::size_t i = 0; i < plan.program.steps.size(); ++i) {
    const Step& step = plan.program.steps[i];
    for (const Step::Operand& operand : step.operands()) {
      if (!operand) continue;
      const auto t = static_cast<std::size_t>(operand.tensor);
      extend(lifetimes[t], static_cast<int>(i), tensors[t].local, strips[t] != step.strip);
      strips[t] = step.strip;
    }
    workspace.take(plan.program, step, traits);
  }
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    if (tensors[t].external) continue;
    lifetimes[t].bytes = static_cast<std::size_t>(tensors[t].shape.elements()) * size_of(tensors[t].dtype);
  }
  plan.workspace_bytes = workspace.bytes(traits.alignment);
  plan.arena_bytes = assign_offsets(lifetimes, traits.alignment);
  for (const Lifetime& life : lifetimes) plan.offsets.push_back(life.offset);
  return plan;
}

}  // namespace impasto
