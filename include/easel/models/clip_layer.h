// The transformer layer that CLIP's text and vision towers are made of (Radford et al. 2021).
#pragma once

#include <cstdint>
#include <string>

#include <easel/base/tensor.h>
#include <easel/nn/layers.h>

namespace easel {

struct ClipLayerOptions {
  int64_t hidden_size;
  int64_t intermediate_size;
  int64_t heads;
  bool quick_gelu;  // x sigmoid(1.702 x); otherwise the exact GELU
  double layer_norm_eps;
  bool causal;  // a position attends to itself and those before it (text)
};

// Self-attention and a feed-forward network, each behind a layer norm and with a residual.
struct ClipLayer {
  nn::LayerNorm layer_norm1;
  nn::Linear q_proj, k_proj, v_proj, out_proj;
  nn::LayerNorm layer_norm2;
  nn::Linear fc1, fc2;
  int64_t heads;
  bool quick_gelu;
  bool causal;

  explicit ClipLayer(const ClipLayerOptions& options);
  Tensor forward(const Tensor& x_BTD) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("layer_norm1", self.layer_norm1);
    visit("self_attn.q_proj", self.q_proj);
    visit("self_attn.k_proj", self.k_proj);
    visit("self_attn.v_proj", self.v_proj);
    visit("self_attn.out_proj", self.out_proj);
    visit("layer_norm2", self.layer_norm2);
    visit("mlp.fc1", self.fc1);
    visit("mlp.fc2", self.fc2);
  }
};

}  // namespace easel
