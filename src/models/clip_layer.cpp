#include "easel/models/clip_layer.h"

#include <ATen/ATen.h>

#include <easel/ops/activation.h>
#include <easel/ops/attention.h>

namespace easel {

ClipLayer::ClipLayer(const ClipLayerOptions& o)
    : layer_norm1(o.hidden_size, o.layer_norm_eps),
      q_proj(o.hidden_size, o.hidden_size),
      k_proj(o.hidden_size, o.hidden_size),
      v_proj(o.hidden_size, o.hidden_size),
      out_proj(o.hidden_size, o.hidden_size),
      layer_norm2(o.hidden_size, o.layer_norm_eps),
      fc1(o.hidden_size, o.intermediate_size),
      fc2(o.intermediate_size, o.hidden_size),
      heads(o.heads),
      quick_gelu(o.quick_gelu),
      causal(o.causal) {}

Tensor ClipLayer::forward(const Tensor& x_BTD) const {
  Tensor h = layer_norm1.forward(x_BTD);
  h = ops::attention(q_proj.forward(h), k_proj.forward(h), v_proj.forward(h), heads, causal);
  const Tensor x = ops::add(out_proj.forward(h), x_BTD);
  h = fc1.forward(layer_norm2.forward(x));
  return ops::add(fc2.forward(quick_gelu ? ops::quick_gelu(h) : ops::gelu(h)), x);
}

}  // namespace easel
