// Direct 3x3 convolution: input rows are copied, padded, into scratch, one block of channels at a time; a
// pixel's three taps of one row and their channels are then one run of consecutive floats.

/// scratch (rows, cols, block): channels [c0, c0 + n) of `in` from (y, x) on, zero outside and beyond n.
static void pack_input(float* scratch, const ConvProblem& p, std::int64_t y, std::int64_t x,
                       std::int64_t rows, std::int64_t cols, std::int64_t c0, std::int64_t n,
                       std::int64_t block) {
  const std::int64_t first = x < 0 ? least(-x, cols) : 0;
  const std::int64_t last = p.in_w - x < first ? first : least(p.in_w - x, cols);
  for (std::int64_t row = 0; row < rows; ++row, scratch += cols * block) {
    if (y + row < 0 || y + row >= p.in_h) {
      __builtin_memset(scratch, 0, static_cast<std::size_t>(cols * block) * sizeof(float));
      continue;
    }
    __builtin_memset(scratch, 0, static_cast<std::size_t>(first * block) * sizeof(float));
    __builtin_memset(scratch + last * block, 0,
                     static_cast<std::size_t>((cols - last) * block) * sizeof(float));
    const float* in = p.in + ((y + row) * p.in_w + x + first) * p.in_c + c0;
    float* out = scratch + first * block;
    if (n == p.in_c && n == block) {
      __builtin_memcpy(out, in, static_cast<std::size_t>((last - first) * n) * sizeof(float));
      continue;
    }
    for (std::int64_t col = first; col < last; ++col, in += p.in_c, out += block) {
      std::int64_t c = 0;
      for (; c + kLanes <= n; c += kLanes) store(out + c, load(in + c));
      for (; c < n; ++c) out[c] = in[c];
      for (; c < block; ++c) out[c] = 0;
    }
  }
}

/// kK outputs, vectorised over the input channels, four pixels at a time.
template <int kK>
static void few_outputs_row(const ConvProblem& p, const float* in, std::int64_t row_stride,
                            std::int64_t block, float* out, const float* mask, std::int64_t num_pixels) {
  constexpr int kPixels = 4;
  for (std::int64_t x = 0; x < num_pixels; x += kPixels) {
    Vector sums[kPixels][kK] = {};
    const float* filter = p.filter;
    for (std::int64_t row = 0; row < 3; ++row) {
      const float* a = in + row * row_stride + x * block;
      for (std::int64_t i = 0; i < 3 * block; i += kLanes, filter += kK * kLanes) {
        Vector right[kK];
#pragma GCC unroll 4
        for (int k = 0; k < kK; ++k) right[k] = load(filter + k * kLanes);
#pragma GCC unroll 4
        for (int pixel = 0; pixel < kPixels; ++pixel) {
          const Vector left = load(a + pixel * block + i);
#pragma GCC unroll 4
          for (int k = 0; k < kK; ++k) sums[pixel][k] += left * right[k];
        }
      }
    }
    for (std::int64_t pixel = 0; pixel < kPixels && x + pixel < num_pixels; ++pixel) {
      for (int k = 0; k < kK; ++k) {
        const std::int64_t i = (x + pixel) * kK + k;
        float v = sum_in_float(sums[pixel][k]);
        if (p.bias != nullptr) v += p.bias[k];
        if (p.accumulate) v += out[i];
        if (p.relu && v <= 0) v = 0;
        if (mask != nullptr && !(mask[i] > 0)) v = 0;
        out[i] = v;
      }
    }
  }
}

static void few_outputs_tile(const ConvProblem& p, std::int64_t block, std::int64_t y0, std::int64_t x0,
                             std::int64_t tile_h, std::int64_t tile_w, float* scratch) {
  const std::int64_t cols = round_up(tile_w, 4) + 2;
  pack_input(scratch, p, y0 - p.pad_top, x0 - p.pad_left, tile_h + 2, cols, 0, p.in_c, block);
  for (std::int64_t y = 0; y < tile_h; ++y) {
    const float* in = scratch + y * cols * block;
    const std::int64_t i = ((y0 + y) * p.out_w + x0) * p.out_c;
    const float* mask = p.mask == nullptr ? nullptr : p.mask + i;
    switch (p.out_c) {
      case 1: few_outputs_row<1>(p, in, cols * block, block, p.out + i, mask, tile_w); break;
      case 2: few_outputs_row<2>(p, in, cols * block, block, p.out + i, mask, tile_w); break;
      case 3: few_outputs_row<3>(p, in, cols * block, block, p.out + i, mask, tile_w); break;
      default: few_outputs_row<4>(p, in, cols * block, block, p.out + i, mask, tile_w); break;
    }
  }
}

static void conv_item(const ConvProblem& p, const ConvTiling& tiling, std::int64_t item, float* scratch) {
  const std::int64_t part = item % tiling.num_parts, tile = item / tiling.num_parts;
  const std::int64_t tiles_x = divide_up(p.out_w, tiling.tile_w);
  const std::int64_t y0 = tile / tiles_x * tiling.tile_h, x0 = tile % tiles_x * tiling.tile_w;
  const std::int64_t tile_h = least(tiling.tile_h, p.out_h - y0), tile_w = least(tiling.tile_w, p.out_w - x0);
  if (few_outputs(p.out_c)) {
    few_outputs_tile(p, tiling.block_c, y0, x0, tile_h, tile_w, scratch);
    return;
  }
  const std::int64_t num_panels = divide_up(p.out_c, kPanel);
  const std::int64_t first_panel = part * num_panels / tiling.num_parts;
  const std::int64_t last_panel = (part + 1) * num_panels / tiling.num_parts;
  const std::int64_t cols = tile_w + 2;
  for (std::int64_t c0 = 0; c0 < p.in_c; c0 += tiling.block_c) {
    const std::int64_t block = least(tiling.block_c, p.in_c - c0);
    const bool first = c0 == 0, last = c0 + block == p.in_c;
    pack_input(scratch, p, y0 - p.pad_top, x0 - p.pad_left, tile_h + 2, cols, c0, block, block);
    const float* filter = p.filter + 9 * c0 * num_panels * kPanel;
    for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
      const std::int64_t k = panel * kPanel;
      MicroArgs args{};
      args.stride = block;
      args.num_runs = 3;
      args.run = 3 * block;
      args.run_stride = cols * block;
      args.b = filter + 9 * block * k;
      args.ldc = p.out_c;
      args.bias = p.bias == nullptr || !first ? nullptr : p.bias + k;
      args.accumulate = p.accumulate || !first;
      args.relu = p.relu && last;
      args.ahead = 4 * kRows * p.out_c;  // the first layer's outputs come faster than memory takes them
      for (std::int64_t y = 0; y < tile_h; ++y) {
        const std::int64_t i = ((y0 + y) * p.out_w + x0) * p.out_c + k;
        args.a = scratch + y * cols * block;
        args.c = p.out + i;
        args.mask = p.mask == nullptr || !last ? nullptr : p.mask + i;
        if (block == 64) {
          micro_pixels<64>(args, tile_w, p.out_c - k);
        } else {
          micro_pixels<0>(args, tile_w, p.out_c - k);
        }
      }
    }
  }
}
