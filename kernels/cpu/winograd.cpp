#include "kernels/cpu/winograd.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace impasto::cpu {
namespace {

constexpr std::int64_t kFilterBlock = 64;        // input channels of an item that transforms filters
constexpr std::int64_t kStreamFloats = 4 << 20;  // outputs of 16 MB and more go past the caches
// Measured at 256 to 512 pixels on each kind of layer of VGG-19, on a Zen 4 (1 MB of L2 cache a core) and,
// the parts without AVX-512, on a Zen 1 (512 KB):
constexpr std::int64_t kFilterTiles = 22;             // transforming a filter costs as much as so many tiles
constexpr std::int64_t kMostOwnWeights = 128 * 256;   // in_c * out_c up to which threads work alone
constexpr std::int64_t kMostBlocksAtOnce = 4;         // blocks of an item that takes them through all steps
constexpr std::int64_t kSharedCacheFloats = 3 << 19;  // 6 MB, of a cache that the threads share
constexpr std::int64_t kTileBlock = 4;                // tiles of an item that transforms inputs or outputs

/// Rows and planes an odd number of cache lines apart do not fall on each other in a cache.
std::int64_t odd_lines(std::int64_t floats) { return (divide_up(floats, kLine) | 1) * kLine; }

}  // namespace

WinogradChoice choose_winograd(const Kernels& kernels, std::int64_t out_h, std::int64_t out_w,
                               std::int64_t in_c, std::int64_t out_c) {
  WinogradChoice choice;
  std::int64_t least = 0, tiles = 0;
  for (const int m : {6, 4, 2}) {
    const std::int64_t count = divide_up(out_h, m) * divide_up(out_w, m);
    const std::int64_t cost = (m + 2) * (m + 2) * (count + kFilterTiles);
    if (choice.m == 0 || cost < least) choice.m = m, least = cost, tiles = count;
  }
  choice.own_blocks = in_c * out_c <= kMostOwnWeights;
  const bool avx512 = kernels.vector_floats == 16;
  if (choice.own_blocks) {
    choice.block = 24;
    choice.part = avx512 ? 128 : 32;
    return choice;
  }
  choice.block = 192;
  choice.part = 64;
  if (avx512) return choice;
  // Half a part's filters where that lets them and the inputs stay in the cache from one step to the next.
  const std::int64_t lines = (choice.m + 2) * (choice.m + 2) * in_c;
  const auto fits = [&](std::int64_t part) {
    return lines * (std::min(tiles, choice.block) + part) <= kSharedCacheFloats;
  };
  if (!fits(64) && fits(32)) choice.part = 32;
  return choice;
}

std::vector<WinogradChoice> winograd_candidates(const Kernels& kernels, std::int64_t out_h,
                                                std::int64_t out_w, std::int64_t in_c, std::int64_t out_c) {
  std::vector<WinogradChoice> candidates;
  std::set<std::tuple<int, bool, std::int64_t, std::int64_t>> plans;  // small layers cut many choices alike
  const auto add = [&](const WinogradChoice& choice) {
    const WinogradPlan plan = make_winograd_plan(kernels, out_h, out_w, in_c, out_c, choice);
    if (plans.emplace(choice.m, plan.own_blocks, plan.block, plan.part).second) candidates.push_back(choice);
  };
  add(choose_winograd(kernels, out_h, out_w, in_c, out_c));
  for (const int m : {6, 4, 2}) {
    for (const std::int64_t part : {32, 64, 128}) {
      for (const std::int64_t block : {12, 24, 48}) add({m, true, block, part});
      for (const std::int64_t block : {96, 192, 384}) add({m, false, block, part});
    }
  }
  return candidates;
}

