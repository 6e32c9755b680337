#pragma once
// Launchers of the CUDA kernels: device pointers, sizes and a stream in; a status out. What each computes
// stands in kernels/ops.h; here are only memory, types and cost. Host code never sees a <<<>>>. Nothing
// waits, nothing allocates, every call may be captured into a CUDA graph.
//
//   Types     "activation" tensors (feature maps, their gradients, the Gram matrices' gradients) are of the
//             type that `Storage` says; "real" ones are float; slots are double. Arithmetic is float, totals
//             are double.
//   Sizes     any; 16-byte loads where pointer and size allow, single elements where not.
//   Repeats   bit for bit for given sizes and a given GPU: block sums in a fixed order, then the last block
//             to finish adds them up (an integer ticket finds it; no float atomics).
//   Aliasing  as in kernels/ops.h. A pointer may be any position of a tensor: aligned for its element, not
//             for 16 bytes.
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/gradient_scale.h"
#include "kernels/ops.h"

namespace impasto::cuda {

enum class Storage : std::uint8_t { kFloat32, kFloat16, kBFloat16, kFloat64 };

/// Of the gradients of feature maps in fp16, in device memory.
struct ScaledGradients {
  float scale = 1;  ///< a power of two that they are multiplied by
  float peak = 0;   ///< largest |value| offered so far, before saturation
};

/// Where and how to launch. Scratch belongs to the stream: two calls on one stream may share it.
struct Launch {
  cudaStream_t stream = nullptr;
  int num_sms = 1;
  int threads_per_sm = 2048;            ///< that a multiprocessor holds at a time
  std::size_t shared_bytes = 48 << 10;  ///< of shared memory that a block may have
  double* partials = nullptr;           ///< kNumPartials doubles of device memory: the blocks' sums
  unsigned* ticket = nullptr;           ///< one counter in device memory, 0 between calls
  const double* when =
      nullptr;  ///< a flag in device memory: where it is 0 a kernel leaves at once; null: none
  ScaledGradients* scaled = nullptr;  ///< fp16 only, else null
};
constexpr std::int64_t kNumPartials = std::int64_t{1} << 18;  // 2 MiB

/// cudaErrorNoKernelImageForDevice if the kernels were not compiled for the current device.
[[nodiscard]] cudaError_t find_code();

// --- transfers and pixels (pixels.cu)

// convert, fill, clamp and what stands from add_scaled to lincomb heed launch.when; the others return
// cudaErrorNotSupported where it is set.

/// dst[i] = dst_type(src[i]) for n elements; any pair of types. Not in place.
[[nodiscard]] cudaError_t convert(const Launch&, void* dst, Storage dst_type, const void* src,
                                  Storage src_type, std::int64_t n);
/// dst[i] = value.
[[nodiscard]] cudaError_t fill(const Launch&, void* dst, Storage type, double value, std::int64_t n);
/// input (n, channels) activation <- picture (n, 3) float; channels 3.. become zero.
[[nodiscard]] cudaError_t picture_to_input(const Launch&, void* input, Storage type, std::int64_t channels,
                                           const float* picture, std::int64_t n);
/// dpicture (n, 3) float (+)= first three channels of dinput (n, channels) activation, without their scale.
[[nodiscard]] cudaError_t input_to_picture(const Launch&, float* dpicture, const void* dinput, Storage type,
                                           std::int64_t channels, std::int64_t n, Accumulate);

// --- ReLU and pooling (activations.cu)
// Gradients stored as fp16 saturate at +-65504 instead of becoming infinite, and raise launch.scaled->peak,
// if it is there, to the largest magnitude before that (an integer atomicMax on its bits). cuDNN and cuBLAS
// write infinities; every kernel that reads a gradient takes them for that number.

[[nodiscard]] cudaError_t relu_forward(const Launch&, void* y, const void* x, Storage, std::int64_t n);
/// dx (+)= dy * (y > 0). dx may be dy.
[[nodiscard]] cudaError_t relu_backward(const Launch&, void* dx, const void* dy, const void* y, Storage,
                                        std::int64_t n, Accumulate);
/// dx = dx * (mask > 0), in place; mask null: only the saturation. Reads 2, writes 1 element each.
[[nodiscard]] cudaError_t mask_gradient(const Launch&, void* dx, const void* mask, Storage, std::int64_t n);
/// x (h, w, c) -> y (h / 2, w / 2, c) and codes (ceil(h / 2), ceil(w / 2), c); either may be null.
[[nodiscard]] cudaError_t pool_forward(const Launch&, void* y, std::uint8_t* codes, const void* x, Storage,
                                       std::int64_t h, std::int64_t w, std::int64_t c, Pooling);
/// dx (h, w, c) (+)= ..., then masked if `mask` says so: pool backward, tap injection and ReLU mask in one
/// pass. codes null: of an average, not masked.
[[nodiscard]] cudaError_t pool_backward(const Launch&, void* dx, const void* dy, const std::uint8_t* codes,
                                        Storage, std::int64_t h, std::int64_t w, std::int64_t c, Pooling,
                                        Accumulate, Relu mask);

// --- losses (losses.cu)

// A gradient in fp16 is multiplied by launch.scaled->scale (1 if null), and watched as above.

/// *loss = scales.value * sum (x - target)^2; d (if not null) (+)= scales.gradient * (x - target), then
/// masked by x > 0 if `mask` says so. x, target and d of one type.
[[nodiscard]] cudaError_t squared_error(const Launch&, double* loss, void* d, const void* x,
                                        const void* target, Storage, std::int64_t n, LossScales scales,
                                        Accumulate, Relu mask);
/// g (c, c) (+)= scale * sum of `parts` (num_parts, c, c) float, added up in double in order of the part;
/// element (a, b) and (b, a) both from part elements (min, max), so that g is symmetric to the last bit.
[[nodiscard]] cudaError_t gram_sum(const Launch&, float* g, const float* parts, std::int64_t num_parts,
                                   std::int64_t c, double scale, Accumulate);
/// The Frobenius style loss of a finished g (c, c) float, whose upper triangle is read:
///   *loss = scales.value * sum (g - target)^2,
///   d (c, c) activation = scales.gradient * (g - target), symmetric to the last bit; fp16 saturates.
[[nodiscard]] cudaError_t gram_loss(const Launch&, double* loss, void* d, Storage, const float* g,
                                    const float* target, std::int64_t c, LossScales scales);
/// The same of g = gram_scale * sum of parts as gram_sum forms it, which is neither stored nor rounded.
[[nodiscard]] cudaError_t style_loss(const Launch&, double* loss, void* d, Storage, const float* parts,
                                     std::int64_t num_parts, const float* target, std::int64_t c,
                                     double gram_scale, LossScales scales);
/// Can gram_backward do it? It works on tensor cores: 16 bits, 64 channels or a multiple of 128 as far as
/// shared memory goes, all aligned to 16 bytes.
[[nodiscard]] bool takes_gram_backward(std::size_t shared_bytes, Storage, const void* df, const void* f,
                                       const void* dg, std::int64_t c);
/// df (n, c) (+)= scale * f dg, then masked by f > 0 if `mask` says so: one pass over f and df. Float sums.
[[nodiscard]] cudaError_t gram_backward(const Launch&, void* df, const void* f, const void* dg, Storage,
                                        std::int64_t n, std::int64_t c, float scale, Accumulate, Relu mask);
/// *peak = launch.scaled->peak, which becomes 0, and next_gradient_scale. launch.scaled not null.
[[nodiscard]] cudaError_t watch_gradients(const Launch&, double* peak, GradientRoom);
/// x (h, w, 3) float. *loss = the value without weight; d (if not null) += weight * gradient.
[[nodiscard]] cudaError_t total_variation(const Launch&, double* loss, float* d, const float* x,
                                          std::int64_t h, std::int64_t w, TotalVariation, double weight);

// --- optimisers (vectors.cu, lbfgs.cu); every vector has n floats

[[nodiscard]] cudaError_t momentum_step(const Launch&, float* x, float* v, const float* g, std::int64_t n,
                                        double learning_rate, double momentum);
/// One launch: every block reads *step, the last one to finish raises it.
[[nodiscard]] cudaError_t adam_step(const Launch&, float* x, float* m, float* v, double* step, const float* g,
                                    std::int64_t n, const AdamParameters&);
/// y (ceil(h/2), ceil(w/2), c), x (h, w, c)
[[nodiscard]] cudaError_t halve(const Launch&, float* y, const float* x, std::int64_t h, std::int64_t w,
                                std::int64_t c);
[[nodiscard]] cudaError_t halve_transposed_add(const Launch&, float* x, const float* y, double scale,
                                               std::int64_t h, std::int64_t w, std::int64_t c);
/// x (n, 3)
[[nodiscard]] cudaError_t clamp(const Launch&, float* x, std::int64_t n, const double lower[3],
                                const double upper[3]);
/// x (n, 3)
[[nodiscard]] cudaError_t average_channels(const Launch&, float* x, std::int64_t n);
[[nodiscard]] cudaError_t add_scaled(const Launch&, float* out, const float* a, const double* scale,
                                     const float* b, std::int64_t n);
[[nodiscard]] cudaError_t dot(const Launch&, double* out, const float* a, const float* b, std::int64_t n);
/// a, b of an activation type: the energy of a content target.
[[nodiscard]] cudaError_t dot(const Launch&, double* out, const void* a, const void* b, Storage,
                              std::int64_t n);
/// with_previous[r] = <row r of the history, v> for the two rows of the spare slot.
[[nodiscard]] cudaError_t lbfgs_pair_dots(const Launch&, double* with_previous, const float* history,
                                          const double* state, const float* v, std::int64_t slots,
                                          std::int64_t n);
/// history (2 * slots, n).
[[nodiscard]] cudaError_t lbfgs_push(const Launch&, float* history, float* g_previous, const double* state,
                                     const float* d, const float* g, std::int64_t slots, std::int64_t n);
/// All 2 * slots + 2 or 4 * slots + 2 inner products in one pass over the history: each element is read once.
[[nodiscard]] cudaError_t lbfgs_dots(const Launch&, double* dots, const float* history, const double* state,
                                     const float* g, std::int64_t slots, std::int64_t n, LbfgsDots of);
/// The recursion on the inner products, one block.
[[nodiscard]] cudaError_t lbfgs_direction(const Launch&, double* coefficients, double* state,
                                          const double* dots, std::int64_t slots,
                                          const LbfgsDirectionParameters& parameters);
[[nodiscard]] cudaError_t lbfgs_condition(const Launch&, double* dots, double* with_previous,
                                          const double* products, std::int64_t slots);
/// out = sum_r coefficients[r] * rows[r] + coefficients[num_rows] * g; rows whose coefficient is 0 are not
/// read. With x not null also x += *t * out, in the same pass.
[[nodiscard]] cudaError_t lincomb(const Launch&, float* out, const double* coefficients, const float* rows,
                                  std::int64_t num_rows, const float* g, std::int64_t n, float* x,
                                  const double* t);

// --- decisions (search.cu)

[[nodiscard]] cudaError_t lbfgs_decide(const Launch&, double* machine, double* state, const double* sums,
                                       LbfgsDecision, const LbfgsDecisionParameters&);
[[nodiscard]] cudaError_t descent_decide(const Launch&, double* machine, const double* dots, DescentDecision,
                                         const DescentDecisionParameters&);
[[nodiscard]] cudaError_t weighted_sum(const Launch&, double* out, const double* weights,
                                       const double* values, std::int64_t n);

}  // namespace impasto::cuda
