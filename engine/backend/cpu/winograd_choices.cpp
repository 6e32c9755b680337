#include "engine/backend/cpu/winograd_choices.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <vector>

#include "engine/core/error.h"

namespace impasto {
namespace {

using cpu::ConvProblem;
using cpu::WinogradChoice;

constexpr int kTimedRuns = 3;
constexpr double kHopeless = 1.5;  // so many times the best: no further runs

/// m = 0 where the text is no choice.
WinogradChoice parse(const std::string& text) {
  WinogradChoice choice;
  char schedule[8] = {};
  long long block = 0, part = 0;
  char rest = 0;
  const int found =
      std::sscanf(text.c_str(), "F%d %7s %lld %lld%c", &choice.m, schedule, &block, &part, &rest);
  const bool own = std::string(schedule) == "own";
  const bool known = choice.m == 2 || choice.m == 4 || choice.m == 6;
  if (found != 4 || !known || (!own && std::string(schedule) != "shared") || block < 1 || block > 4096 ||
      part < 1 || part > 4096)
    return {};
  choice.own_blocks = own;
  choice.block = block;
  choice.part = part;
  return choice;
}

}  // namespace

WinogradKey winograd_key(const ConvTask& task) {
  const Shape &x = task.input, y = task.output();
  return is_forward(task.op) ? WinogradKey{y.h, y.w, x.c, y.c, false} : WinogradKey{x.h, x.w, y.c, x.c, true};
}

std::string to_string(const WinogradKey& key) {
  char text[128];
  std::snprintf(text, sizeof text, "%s %lldx%lld %lld to %lld", key.flipped ? "backward" : "forward",
                static_cast<long long>(key.out_w), static_cast<long long>(key.out_h),
                static_cast<long long>(key.in_c), static_cast<long long>(key.out_c));
  return text;
}

WinogradChoices::WinogradChoices(const cpu::Kernels& kernels, cpu::ThreadPool& pool, std::string processor,
                                 bool autotune, int tile)
    : TunedChoices(std::move(processor), autotune, false), kernels_(kernels), pool_(pool), tile_(tile) {}

void WinogradChoices::prepare(const WinogradKey& key) {
  if (made(key)) return;
  WinogradChoice choice = known(key);
  if (choice.m == 0 && cache_.measuring()) {
    choice = fastest(key);
    keep_measured(key, describe(choice));
  }
  chosen_[key] = choice.m != 0 ? choice : by_rule(key);
}

cpu::WinogradPlan WinogradChoices::plan(const WinogradKey& key) const {
  const auto chosen = chosen_.find(key);
  WinogradChoice choice = chosen != chosen_.end() ? chosen->second : known(key);
  if (choice.m == 0) choice = by_rule(key);
  return make_winograd_plan(kernels_, key.out_h, key.out_w, key.in_c, key.out_c, choice);
}

WinogradChoice WinogradChoices::known(const WinogradKey& key) const {
  if (!cache_.has_any()) return {};
  const std::string name = to_string(key);
  if (const auto given = cache_.given(name)) {
    if (const WinogradChoice choice = parse(*given); choice.m != 0) return choice;
    throw Error(ErrorCode::kBadInput, cache_.source() + ": convolution " + name +
                                          ": expected how it was cut, found '" + *given + "'");
  }
  const auto measured = cache_.measuring() ? cache_.measured(name) : std::nullopt;
  return measured ? parse(*measured) : WinogradChoice{};
}

WinogradChoice WinogradChoices::by_rule(const WinogradKey& key) const {
  WinogradChoice choice = cpu::choose_winograd(kernels_, key.out_h, key.out_w, key.in_c, key.out_c);
  if (tile_ != 0) choice.m = tile_;
  return choice;
}

/// Of all candidates on zeros; the first one where they are equal.
WinogradChoice WinogradChoices::fastest(const WinogradKey& key) {
  const auto floats = [](std::int64_t count) {
    return std::vector<float>(static_cast<std::size_t>(count + cpu::kLine));
  };
  const auto in = floats(key.out_h * key.out_w * key.in_c),
             filter = floats(cpu::winograd_filter_floats(key.in_c, key.out_c));
  auto out = floats(key.out_h * key.out_w * key.out_c);
  ConvProblem problem;
  problem.in = in.data();
  problem.out = out.data();
  problem.in_h = problem.out_h = key.out_h;
  problem.in_w = problem.out_w = key.out_w;
  problem.in_c = key.in_c;
  problem.out_c = key.out_c;
  problem.filter = filter.data();
  problem.flipped = key.flipped;
  WinogradChoice best;
  double best_seconds = std::numeric_limits<double>::infinity();
  for (const WinogradChoice& choice :
       cpu::winograd_candidates(kernels_, key.out_h, key.out_w, key.in_c, key.out_c)) {
    if (tile_ != 0 && choice.m != tile_) continue;
    const cpu::WinogradPlan plan =
        make_winograd_plan(kernels_, key.out_h, key.out_w, key.in_c, key.out_c, choice);
    auto scratch = floats(plan.scratch_floats(pool_.num_threads()));
    void* start = scratch.data();
    std::size_t room = scratch.size() * sizeof(float);
    auto* const aligned = static_cast<float*>(std::align(64, room - 64, start, room));
    run_winograd(kernels_, pool_, problem, plan, aligned);  // once for the pages
    for (int run = 0; run < kTimedRuns; ++run) {
      const auto before = std::chrono::steady_clock::now();
      run_winograd(kernels_, pool_, problem, plan, aligned);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
      if (seconds < best_seconds) best = choice, best_seconds = seconds;
      if (seconds > kHopeless * best_seconds) break;
    }
  }
  return best;
}

std::string WinogradChoices::describe(const WinogradChoice& choice) const {
  char text[128];
  std::snprintf(text, sizeof text, "F%d %s %lld %lld", choice.m, choice.own_blocks ? "own" : "shared",
                static_cast<long long>(choice.block), static_cast<long long>(choice.part));
  return text;
}

}  // namespace impasto