WinogradPlan make_winograd_plan(const Kernels& kernels, std::int64_t out_h, std::int64_t out_w,
                                std::int64_t in_c, std::int64_t out_c, const WinogradChoice& choice) {
  WinogradPlan plan;
  WinogradLayout& layout = plan.layout;
  layout.m = choice.m;
  layout.tiles_x = divide_up(out_w, layout.m);
  plan.num_tiles = divide_up(out_h, layout.m) * layout.tiles_x;
  plan.own_blocks = choice.own_blocks;
  plan.block = divide_up(plan.num_tiles, divide_up(plan.num_tiles, choice.block));
  const std::int64_t padded_k = round_up(out_c, kernels.panel);
  plan.part = std::min(round_up(choice.part, kernels.panel), padded_k);
  const std::int64_t positions = (layout.m + 2) * (layout.m + 2);
  layout.v_row = odd_lines(in_c);
  layout.v_plane = odd_lines(plan.block * layout.v_row);
  layout.u_plane = odd_lines(in_c * (plan.own_blocks ? padded_k : plan.part));
  layout.m_row = odd_lines(plan.part);
  layout.m_plane = odd_lines(plan.block * layout.m_row);
  plan.u_floats = positions * layout.u_plane;
  plan.v_floats = positions * layout.v_plane;
  plan.m_floats = positions * layout.m_plane;
  return plan;
}

std::int64_t winograd_filter_floats(std::int64_t in_c, std::int64_t out_c) {
  return 9 * round_up(in_c, kLine) * round_up(out_c, kLine);
}

void pack_winograd_filter(float* packed, const float* filter, std::int64_t in_c, std::int64_t out_c) {
  for (std::int64_t c0 = 0; c0 < in_c; c0 += kLine) {
    for (std::int64_t k0 = 0; k0 < out_c; k0 += kLine) {
      for (std::int64_t tap = 0; tap < 9; ++tap) {
        for (std::int64_t c = c0; c < c0 + kLine; ++c, packed += kLine) {
          std::fill_n(packed, kLine, 0.0F);
          if (c < in_c)
            std::copy_n(filter + (tap * in_c + c) * out_c + k0, std::min(kLine, out_c - k0), packed);
        }
      }
    }
  }
}

namespace {

/// One run: what its steps read. scratch begins with u, the transformed filters; v and m are behind it.
struct Run {
  const Kernels& kernels;
  ThreadPool& pool;
  const ConvProblem& p;
  const WinogradPlan& plan;
  float* scratch;
  const WinogradLayout& layout = plan.layout;
  std::int64_t positions = (layout.m + 2) * (layout.m + 2), panel = kernels.panel;
  std::int64_t num_panels = divide_up(p.out_c, panel), part_panels = plan.part / panel;
  std::int64_t c_blocks = divide_up(p.in_c, kFilterBlock);

  /// Item i of the transform of the filters of the panels from `first` on.
  void transform_filter(std::int64_t first, std::int64_t i) const {
    const std::int64_t of_part = i / c_blocks, c = i % c_blocks * kFilterBlock;
    kernels.winograd_filter(p, layout, (first + of_part) * panel, c, std::min(kFilterBlock, p.in_c - c),
                            scratch + of_part * p.in_c * panel);
  }
  /// M = V U at one position, for `panels` panels of u, the first of them being number first_panel.
  void multiply(std::int64_t position, std::int64_t first_panel, std::int64_t panels, std::int64_t num_tiles,
                const float* v, float* m) const {
    kernels.winograd_multiply(
        m + position * layout.m_plane, layout.m_row, v + position * layout.v_plane, layout.v_row, num_tiles,
        scratch + position * layout.u_plane + first_panel * p.in_c * panel, p.in_c, panels);
  }
  /// Tiles of a block.
  [[nodiscard]] std::int64_t size(std::int64_t block) const {
    return std::min(plan.block, plan.num_tiles - block * plan.block);
  }

