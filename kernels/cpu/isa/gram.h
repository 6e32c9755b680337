// f^T f of a feature map, the upper half by panels.

/// packed [panel][n][kPanel]: n rows of f (n,c), zero beyond c.
static void pack_rows(float* packed, const float* f, std::int64_t n, std::int64_t c) {
  for (std::int64_t k0 = 0; k0 < c; k0 += kPanel, packed += n * kPanel) {
    const std::int64_t cols = least(kPanel, c - k0);
    for (std::int64_t p = 0; p < n; ++p) {
      float* out = packed + p * kPanel;
      const float* in = f + p * c + k0;
      if (cols == kPanel) {
        for (int j = 0; j < kVectors; ++j) store(out + j * kLanes, load(in + j * kLanes));
      } else {
        for (std::int64_t k = 0; k < kPanel; ++k) out[k] = k < cols ? in[k] : 0.0F;
      }
    }
  }
}

/// sums[r][0..kPanel) (+)= sum_p a[p][r] * b[p], rows kPanel floats apart in a and b, of all vectors of a
/// panel but the first kSkip. `ahead`: memory to ask for meanwhile, a line for each p; null for none.
template <int kSkip>
static void gram_tile(double* sums, std::int64_t stride, const float* a, const float* b, std::int64_t n,
                      bool accumulate, const float* ahead) {
  Vector block[kGramRows][kVectors] = {};
#pragma GCC unroll 4
  for (std::int64_t p = 0; p < n; ++p) {
    Vector right[kVectors];
#pragma GCC unroll 4
    for (int j = kSkip; j < kVectors; ++j)
      right[j] = *reinterpret_cast<const Vector*>(b + p * kPanel + j * kLanes);
    if (ahead != nullptr) __builtin_prefetch(ahead + p * kLine, 0, 2);
#pragma GCC unroll 16
    for (int r = 0; r < kGramRows; ++r) {
      const Vector left = broadcast(a[p * kPanel + r]);
#pragma GCC unroll 4
      for (int j = kSkip; j < kVectors; ++j) block[r][j] += left * right[j];
    }
  }
  alignas(64) float tile[kPanel];
  for (int r = 0; r < kGramRows; ++r) {
    for (int j = kSkip; j < kVectors; ++j) store(tile + j * kLanes, block[r][j]);
    double* row = sums + r * stride;
    for (int k = kSkip * kLanes; k < kPanel; k += kDoubleLanes) {
      auto* const sum = reinterpret_cast<UnalignedDouble*>(row + k);
      *sum = accumulate ? *sum + load_double(tile + k) : load_double(tile + k);
    }
  }
}

static void gram_item(double* sums, const float* f, std::int64_t n, std::int64_t c, std::int64_t group,
                      std::int64_t num_groups, float* scratch) {
  constexpr std::int64_t kMostAhead = 128;
  const std::int64_t padded = round_up(c, kPanel), num_panels = padded / kPanel;
  for (std::int64_t p0 = 0; p0 < n; p0 += kGramBlock) {
    const std::int64_t block = least(kGramBlock, n - p0);
    pack_rows(scratch, f + p0 * c, block, c);
    // What the next block will be packed from, where both fit a cache.
    const std::int64_t next = c <= kMostAhead ? least(kGramBlock, n - p0 - block) * c : 0;
    std::int64_t asked = 0;
    for (std::int64_t panel = 0; panel < num_panels; ++panel) {
      // Later panels are taller: groups take turns from both ends.
      const std::int64_t turn = panel % (2 * num_groups);
      if ((turn < num_groups ? turn : 2 * num_groups - 1 - turn) != group) continue;
      for (std::int64_t row = 0; row < (panel + 1) * kPanel; row += kGramRows) {
        const std::int64_t left = row / kPanel;
        // Below the diagonal nothing is read: the panel's later rows need its later vectors alone.
        const auto tile = left == panel && row % kPanel >= kLanes ? gram_tile<1> : gram_tile<0>;
        tile(sums + row * padded + panel * kPanel, padded, scratch + left * block * kPanel + row % kPanel,
             scratch + panel * block * kPanel, block, p0 != 0,
             asked < next ? f + (p0 + block) * c + asked : nullptr);
        asked += block * kLine;
      }
    }
  }
}
