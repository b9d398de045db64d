// The hand-written float32 operators for CPUs, each with the condition under which it serves. They
// record no gradient, keep nothing between calls (weights are packed block by block as they are
// used: that costs a few parts in a hundred and no memory) and may run on any number of threads.
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops::cpu {

// x is float32 on a CPU that has the kernels, no gradient is recorded, and neither AtenOnly nor
// autocast asks for ATen.
bool serves(const Tensor& x);

// x [..., I], weight [O, I] or [O, I, 1, 1], bias [O] or undefined.
bool serves_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

// The 3 x 3 convolution with stride 1 and padding 1, by Winograd's algorithm. The result has its
// channels last.
bool serves_winograd(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias, int64_t stride,
                     int64_t padding);
Tensor winograd(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias);

// x_BCHW with its channels last; so is the result.
bool serves_channels(const Tensor& x_BCHW);
bool serves_group_norm(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias);
Tensor group_norm(const Tensor& x_BCHW, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps, bool silu);
// Its two halves: the sums of each channel's values and of their squares, [2, B, C] in float64, and
// x * scale + shift by channel (contiguous [B, C]).
Tensor channel_sums(const Tensor& x_BCHW);
Tensor scale_channels(const Tensor& x_BCHW, const Tensor& scale_BC, const Tensor& shift_BC,
                      bool silu);

// q_BTD [B, T, D], k_BSD and v_BSD [B, S, D]; every head has D / heads features. No mask. Numbers
// narrower than float32 are served too, when they are widened.
bool serves_attention(const Tensor& q_BTD, const Tensor& k_BSD, const Tensor& v_BSD);
Tensor attention(const Tensor& q_BTD, const Tensor& k_BSD, const Tensor& v_BSD, int64_t heads);

bool serves_geglu(const Tensor& x);
Tensor geglu(const Tensor& x);

}  // namespace easel::ops::cpu
