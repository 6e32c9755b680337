// F(m x m, 3x3), m = 2, 4, 6: an m x m tile of the output from an (m + 2) x (m + 2) patch of the input by
// one multiplication a channel pair and position instead of nine a pixel. Lavin & Gray 2016,
// "Fast Algorithms for Convolutional Neural Networks"; the transforms follow from Toom-Cook's interpolation
// at 0, +-a_1, ..., infinity. For F(4x4) the points +-sqrt(1/2), +-sqrt(2) lose a quarter of the digits that
// +-1, +-2 lose.

template <int kM>
struct WinogradPoints;
template <>
struct WinogradPoints<2> {
  static constexpr double kPoint[] = {1};
  static constexpr double kSquare[] = {1};
};
template <>
struct WinogradPoints<4> {
  static constexpr double kPoint[] = {0.70710678118654752440, 1.41421356237309504880};
  static constexpr double kSquare[] = {0.5, 2};
};
template <>
struct WinogradPoints<6> {
  static constexpr double kPoint[] = {1, 2, 0.5};
  static constexpr double kSquare[] = {1, 4, 0.25};
};

/// One-dimensional transforms of vectors. With N(x) = prod (x^2 - a_q^2) and N_q(x) = N(x) / (x^2 - a_q^2),
/// the rows of the input's transform are the coefficients of N at 0 and infinity and of
/// x (x +- a_q) N_q(x) at +-a_q, those of the output's are powers of the points, those of the filter's are
/// powers of the points over the value of the first polynomial there.
template <int kM>
struct Winograd {
  static constexpr int kPatch = kM + 2, kPositions = kPatch * kPatch, kPairs = kM / 2;

  struct Table {
    float full[kPairs + 1];          // N, coefficients of x^0, x^2, ...
    float part[kPairs][kPairs];      // N_q
    float point[kPairs];             // a_q
    float power[kPairs][kM];         // a_q^i
    float filter[kPairs][3], first;  // a_q^i / (2 a_q^2 N_q(a_q)); 1 / N(0)
  };
  static constexpr void multiply(double* polynomial, int degree, double square) {
    for (int i = degree + 1; i > 0; --i)
      polynomial[i] = polynomial[i - 1] - (i <= degree ? square * polynomial[i] : 0);
    polynomial[0] *= -square;
  }
  static constexpr Table make_table() {
    using Points = WinogradPoints<kM>;
    Table t{};
    double full[kPairs + 2] = {1};
    for (int q = 0; q < kPairs; ++q) multiply(full, q, Points::kSquare[q]);
    for (int i = 0; i <= kPairs; ++i) t.full[i] = static_cast<float>(full[i]);
    t.first = static_cast<float>(1 / full[0]);
    for (int q = 0; q < kPairs; ++q) {
      double part[kPairs + 2] = {1}, value = 2 * Points::kSquare[q];
      int degree = 0;
      for (int other = 0; other < kPairs; ++other) {
        if (other == q) continue;
        multiply(part, degree++, Points::kSquare[other]);
        value *= Points::kSquare[q] - Points::kSquare[other];
      }
      for (int i = 0; i < kPairs; ++i) t.part[q][i] = static_cast<float>(part[i]);
      t.point[q] = static_cast<float>(Points::kPoint[q]);
      double even = 1;
      for (int i = 0; i < kM; i += 2, even *= Points::kSquare[q]) {
        t.power[q][i] = static_cast<float>(even);
        t.power[q][i + 1] = static_cast<float>(even * Points::kPoint[q]);
      }
      t.filter[q][0] = static_cast<float>(1 / value);
      t.filter[q][1] = static_cast<float>(Points::kPoint[q] / value);
      t.filter[q][2] = static_cast<float>(Points::kSquare[q] / value);
    }
    return t;
  }
  static constexpr Table kTable = make_table();

