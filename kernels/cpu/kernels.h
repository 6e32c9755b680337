#pragma once
// The vectorised loops of the CPU backend: raw pointers and sizes in, one work item a call, no threads. They
// are written once, under isa/, and compiled once for each instruction set; this is the table of one
// compilation. Contracts: kernels/ops.h. All tensors float32, NHWC, contiguous.
#include <cstdint>

namespace impasto::cpu {

/// A 3x3 convolution, out(y,x,k) = sum in(y + dy - pad_top, x + dx -
/// pad_left, c) * filter(dy,dx,c,k) with zero outside `in`. Backward-data is
/// one too: filters flipped and transposed, paddings 2 - top and 2 - left.
struct ConvProblem {
  const float* in = nullptr;  // (in_h, in_w, in_c)
  float* out = nullptr;       // (out_h, out_w, out_c)
  std::int64_t in_h = 0, in_w = 0, in_c = 0;
  std::int64_t out_h = 0, out_w = 0, out_c = 0;
  std::int64_t pad_top = 1, pad_left = 1;
  const float* filter = nullptr;  // packed by pack_conv_filter(), or pack_winograd_filter()
  bool flipped = false;           // Winograd: that of the layer whose backward-data this is
  const float* bias = nullptr;    // (out_c rounded up to a panel) or null
  const float* mask = nullptr;    // like out, or null: out is zeroed where mask <= 0, after everything else
  bool accumulate = false;        // add to what `out` holds
  bool relu = false;
  bool stream = false;  // Winograd: `out` is too large for the caches, aligned to 64 bytes, out_c to 16
};

/// How a convolution is cut into work items: tile_h x tile_w output pixels, a part of the filter panels; the
/// input channels are summed in blocks of block_c.
struct ConvTiling {
  std::int64_t block_c = 0;
  std::int64_t tile_h = 0, tile_w = 0;
  std::int64_t num_parts = 1;       // of the panels
  std::int64_t scratch_floats = 0;  // of each thread
};

/// How a convolution by F(m x m, 3x3) lays out its scratch: V [position][tile][in_c], the transformed input;
/// U [position][panel][in_c][k of the panel], the transformed filter; M [position][tile][out_c], their
/// products. Positions are the (m + 2)^2 elements of a transformed tile. Distances in floats.
struct WinogradLayout {
  int m = 0;
  std::int64_t tiles_x = 0;  // tiles of a row of the output
  std::int64_t v_row = 0, v_plane = 0;
  std::int64_t u_plane = 0;
  std::int64_t m_row = 0, m_plane = 0;
};

struct TotalVariationSums {
  double x = 0, y = 0;
};

struct Kernels {
  const char* name;
  std::int64_t vector_floats;  // floats in a vector
  std::int64_t panel;          // output channels computed together; packed matrices are padded to it

  /// For measuring the processor: n times multiply_add_flops operations on registers alone.
  std::int64_t multiply_add_flops;
  float (*multiply_add)(std::int64_t n);

  // --- convolution and matrix products
  void (*conv_item)(const ConvProblem&, const ConvTiling&, std::int64_t item, float* scratch);
  /// Winograd, step by step: `count` tiles from `first` on; u and m start at output channel first_k, a
  /// multiple of the panel. M = V U for one position and all channels of num_panels.
  void (*winograd_filter)(const ConvProblem&, const WinogradLayout&, std::int64_t first_k,
                          std::int64_t first_c, std::int64_t num_c, float* u);
  void (*winograd_input)(const ConvProblem&, const WinogradLayout&, std::int64_t first, std::int64_t count,
                         float* v);
  /// Brings part `part` of num_parts of what winograd_input() (or winograd_output(), with a mask) will read
  /// for these tiles into the caches.
  void (*winograd_prefetch)(const ConvProblem&, const WinogradLayout&, bool output, std::int64_t first,
                            std::int64_t count, std::int64_t part, std::int64_t num_parts);
  void (*winograd_multiply)(float* m, std::int64_t m_row, const float* v, std::int64_t v_row,
                            std::int64_t num_tiles, const float* u, std::int64_t in_c,
                            std::int64_t num_panels);
  void (*winograd_output)(const ConvProblem&, const WinogradLayout&, std::int64_t first, std::int64_t count,
                          std::int64_t first_k, std::int64_t num_k, const float* m);
  /// out(n,c) (+)= f(n,c) * matrix(c,c), and 0 where `mask` says so and f is not positive; the matrix packed
  /// by pack_matrix().
  void (*multiply_rows)(float* out, const float* f, std::int64_t n, std::int64_t c, const float* matrix,
                        bool accumulate, bool mask);
  /// sums(a,b) = sum over n positions of f(p,a) * f(p,b), for every `num_groups`-th panel of b (see
  /// gram_group()) and a up to the end of the panel. sums (cp,cp), cp = c rounded up to a panel; scratch
  /// gram_scratch_floats(). Sums of kGramBlock positions are formed in float, then added in double.
  void (*gram_item)(double* sums, const float* f, std::int64_t n, std::int64_t c, std::int64_t group,
                    std::int64_t num_groups, float* scratch);

