#pragma once
// The vocabulary of the numeric primitives, and the contract of each, written once for every device.
// kernels/<device>/ implements them on raw pointers; engine/backend/backend.h checks shapes and calls them.
//
// Common to all
//   Layout    NHWC with n = 1, contiguous: element (y, x, c) of (h, w, c) lies at (y * w + x) * c_count + c.
//   Memory    an arena and a workspace have the backend's alignment; a tensor may be a view that starts at
//             any position (y, x, 0) of an aligned one, as a strip does.
//   Real      the picture, gradients with respect to it, Gram matrices and optimiser vectors (float, or
//             double in the reference); scalars ("slots") are always double.
//   Repeats   every reduction has an order that depends on the sizes alone: the same input gives the same
//             bits, whatever the number of threads.
//   Aliasing  arguments do not overlap unless the contract says so; "may be" means the very same memory.
//   Outputs   what is overwritten is not read first: it may hold anything, NaN included. The same for
//             workspace.
//   Effects   nothing allocates, nothing waits for the host.
#include <cstdint>

namespace impasto {

/// Does an operation replace what its output holds, or add to it? Said at every call, because several losses
/// add into one gradient.
enum class Accumulate : std::uint8_t { kOverwrite, kAdd };

/// Rows and columns of zeros at each edge of a 3x3 convolution's input, 0 or 1 each: a strip of a picture
/// pads only where the picture ends. Output height = h + top + bottom - 2, width = w + left + right - 2.
struct Padding {
  int top = 1, bottom = 1, left = 1, right = 1;
  friend constexpr bool operator==(const Padding&, const Padding&) = default;
};

enum class Relu : std::uint8_t { kNo, kYes };
enum class Pooling : std::uint8_t { kMax, kAverage };  ///< 2x2, stride 2, sizes rounded down
enum class TotalVariation : std::uint8_t { kL2, kL1, kHalfSum };

struct AdamParameters {
  double learning_rate = 1, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// What lbfgs_direction begins with.
struct LbfgsDirectionParameters {
  double learning_rate = 1;
  double h0_factor = 1;
  std::int64_t h0_pairs = 1;  ///< 1 or more: H0 = h0_factor * the mean of y.s / y.y over so many newest pairs
};

/// What lbfgs_decide is asked, in the order in which an iteration asks.
enum class LbfgsDecision : std::uint8_t {
  kJudge,          ///< the point that was evaluated
  kTakeDirection,  ///< where it was accepted: the direction that lbfgs_direction gave
  kTakeBent,       ///< where that direction was bent into the box: what came of it
  kTakeSteepest,   ///< where the search begins anew: the negative gradient (then kTakeBent again)
};

struct LbfgsDecisionParameters {
  double learning_rate = 1;  ///< a factor of first lengths
  double elements = 0;       ///< of the picture
  bool clamped = false;      ///< directions are bent into the box of displayable pixels
  bool preconditioned = false;
};

/// With what lbfgs_dots multiplies the rows of the history.
enum class LbfgsDots : std::uint8_t {
  kOfGradient,         ///< g alone
  kOfPairAndGradient,  ///< the spare slot's y, too
};

/// What descent_decide is asked, in the order in which an iteration asks.
enum class DescentDecision : std::uint8_t {
  kJudge,       ///< the point that was evaluated
  kTakeLength,  ///< where it is the new base: the length of the step from it
  kTakeSlope,   ///< where x was moved: whether it goes downhill (once more where momentum did not)
};

struct DescentDecisionParameters {
  double elements = 0;  ///< of the picture
  bool has_momentum = false;
};

/// Of a squared error: the value's factor and the gradient's. They are apart, because a loss's weight belongs
/// to the gradient alone.
struct LossScales {
  double value = 1, gradient = 1;
};

// clang-format off
/// Contracts. (+)= means "= or +=, as Accumulate says".
///
/// conv2d_forward      y[p,k] = act(bias[k] + sum_{dy,dx,c} x[p + (dy,dx) - pad, c] * filter[dy,dx,c,k]),
///                     overwrites. x (h,w,C), y (h',w',K), filter (3,3,C,K), zero outside x.
///                     Cross-correlation, as every framework.
/// conv2d_backward     dx (+)= transpose of the linear part applied to dy; then, where a mask is given (the
///   _data             stored post-ReLU tensor that x was), dx *= (mask > 0): the sum, not only the new part.
/// relu_forward        y = max(x, 0), as Relu::kYes of a convolution. y may be x. Not a number stays one on
///                     the CPU, so that what overflowed does not look like nothing.
/// relu_backward       dx (+)= dy * (y > 0). dx may be dy when overwriting. y is the ReLU's output or its
///                     input.
/// pool_forward        y[i,j,c] = max or mean of x[2i..2i+1, 2j..2j+1, c]; a last odd row or column of x is
///                     left out. x one pixel high or wide: y is empty. codes[i,j,c], a byte for each
///                     window, also for those that the edge of x cuts: bit p says whether position p of the
///                     window, in the order (0,0), (0,1), (1,0), (1,1), gets the gradient, bit 4 + p whether
///                     x > 0 there. Max: the first maximum gets it; average: each. Positions of a cut window
///                     do not, and those outside of x have no bit at all. y or codes may be missing.
/// pool_backward       dx (+)= the pool's gradient, by the codes: dy, average dy / 4, where their bit says
///                     so, 0 elsewhere. With Relu::kYes the sum is then multiplied by (x > 0), everywhere (x
///                     is a ReLU's output). Codes may be missing where they say nothing: average, kNo.
/// gram                g[a,b] (+)= scale * sum_p f[p,a] * f[p,b]. f (h,w,C), g (C,C) Real, symmetric to the
///                     last bit (g must be so before, when adding). Sums stay accurate for millions of
///                     positions (blocked or in double).
/// gram_backward       df[p,b] (+)= scale * sum_a f[p,a] * dg[a,b]; then, with Relu::kYes, df *= (f > 0): the
///                     sum, not only the new part. dg symmetric. Gradient of gram is scale * 2 * this.
/// squared_error       *loss = scales.value * sum_i (x[i]-t[i])^2;  d[i] (+)= scales.gradient * (x[i]-t[i]),
///                     then, with Relu::kYes, d *= (x > 0) as above. d may be empty (value only). The
///                     content loss on feature maps. Gatys et al. 2016, eq. 1, 2.
/// gram_loss           of a finished Gram matrix g: *loss = scales.value * sum (g-t)^2; d = scales.gradient *
///                     (g-t), of the activations' type: what gram_backward takes. g, t, d symmetric. The
///                     Frobenius style loss. Gatys et al. 2016, eq. 4-6.
/// style_loss          gram_loss of g = gram_scale * sum_p f[p,a] * f[p,b], which need not be stored or
///                     rounded: scratch may hold it afterwards, or anything. For features that are there as a
///                     whole; of those that come in parts, gram adds up the matrix.
/// total_variation     x in 0..255 units, any offset; p = x / 255; over all channels.
///                     l2: mean of dx^2 of p over its (h,w-1,3) differences + mean of dy^2 over its (h-1,w,3)
///                     differences; l1: sum |x-differences| + |y-differences| of x itself; half-sum:
///                     1/2 sum (dx^2 + dy^2) of p. A direction without differences counts 0.
///                     *loss = the value, without weight; d += weight * gradient with respect to x
///                     (d/d|.| at 0 is 0).
/// momentum_step       v = momentum * v + g; x -= learning_rate * v.
/// adam_step           *step += 1; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; x -= lr / (1 - b1^step) * m /
///                     (sqrt(v) / sqrt(1 - b2^step) + epsilon). Kingma, Ba 2015, as torch.optim.Adam.
/// clamp               x[p,c] = min(max(x[p,c], lower[c]), upper[c]), 3 channels.
/// average_channels    x[p,c] = (x[p,0] + x[p,1] + x[p,2]) / 3, 3 channels, the same bits in each: the
///                     projection of a gradient onto moves that keep a grey picture grey.
/// add_scaled          out = a + *scale * b; out may be a. scale is a slot.
/// dot                 *out = sum_i a[i] * b[i], products and sums in double.
/// lincomb             out = sum_r coefficients[r] * rows[r] (rows contiguous, one after another) +
///                     coefficients[rows] * g. A row whose coefficient is 0 may hold anything, NaN included.
/// lincomb_step        the same into d, then x += *t * d.
/// halve               y = D x, overwrites. x (h,w,C), y (ceil(h/2),ceil(w/2),C): along each axis y[i] =
///                     (x[2i-1] + 3 x[2i] + 3 x[2i+1] + x[2i+2]) / 8, positions beyond an end read the pixel
///                     at it. Burt, Adelson 1983 with an even kernel.
/// halve_transposed    x += scale * D'y: the transpose of halve, to rounding.
///   _add
///
/// L-BFGS without the two-loop recursion's passes over memory (Chen, Wang, Zhou, NIPS 2014). The history
/// holds slots = m + 1 pairs: row i is s_i, row slots + i is y_i; the slot after the newest is spare. `state`
/// is LbfgsState::size(slots) doubles in device memory, zero at the start (layout below); nothing is read by
/// the host. Rows, d and g_previous may hold anything before the first call.
/// lbfgs_push          writes s = *t * d and y = g - g_previous into the spare slot; then g_previous = g.
/// lbfgs_dots          dots[r] = <row r, y> (left where LbfgsDots says so), dots[R + r] = <row r, g> for all
///                     R = 2 * slots rows (y: the spare slot's; those of rows not in use mean nothing), then
///                     dots[2R] = sum |g|, dots[2R+1] = <g, g>.
/// lbfgs_direction     keeps the pair in the spare slot if y.s > 1e-10 (else, and at the first call, it stays
///                     spare), drops the oldest beyond m, runs the recursion on the inner products with
///                     the parameters' H0 (1 without a pair; fewer pairs: of those), and writes the R + 1
///                     coefficients of the direction d = -H g (rows that are not in use get 0), the step
///                     length *t = learning_rate (first call: min(1, 1/sum|g|) * learning_rate) and the slope
///                     g.d into the state. With h0_factor and h0_pairs 1 exactly torch.optim.LBFGS without
///                     line search.
///
/// With a preconditioner B the rows s_i and By_i stand where s_i and y_i do, and g_previous is Bg there.
/// lbfgs_pair_dots     with_previous[r] = <row r, v> for the two rows of the spare slot, products and sums in
///                     double; the others are left.
/// lbfgs_condition     between lbfgs_dots (of g alone) and lbfgs_direction: each <row, y> becomes <row, g> -
///                     with_previous[row] and with_previous[row] becomes <row, g>; sum |g| becomes, near
///                     enough, sum |Bg|: sum |g| * sqrt(<Bg, Bg> / <g, g>); and <g, g> becomes <g, Bg>.
///                     products: <Bg, Bg>, <g, Bg>.
///
/// With the Wolfe line search what follows an evaluation depends on its outcome (kernels/lbfgs_search.h).
/// lbfgs_decide        moves the machine by one decision, and sets the flags and the step length in `state`
///                     that the steps after it read. The same to the last bit on every device.
/// descent_decide      the same for the machine of gradient descent that finds its steps
///                     (kernels/descent_search.h), which holds the flags and the step length itself.
/// weighted_sum        *out = sum_i weights[i] * values[i] of doubles, added up in order.
// clang-format on
struct LbfgsState {
  // Indices into the state's doubles.
  static constexpr int kCount = 0;  ///< pairs in use, 0..m
  static constexpr int kSpare = 1;  ///< the spare slot
  static constexpr int kStep = 2;   ///< t
  static constexpr int kCalls = 3;  ///< calls of lbfgs_direction so far
  static constexpr int kSlope = 4;  ///< g . d
  /// Then <s_i, y_j> (of the pairs i not newer than j) and <y_i, y_j>, slots x slots each, row major.
  static constexpr int kMatrices = 8;
  static constexpr std::int64_t size(std::int64_t slots) { return kMatrices + 2 * slots * slots; }
  static constexpr std::int64_t num_dots(std::int64_t slots) { return 4 * slots + 2; }
};

}  // namespace impasto
