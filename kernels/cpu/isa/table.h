// The whole of one compilation. The including file has defined IMPASTO_ISA, the namespace and name.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/cpu/kernels.h"

#define IMPASTO_TEXT_OF(name) #name
#define IMPASTO_TEXT(name) IMPASTO_TEXT_OF(name)

namespace impasto::cpu::IMPASTO_ISA {

#include "kernels/cpu/isa/simd.h"
//
#include "kernels/cpu/isa/matmul.h"
//
#include "kernels/cpu/isa/conv.h"
#include "kernels/cpu/isa/features.h"
#include "kernels/cpu/isa/gram.h"
#include "kernels/cpu/isa/losses.h"
#include "kernels/cpu/isa/vectors.h"
#include "kernels/cpu/isa/winograd.h"

extern const Kernels kKernels;
const Kernels kKernels = {
    .name = IMPASTO_TEXT(IMPASTO_ISA),
    .vector_floats = kLanes,
    .panel = kPanel,
    .multiply_add_flops = 2 * kRows * kVectors * kLanes,
    .multiply_add = multiply_add,
    .conv_item = conv_item,
    .winograd_filter = winograd_filter,
    .winograd_input = winograd_input,
    .winograd_prefetch = winograd_prefetch,
    .winograd_multiply = winograd_multiply,
    .winograd_output = winograd_output,
    .multiply_rows = multiply_rows,
    .gram_item = gram_item,
    .relu = relu,
    .relu_backward = relu_backward,
    .pool_rows = pool_rows,
    .pool_backward_rows = pool_backward_rows,
    .squared_error = squared_error,
    .total_variation = total_variation,
    .momentum = momentum,
    .adam = adam,
    .clamp = clamp,
    .average_channels = average_channels,
    .add_scaled = add_scaled,
    .dot = dot,
    .sum_abs = sum_abs,
    .lbfgs_pair = lbfgs_pair,
    .lincomb = lincomb,
};

}  // namespace impasto::cpu::IMPASTO_ISA