  static IMPASTO_INLINE void input(const Vector* in, Vector* out) {
    Vector first = in[2 * kPairs], last = in[2 * kPairs + 1];
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      first += kTable.full[i] * in[2 * i];
      last += kTable.full[i] * in[2 * i + 1];
    }
    out[0] = first;
    out[kPatch - 1] = last;
#pragma GCC unroll 8
    for (int q = 0; q < kPairs; ++q) {
      Vector even = in[2 * kPairs], odd = in[2 * kPairs - 1];
#pragma GCC unroll 8
      for (int i = 0; i + 1 < kPairs; ++i) {
        even += kTable.part[q][i] * in[2 * i + 2];
        odd += kTable.part[q][i] * in[2 * i + 1];
      }
      out[1 + 2 * q] = even + kTable.point[q] * odd;
      out[2 + 2 * q] = even - kTable.point[q] * odd;
    }
  }
  static IMPASTO_INLINE void filter(const Vector* in, Vector* out) {
    out[0] = kTable.first * in[0];
    out[kPatch - 1] = in[2];
#pragma GCC unroll 8
    for (int q = 0; q < kPairs; ++q) {
      const Vector even = kTable.filter[q][0] * in[0] + kTable.filter[q][2] * in[2];
      out[1 + 2 * q] = even + kTable.filter[q][1] * in[1];
      out[2 + 2 * q] = even - kTable.filter[q][1] * in[1];
    }
  }
  static IMPASTO_INLINE void output(const Vector* in, Vector* out) {
    Vector sums[kPairs], differences[kPairs];
#pragma GCC unroll 8
    for (int q = 0; q < kPairs; ++q) {
      sums[q] = in[1 + 2 * q] + in[2 + 2 * q];
      differences[q] = in[1 + 2 * q] - in[2 + 2 * q];
    }
#pragma GCC unroll 8
    for (int i = 0; i < kM; ++i) {
      Vector v = i == 0 ? in[0] + sums[0] : kTable.power[0][i] * (i % 2 != 0 ? differences[0] : sums[0]);
#pragma GCC unroll 8
      for (int q = 1; q < kPairs; ++q) v += kTable.power[q][i] * (i % 2 != 0 ? differences[q] : sums[q]);
      out[i] = i == kM - 1 ? v + in[kPatch - 1] : v;
    }
  }
};

constexpr int kLineVectors = kLine / kLanes;

/// kLine channels of a patch, pixels and rows that many floats apart, to one line of each of V's planes.
template <int kM>
static IMPASTO_INLINE void input_line(const float* in, std::int64_t pixel, std::int64_t row, float* out,
                                      std::int64_t plane) {
  using W = Winograd<kM>;
  Vector columns[W::kPatch][kLineVectors][W::kPatch];
#pragma GCC unroll 1
  for (int x = 0; x < W::kPatch; ++x) {
#pragma GCC unroll 4
    for (int l = 0; l < kLineVectors; ++l) {
      Vector patch[W::kPatch], transformed[W::kPatch];
#pragma GCC unroll 8
      for (int y = 0; y < W::kPatch; ++y) patch[y] = load(in + y * row + x * pixel + l * kLanes);
      W::input(patch, transformed);
#pragma GCC unroll 8
      for (int y = 0; y < W::kPatch; ++y) columns[y][l][x] = transformed[y];
    }
  }
#pragma GCC unroll 1
  for (int y = 0; y < W::kPatch; ++y) {
#pragma GCC unroll 4
    for (int l = 0; l < kLineVectors; ++l) {
      Vector transformed[W::kPatch];
      W::input(columns[y][l], transformed);
#pragma GCC unroll 8
      for (int x = 0; x < W::kPatch; ++x)
        store(out + (y * W::kPatch + x) * plane + l * kLanes, transformed[x]);
    }
  }
}

