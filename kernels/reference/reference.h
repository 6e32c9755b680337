#pragma once
// Every primitive once more, in double and one thread, in plain loops straight from the contracts in
// kernels/ops.h: the oracle that the fast kernels are held against. Nothing here is shared with them.
// Shapes stand on the parameters; nothing may be null unless said.
#include <cstdint>

#include "kernels/ops.h"

namespace impasto::reference {

struct Size {
  std::int64_t h = 0, w = 0, c = 0;
};

void conv2d_forward(double* y,             // (h', w', out_channels)
                    const double* x,       // (h, w, c) = input
                    const double* filter,  // (3, 3, c, out_channels)
                    const double* bias,    // (out_channels)
                    Size input, std::int64_t out_channels, Padding padding, Relu relu);
void conv2d_backward_data(double* dx,            // (h, w, c) = input
                          const double* dy,      // (h', w', out_channels)
                          const double* filter,  // (3, 3, c, out_channels)
                          const double* mask,    // (h, w, c) or null
                          Size input, std::int64_t out_channels, Padding padding, Accumulate accumulate);

void relu_forward(double* y, const double* x, std::int64_t n);
void relu_backward(double* dx, const double* dy, const double* y, std::int64_t n, Accumulate accumulate);
void pool_forward(double* y,        // (h / 2, w / 2, c)
                  const double* x,  // (h, w, c) = size
                  Size size, Pooling pooling);
void pool_codes(std::uint8_t* codes,  // (ceil(h / 2), ceil(w / 2), c)
                const double* x,      // (h, w, c) = size
                Size size, Pooling pooling);
void pool_backward(double* dx,                 // (h, w, c) = size
                   const double* dy,           // (h / 2, w / 2, c)
                   const std::uint8_t* codes,  // (ceil(h / 2), ceil(w / 2), c) or null
                   Size size, Pooling pooling, Accumulate accumulate, Relu mask);

void gram(double* g,        // (c, c)
          const double* f,  // (positions, c)
          std::int64_t positions, std::int64_t c, double scale, Accumulate accumulate);
void gram_backward(double* df,        // (positions, c)
                   const double* f,   // (positions, c)
                   const double* dg,  // (c, c)
                   std::int64_t positions, std::int64_t c, double scale, Accumulate accumulate, Relu mask);
void gram_loss(double* loss,
               double* d,             // (c, c)
               const double* g,       // (c, c)
               const double* target,  // (c, c)
               std::int64_t c, LossScales scales);
void squared_error(double* loss,
                   double* d,  // (n) or null
                   const double* x, const double* target, std::int64_t n, LossScales scales,
                   Accumulate accumulate, Relu mask);
void total_variation(double* loss,
                     double* d,        // (h, w, c) or null
                     const double* x,  // (h, w, c) = size
                     Size size, TotalVariation kind, double weight);

void momentum_step(double* x, double* v, const double* g, std::int64_t n, double learning_rate,
                   double momentum);
void adam_step(double* x, double* m, double* v, double* step, const double* g, std::int64_t n,
               const AdamParameters& parameters);
/// y (ceil(h/2), ceil(w/2), c) = D x
void halve(double* y, const double* x, std::int64_t h, std::int64_t w, std::int64_t c);
/// x (h, w, c) += scale * D'y
void halve_transposed_add(double* x, const double* y, double scale, std::int64_t h, std::int64_t w,
                          std::int64_t c);
void clamp(double* x,  // (positions, 3)
           std::int64_t positions, const double* lower, const double* upper);
void average_channels(double* x,  // (positions, 3)
                      std::int64_t positions);
void add_scaled(double* out, const double* a, double scale, const double* b, std::int64_t n);
double dot(const double* a, const double* b, std::int64_t n);
void lincomb(double* out,
             const double* coefficients,  // (num_rows + 1)
             const double* rows,          // (num_rows, n)
             const double* g, std::int64_t num_rows, std::int64_t n);

void lbfgs_push(double* history,  // (2 * slots, n)
                double* g_previous, const double* state, const double* d, const double* g, std::int64_t slots,
                std::int64_t n);
void lbfgs_dots(double* dots,           // (4 * slots + 2)
                const double* history,  // (2 * slots, n)
                const double* state, const double* g, std::int64_t slots, std::int64_t n, LbfgsDots of);
void lbfgs_direction(double* coefficients,  // (2 * slots + 1)
                     double* state,         // (LbfgsState::size(slots))
                     const double* dots,    // (4 * slots + 2)
                     std::int64_t slots, const LbfgsDirectionParameters& parameters);
void lbfgs_pair_dots(double* with_previous,  // (2 * slots)
                     const double* history,  // (2 * slots, n)
                     const double* state, const double* v, std::int64_t slots, std::int64_t n);
void lbfgs_condition(double* dots,            // (4 * slots + 2)
                     double* with_previous,   // (2 * slots)
                     const double* products,  // (2)
                     std::int64_t slots);
double weighted_sum(const double* weights, const double* values, std::int64_t n);

}  // namespace impasto::reference
