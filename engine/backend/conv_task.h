#pragma once
// One convolution, as what it is prepared and planned for.
#include <cstdint>

#include "engine/core/tensor.h"
#include "kernels/ops.h"

namespace impasto {

/// The forms of a convolution. A device chooses a way and plans workspace for each apart.
enum class ConvOp : std::uint8_t { kForwardRelu, kForward, kBackwardData, kBackwardDataAdd };
[[nodiscard]] constexpr ConvOp conv_op(Relu relu) {
  return relu == Relu::kYes ? ConvOp::kForwardRelu : ConvOp::kForward;
}
[[nodiscard]] constexpr ConvOp conv_op(Accumulate accumulate) {
  return accumulate == Accumulate::kAdd ? ConvOp::kBackwardDataAdd : ConvOp::kBackwardData;
}
[[nodiscard]] constexpr bool is_forward(ConvOp op) {
  return op == ConvOp::kForwardRelu || op == ConvOp::kForward;
}

/// One convolution as it is to be done; input and output are the layer's, in both directions.
struct ConvTask {
  ConvOp op = ConvOp::kForwardRelu;
  Shape input;
  std::int64_t out_channels = 0;
  Padding padding{};
  [[nodiscard]] constexpr Shape output() const {
    return {input.h + padding.top + padding.bottom - 2, input.w + padding.left + padding.right - 2,
            out_channels};
  }
};

}  // namespace impasto