template <int kM>
static void winograd_input_of(const ConvProblem& p, const WinogradLayout& layout, std::int64_t first,
                              std::int64_t count, float* v) {
  constexpr int kPatch = Winograd<kM>::kPatch;
  const std::int64_t row = p.in_w * p.in_c;
  for (std::int64_t tile = first; tile < first + count; ++tile, v += layout.v_row) {
    const std::int64_t y0 = tile / layout.tiles_x * kM - p.pad_top;
    const std::int64_t x0 = tile % layout.tiles_x * kM - p.pad_left;
    const bool inside = y0 >= 0 && x0 >= 0 && y0 + kPatch <= p.in_h && x0 + kPatch <= p.in_w;
    for (std::int64_t c = 0; c < p.in_c; c += kLine) {
      if (inside && c + kLine <= p.in_c) {
        input_line<kM>(p.in + y0 * row + x0 * p.in_c + c, p.in_c, row, v + c, layout.v_plane);
        continue;
      }
      alignas(64) float patch[kPatch][kPatch][kLine] = {};
      const std::int64_t channels = least(kLine, p.in_c - c);
      for (std::int64_t y = y0 < 0 ? -y0 : 0; y < kPatch && y0 + y < p.in_h; ++y) {
        for (std::int64_t x = x0 < 0 ? -x0 : 0; x < kPatch && x0 + x < p.in_w; ++x) {
          const float* in = p.in + (y0 + y) * row + (x0 + x) * p.in_c + c;
          for (std::int64_t i = 0; i < channels; ++i) patch[y][x][i] = in[i];
        }
      }
      input_line<kM>(&patch[0][0][0], kLine, kPatch * kLine, v + c, layout.v_plane);
    }
  }
}

/// What a convolution does with a sum before it is stored.
template <bool kStream>
static IMPASTO_INLINE void store_pixel(const ConvProblem& p, std::int64_t i, Vector v, Vector bias) {
  v += bias;
  if (p.accumulate) v += load(p.out + i);
  if (p.relu) v = zero_if_negative(v);
  if (p.mask != nullptr) v = zero_if_not_positive(v, load(p.mask + i));
  if constexpr (kStream) {
    stream(p.out + i, v);
  } else {
    store(p.out + i, v);
  }
}
static void store_part(const ConvProblem& p, std::int64_t i, const float* values, const float* bias,
                       std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) {
    float v = values[c] + bias[c];
    if (p.accumulate) v += p.out[i + c];
    if (p.relu && v <= 0) v = 0;
    if (p.mask != nullptr && !(p.mask[i + c] > 0)) v = 0;
    p.out[i + c] = v;
  }
}

template <int kM, bool kStream>
static void winograd_output_of(const ConvProblem& p, const WinogradLayout& layout, std::int64_t first,
                               std::int64_t count, std::int64_t first_k, std::int64_t num_k, const float* m) {
  using W = Winograd<kM>;
  static constexpr float kNoBias[kLine] = {};
  for (std::int64_t tile = first; tile < first + count; ++tile, m += layout.m_row) {
    const std::int64_t y0 = tile / layout.tiles_x * kM, x0 = tile % layout.tiles_x * kM;
    const std::int64_t num_y = least(kM, p.out_h - y0), num_x = least(kM, p.out_w - x0);
    for (std::int64_t k = 0; k < num_k; k += kLine) {
      Vector rows[kM][kLineVectors][W::kPatch];
#pragma GCC unroll 1
      for (int x = 0; x < W::kPatch; ++x) {
#pragma GCC unroll 4
        for (int l = 0; l < kLineVectors; ++l) {
          Vector in[W::kPatch], out[kM];
#pragma GCC unroll 8
          for (int y = 0; y < W::kPatch; ++y)
            in[y] = load(m + (y * W::kPatch + x) * layout.m_plane + k + l * kLanes);
          W::output(in, out);
#pragma GCC unroll 8
          for (int y = 0; y < kM; ++y) rows[y][l][x] = out[y];
        }
      }
      const float* bias = p.bias == nullptr ? kNoBias : p.bias + first_k + k;
      const std::int64_t channels = least(kLine, num_k - k);
      for (std::int64_t y = 0; y < num_y; ++y) {
        const std::int64_t i = ((y0 + y) * p.out_w + x0) * p.out_c + first_k + k;
        Vector out[kLineVectors][kM];
#pragma GCC unroll 4
        for (int l = 0; l < kLineVectors; ++l) W::output(rows[y][l], out[l]);
        if (channels == kLine) {
#pragma GCC unroll 8
          for (int x = 0; x < kM; ++x) {
            if (x >= num_x) break;
#pragma GCC unroll 4
            for (int l = 0; l < kLineVectors; ++l)
              store_pixel<kStream>(p, i + x * p.out_c + l * kLanes, out[l][x], load(bias + l * kLanes));
          }
          continue;
        }
        alignas(64) float values[kM][kLine];
        for (int x = 0; x < kM; ++x) {
          for (int l = 0; l < kLineVectors; ++l) store(values[x] + l * kLanes, out[l][x]);
        }
        for (std::int64_t x = 0; x < num_x; ++x) store_part(p, i + x * p.out_c, values[x], bias, channels);
      }
    }
  }
  if constexpr (kStream) finish_streaming();
}

