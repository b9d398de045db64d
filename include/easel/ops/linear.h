// Affine maps: the operators in which nearly all of a model's time goes.
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops {

// x [..., I], weight [O, I], bias [O] or undefined. Returns x weight^T + bias, [..., O].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

// x_BCHW, weight [O, C, K, K], bias [O] or undefined. Cross-correlation with zero padding on all
// four sides: [B, O, (H + 2 padding - K) / stride + 1, ...].
Tensor conv2d(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias, int64_t stride = 1,
              int64_t padding = 0);

}  // namespace easel::ops
