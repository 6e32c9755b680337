#include "kernels/cpu/pack.h"

#include <algorithm>

namespace impasto::cpu {
namespace {

constexpr std::int64_t kBlockC = 64;             // input channels summed before the next block
constexpr std::int64_t kTileW = 128;             // output pixels of a row
constexpr std::int64_t kTileFloats = 64 * 1024;  // of packed input: 256 KB, half of a small L2

}  // namespace

std::int64_t packed_filter_floats(const Kernels& kernels, std::int64_t in_c, std::int64_t out_c) {
  return few_outputs(out_c) ? 9 * round_up(in_c, kernels.vector_floats) * out_c
                            : 9 * in_c * round_up(out_c, kernels.panel);
}

void pack_conv_filter(const Kernels& kernels, float* packed, const float* filter, std::int64_t in_c,
                      std::int64_t out_c, bool flipped) {
  const auto value = [&](std::int64_t tap, std::int64_t c, std::int64_t k) {
    return flipped ? filter[((8 - tap) * out_c + k) * in_c + c] : filter[(tap * in_c + c) * out_c + k];
  };
  if (flipped) std::swap(in_c, out_c);
  // From here on in_c and out_c are those of the packed filter; value() captured the same variables.
  if (few_outputs(out_c)) {
    const std::int64_t lanes = kernels.vector_floats, padded_c = round_up(in_c, lanes);
    for (std::int64_t tap = 0; tap < 9; ++tap) {
      for (std::int64_t c = 0; c < padded_c; ++c) {
        for (std::int64_t k = 0; k < out_c; ++k) {
          packed[((tap * padded_c + c / lanes * lanes) * out_c) + k * lanes + c % lanes] =
              c < in_c ? value(tap, c, k) : 0.0F;
        }
      }
    }
    return;
  }
  for (std::int64_t c0 = 0; c0 < in_c; c0 += kBlockC) {
    const std::int64_t c1 = std::min(in_c, c0 + kBlockC);
    for (std::int64_t k0 = 0; k0 < out_c; k0 += kernels.panel) {
      for (std::int64_t tap = 0; tap < 9; ++tap) {
        for (std::int64_t c = c0; c < c1; ++c) {
          for (std::int64_t k = k0; k < k0 + kernels.panel; ++k)
            *packed++ = k < out_c ? value(tap, c, k) : 0.0F;
        }
      }
    }
  }
}

ConvTiling make_conv_tiling(const Kernels& kernels, std::int64_t h, std::int64_t w, std::int64_t in_c,
                            std::int64_t out_c, int num_threads) {
  ConvTiling tiling;
  const bool few = few_outputs(out_c);
  tiling.block_c = few ? round_up(in_c, kernels.vector_floats) : std::min(in_c, kBlockC);
  tiling.tile_w = divide_up(w, divide_up(w, kTileW));
  const std::int64_t row_floats = (round_up(tiling.tile_w, 4) + 2) * tiling.block_c;
  const std::int64_t most_rows = std::clamp<std::int64_t>(kTileFloats / row_floats - 2, 1, h);
  tiling.tile_h = divide_up(h, divide_up(h, most_rows));
  tiling.scratch_floats = round_up((tiling.tile_h + 2) * row_floats, 16);
  const std::int64_t num_panels = few ? 1 : divide_up(out_c, kernels.panel);
  const std::int64_t num_tiles = divide_up(h, tiling.tile_h) * divide_up(w, tiling.tile_w);
  // At least four items a thread, so that no thread waits long for the last one.
  tiling.num_parts =
      std::clamp<std::int64_t>(divide_up(std::int64_t{4} * num_threads, num_tiles), 1, num_panels);
  return tiling;
}

std::int64_t num_conv_items(const ConvProblem& problem, const ConvTiling& tiling) {
  return divide_up(problem.out_h, tiling.tile_h) * divide_up(problem.out_w, tiling.tile_w) * tiling.num_parts;
}

void pack_matrix(const Kernels& kernels, float* packed, const float* matrix, std::int64_t c, float scale,
                 std::int64_t first, std::int64_t last) {
  for (std::int64_t k0 = 0; k0 < c; k0 += kernels.panel) {
    const std::int64_t cols = std::min(kernels.panel, c - k0);
    for (std::int64_t row = first; row < last; ++row) {
      float* const out = packed + k0 * c + row * kernels.panel;
      const float* const in = matrix + row * c + k0;
      for (std::int64_t k = 0; k < cols; ++k) out[k] = scale * in[k];
      std::fill(out + cols, out + kernels.panel, 0.0F);
    }
  }
}

}  // namespace impasto::cpu