static void winograd_prefetch(const ConvProblem& p, const WinogradLayout& layout, bool output,
                              std::int64_t first, std::int64_t count, std::int64_t part,
                              std::int64_t num_parts) {
  // A unit: the kM columns of one row that no tile to the left has.
  const float* const tensor = output ? p.mask : p.in;
  const std::int64_t m = layout.m, rows = output ? m : m + 2, c = output ? p.out_c : p.in_c;
  const std::int64_t h = output ? p.out_h : p.in_h, w = output ? p.out_w : p.in_w;
  const std::int64_t units = count * rows;
  for (std::int64_t unit = units * part / num_parts; unit < units * (part + 1) / num_parts; ++unit) {
    const std::int64_t tile = first + unit / rows;
    const std::int64_t y = tile / layout.tiles_x * m + unit % rows - (output ? 0 : p.pad_top);
    const std::int64_t x = tile % layout.tiles_x * m;
    if (y < 0 || y >= h || x >= w) continue;
    const float* const line = tensor + (y * w + x) * c;
    const std::int64_t floats = least(m, w - x) * c;
    for (std::int64_t i = 0; i < floats; i += kLine) __builtin_prefetch(line + i, 0, 2);
  }
}

/// The lanes of a and b in turn, the first (kHalf 0) or the last half of them.
template <int kHalf, int... kLane>
static IMPASTO_INLINE Vector interleave(Vector a, Vector b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, (kLane / 2 + (kLane % 2) * kLanes + kHalf * (kLanes / 2))...);
}

/// Rows of a kLanes x kLanes matrix to columns: log2(kLanes) perfect shuffles.
static IMPASTO_INLINE void transpose(Vector* rows) {
  constexpr std::make_integer_sequence<int, kLanes> kAll;
  for (int step = 1; step < kLanes; step *= 2) {
    Vector shuffled[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      shuffled[2 * i] = interleave<0>(rows[i], rows[i + kLanes / 2], kAll);
      shuffled[2 * i + 1] = interleave<1>(rows[i], rows[i + kLanes / 2], kAll);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) rows[i] = shuffled[i];
  }
}

/// Nine taps of kLine input channels (rows) and kLanes output channels, as the transform reads them.
struct FilterTaps {
  const float* first;
  std::int64_t tap, row;  // distances in floats
  alignas(64) float transposed[9][kLine][kLanes];
};

/// From one 16 x 16 block of pack_winograd_filter(); flipped: the block transposed, its taps in reverse.
static IMPASTO_INLINE void read_taps(FilterTaps& taps, const float* block, std::int64_t k, bool flipped) {
  constexpr std::int64_t kTap = kLine * kLine;
  if (!flipped) {
    taps.first = block + k;
    taps.tap = kTap;
    taps.row = kLine;
    return;
  }
  for (int tap = 0; tap < 9; ++tap) {
    for (int row = 0; row < kLine; row += kLanes) {
      Vector rows[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) rows[i] = load(block + (8 - tap) * kTap + (k + i) * kLine + row);
      transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(taps.transposed[tap][row + i], rows[i]);
    }
  }
  taps.first = taps.transposed[0][0];
  taps.tap = kLine * kLanes;
  taps.row = kLanes;
}

