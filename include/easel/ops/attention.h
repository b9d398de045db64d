// Scaled dot-product attention (Vaswani et al. 2017).
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops {

// q_BTD [B, T, heads E], k_BSD [B, S, heads E], v_BSD [B, S, heads E]: the features of one head are
// neighbours. Returns softmax(q k^T / sqrt(E)) v, heads side by side again: [B, T, heads E].
// `causal` (T = S): token t sees tokens 0 to t.
Tensor attention(const Tensor& q_BTD, const Tensor& k_BSD, const Tensor& v_BSD, int64_t heads,
                 bool causal = false);

}  // namespace easel::ops