  void take_blocks(std::int64_t begin, std::int64_t end, float* v, float* m) const;
  void each_thread_its_blocks() const;
  void all_threads_one_block(std::int64_t first, float* v, float* m) const;
};

/// Blocks begin..end-1, one after another through all steps after the filters' transform.
void Run::take_blocks(std::int64_t begin, std::int64_t end, float* v, float* m) const {
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t first = block * plan.block, count = size(block);
    kernels.winograd_input(p, layout, first, count, v);
    for (std::int64_t done = 0; done < num_panels; done += part_panels) {
      const std::int64_t panels = std::min(part_panels, num_panels - done), k = done * panel;
      for (std::int64_t position = 0; position < positions; ++position) {
        // What the steps after the products will read comes while they keep the processor busy.
        if (done == 0 && p.mask != nullptr)
          kernels.winograd_prefetch(p, layout, true, first, count, position, positions);
        if (done + panels == num_panels && block + 1 < end)
          kernels.winograd_prefetch(p, layout, false, first + count, size(block + 1), position, positions);
        multiply(position, done, panels, count, v, m);
      }
      kernels.winograd_output(p, layout, first, count, k, std::min(plan.part, p.out_c - k), m);
    }
  }
}

/// plan.own_blocks: every thread has a v and an m of its own.
void Run::each_thread_its_blocks() const {
  pool.parallel_for(num_panels * c_blocks, [&](std::int64_t item, int) { transform_filter(0, item); });
  const std::int64_t num_blocks = divide_up(plan.num_tiles, plan.block);
  const std::int64_t items = round_up(divide_up(num_blocks, kMostBlocksAtOnce), pool.num_threads());
  const std::int64_t at_once = divide_up(num_blocks, items);
  pool.parallel_for(divide_up(num_blocks, at_once), [&](std::int64_t item, int thread) {
    float* const v = scratch + plan.u_floats + thread * (plan.v_floats + plan.m_floats);
    take_blocks(item * at_once, std::min(num_blocks, (item + 1) * at_once), v, v + plan.v_floats);
  });
}

/// The block that begins at tile `first`, each step of it shared among the threads.
void Run::all_threads_one_block(std::int64_t first, float* v, float* m) const {
  const std::int64_t count = std::min(plan.block, plan.num_tiles - first);
  const std::int64_t tile_items = divide_up(count, kTileBlock);
  const auto tiles = [&](std::int64_t i) { return std::min(kTileBlock, count - i * kTileBlock); };
  // The transforms between two products have nothing to do with each other and are one job.
  const std::int64_t num_parts = divide_up(num_panels, part_panels);
  for (std::int64_t part = 0; part <= num_parts; ++part) {
    const std::int64_t panels = std::min(part_panels, num_panels - part * part_panels);
    const std::int64_t filter_items = part < num_parts ? panels * c_blocks : 0;
    pool.parallel_for(filter_items + tile_items, [&](std::int64_t item, int) {
      if (item < filter_items) return transform_filter(part * part_panels, item);
      const std::int64_t i = item - filter_items, tile = i * kTileBlock;
      if (part == 0)
        return kernels.winograd_input(p, layout, first + tile, tiles(i), v + tile * layout.v_row);
      const std::int64_t k = (part - 1) * plan.part;
      kernels.winograd_output(p, layout, first + tile, tiles(i), k, std::min(plan.part, p.out_c - k),
                              m + tile * layout.m_row);
    });
    if (part == num_parts) break;
    pool.parallel_for(positions,
                      [&](std::int64_t position, int) { multiply(position, 0, panels, count, v, m); });
  }
}

}  // namespace

void run_winograd(const Kernels& kernels, ThreadPool& pool, const ConvProblem& problem,
                  const WinogradPlan& plan, float* scratch) {
  ConvProblem p = problem;
  p.stream = p.out_h * p.out_w * p.out_c >= kStreamFloats && p.out_c % kLine == 0 && !p.accumulate &&
             reinterpret_cast<std::uintptr_t>(p.out) % 64 == 0;
  const Run run{kernels, pool, p, plan, scratch};
  if (plan.own_blocks) return run.each_thread_its_blocks();
  float* const v = scratch + plan.u_floats;
  for (std::int64_t first = 0; first < plan.num_tiles; first += plan.block) {
    run.all_threads_one_block(first, v, v + plan.v_floats);
  }
}

}  // namespace impasto::cpu