template <int kM>
static void winograd_filter_of(const ConvProblem& p, const WinogradLayout& layout, std::int64_t first_k,
                               std::int64_t first_c, std::int64_t num_c, float* u) {
  using W = Winograd<kM>;
  const std::int64_t c_blocks = divide_up(p.in_c, kLine), k_blocks = divide_up(p.out_c, kLine);
  for (std::int64_t c = first_c; c < first_c + num_c; c += kLine) {
    for (int vector = 0; vector < kVectors; ++vector) {
      const std::int64_t k = first_k + vector * kLanes, c_block = c / kLine, k_block = k / kLine;
      if (k_block >= k_blocks) {  // what a panel has beyond the last channel is multiplied, but not stored
        break;
      }
      FilterTaps taps;
      read_taps(taps,
                p.filter + (p.flipped ? k_block * c_blocks + c_block : c_block * k_blocks + k_block) * 9 *
                               kLine * kLine,
                k % kLine, p.flipped);
      const std::int64_t rows = least(kLine, first_c + num_c - c);
      for (std::int64_t i = 0; i < rows; ++i) {
        Vector columns[W::kPatch][3];
#pragma GCC unroll 3
        for (int x = 0; x < 3; ++x) {
          Vector in[3], out[W::kPatch];
#pragma GCC unroll 3
          for (int y = 0; y < 3; ++y) in[y] = load(taps.first + (3 * y + x) * taps.tap + i * taps.row);
          W::filter(in, out);
#pragma GCC unroll 8
          for (int y = 0; y < W::kPatch; ++y) columns[y][x] = out[y];
        }
        float* const target = u + (c + i) * kPanel + vector * kLanes;
#pragma GCC unroll 1
        for (int y = 0; y < W::kPatch; ++y) {
          Vector out[W::kPatch];
          W::filter(columns[y], out);
#pragma GCC unroll 8
          for (int x = 0; x < W::kPatch; ++x) store(target + (y * W::kPatch + x) * layout.u_plane, out[x]);
        }
      }
    }
  }
}

static void winograd_multiply(float* m, std::int64_t m_row, const float* v, std::int64_t v_row,
                              std::int64_t num_tiles, const float* u, std::int64_t in_c,
                              std::int64_t num_panels) {
  multiply_panels(m, m_row, v, v_row, num_tiles, in_c, u, num_panels * kPanel, false);
}

static void winograd_filter(const ConvProblem& p, const WinogradLayout& layout, std::int64_t first_k,
                            std::int64_t first_c, std::int64_t num_c, float* u) {
  switch (layout.m) {
    case 2: return winograd_filter_of<2>(p, layout, first_k, first_c, num_c, u);
    case 4: return winograd_filter_of<4>(p, layout, first_k, first_c, num_c, u);
    default: return winograd_filter_of<6>(p, layout, first_k, first_c, num_c, u);
  }
}
static void winograd_input(const ConvProblem& p, const WinogradLayout& layout, std::int64_t first,
                           std::int64_t count, float* v) {
  switch (layout.m) {
    case 2: return winograd_input_of<2>(p, layout, first, count, v);
    case 4: return winograd_input_of<4>(p, layout, first, count, v);
    default: return winograd_input_of<6>(p, layout, first, count, v);
  }
}
template <bool kStream>
static void winograd_output_as(const ConvProblem& p, const WinogradLayout& layout, std::int64_t first,
                               std::int64_t count, std::int64_t first_k, std::int64_t num_k, const float* m) {
  switch (layout.m) {
    case 2: return winograd_output_of<2, kStream>(p, layout, first, count, first_k, num_k, m);
    case 4: return winograd_output_of<4, kStream>(p, layout, first, count, first_k, num_k, m);
    default: return winograd_output_of<6, kStream>(p, layout, first, count, first_k, num_k, m);
  }
}
static void winograd_output(const ConvProblem& p, const WinogradLayout& layout, std::int64_t first,
                            std::int64_t count, std::int64_t first_k, std::int64_t num_k, const float* m) {
  if (p.stream) return winograd_output_as<true>(p, layout, first, count, first_k, num_k, m);
  winograd_output_as<false>(p, layout, first, count, first_k, num_k, m);
}
