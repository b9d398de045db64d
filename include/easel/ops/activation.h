// Pointwise functions.
//
// An argument passed as Tensor&& is given up: its memory may carry the result where no gradient is
// recorded. Give only tensors whose storage nothing else refers to, such as the result of a linear
// map; the result is the same either way.
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops {

// x sigmoid(x).
Tensor silu(const Tensor& x);
Tensor silu(Tensor&& x);

// x Phi(x), Phi the normal distribution function (not the tanh approximation).
Tensor gelu(const Tensor& x);

// x sigmoid(1.702 x): the approximation that OpenAI's CLIP was trained with.
Tensor quick_gelu(const Tensor& x);

// x [..., 2 D] -> [..., D]: the first half times gelu of the second (Shazeer 2020).
Tensor geglu(const Tensor& x);

// x + y, y broadcast to the shape of x.
Tensor add(Tensor&& x, const Tensor& y);

}  // namespace easel::ops
