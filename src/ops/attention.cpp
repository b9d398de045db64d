#include "easel/ops/attention.h"

#include <ATen/ATen.h>

#include "cpu/float32.h"

namespace easel::ops {

Tensor attention(const Tensor& q_BTD, const Tensor& k_BSD, const Tensor& v_BSD, int64_t heads,
                 bool causal) {
  TORCH_CHECK(q_BTD.dim() == 3 && heads > 0 && q_BTD.size(2) % heads == 0, "attention: queries ",
              q_BTD.sizes(), " cannot be split into ", heads, " heads");
  if (!causal && cpu::serves_attention(q_BTD, k_BSD, v_BSD)) {
    // For narrower numbers too: ATen is no faster with them than with float32.
    return cpu::attention(q_BTD.to(at::kFloat), k_BSD.to(at::kFloat), v_BSD.to(at::kFloat), heads)
        .to(q_BTD.scalar_type());
  }
  const auto split = [&](const Tensor& x) {
    return x.unflatten(2, {heads, x.size(2) / heads}).transpose(1, 2);
  };
  const Tensor out_BNTE = at::scaled_dot_product_attention(
      split(q_BTD), split(k_BSD), split(v_BSD), /*attn_mask=*/{}, /*dropout_p=*/0.0, causal);
  return out_BNTE.transpose(1, 2).flatten(2);
}

}  // namespace easel::ops