  // --- rows of feature maps
  void (*relu)(float* y, const float* x, std::int64_t n);
  void (*relu_backward)(float* dx, const float* dy, const float* y, std::int64_t n, bool accumulate);
  /// One row of y and of codes, either may be null, from two of x; num_rows 1: a last odd row, codes alone.
  void (*pool_rows)(float* y, std::uint8_t* codes, const float* x, std::int64_t num_rows, std::int64_t w,
                    std::int64_t c, bool average);
  /// Two rows of dx from one of dy and of codes; num_rows 1: a last odd row, which has no dy. codes null: of
  /// an average, not masked.
  void (*pool_backward_rows)(float* dx, const float* dy, const std::uint8_t* codes, std::int64_t num_rows,
                             std::int64_t w, std::int64_t c, bool average, bool accumulate, bool mask);

  // --- losses: partial sums; d may be null
  double (*squared_error)(float* d, const float* x, const float* target, std::int64_t n, float gradient_scale,
                          bool accumulate, bool mask);
  /// Rows [first, last) of the picture; sums of squared (absolute: of absolute) differences to the right and
  /// down; d += weight_x and weight_y times the derivative of half the square (or of the absolute value).
  TotalVariationSums (*total_variation)(float* d, const float* x, std::int64_t first, std::int64_t last,
                                        std::int64_t h, std::int64_t w, bool absolute, float weight_x,
                                        float weight_y);

  // --- vectors
  void (*momentum)(float* x, float* v, const float* g, std::int64_t n, float learning_rate, float momentum);
  /// x -= step_size * m / (sqrt(v) * v_scale + epsilon)
  void (*adam)(float* x, float* m, float* v, const float* g, std::int64_t n, float beta1,
               float one_minus_beta1, float beta2, float one_minus_beta2, float step_size, float v_scale,
               float epsilon);
  void (*clamp)(float* x, std::int64_t num_pixels, const float* lower, const float* upper);
  void (*average_channels)(float* x, std::int64_t num_pixels);
  void (*add_scaled)(float* out, const float* a, float scale, const float* b, std::int64_t n);
  double (*dot)(const float* a, const float* b, std::int64_t n);
  double (*sum_abs)(const float* a, std::int64_t n);
  /// s = t * d, y = g - g_previous, g_previous = g.
  void (*lbfgs_pair)(float* s, float* y, float* g_previous, const float* d, const float* g, float t,
                     std::int64_t n);
  /// out = sum_r coefficients[r] * row r + coefficients[num_rows]
  /// * g. Rows with a coefficient of 0 are not read.
  void (*lincomb)(float* out, const double* coefficients, const float* rows, std::int64_t num_rows,
                  std::int64_t stride, const float* g, std::int64_t n);
};

inline constexpr std::int64_t kGramBlock = 256;  ///< positions summed in float
inline constexpr std::int64_t kMaxFewOutputs = 4;
/// Floats of a cache line: channels that Winograd's transforms
/// take at once, the side of a packed filter's blocks.
inline constexpr std::int64_t kLine = 16;

// Always inlined: a copy compiled for one instruction set must not become the program's.
#define IMPASTO_INLINE inline __attribute__((always_inline))
/// Convolutions with so few output channels vectorise over the input channels instead.
[[nodiscard]] IMPASTO_INLINE constexpr bool few_outputs(std::int64_t out_c) {
  return out_c <= kMaxFewOutputs;
}
[[nodiscard]] IMPASTO_INLINE constexpr std::int64_t divide_up(std::int64_t n, std::int64_t by) {
  return (n + by - 1) / by;
}
[[nodiscard]] IMPASTO_INLINE constexpr std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
  return divide_up(n, multiple) * multiple;
}

}  // namespace impasto::cpu
