// CLIP's text transformer (Radford et al. 2021).
//
// Parameters carry the names of transformers' CLIPTextModel:
//
//   text_model.embeddings.{token_embedding,position_embedding}.weight
//   text_model.encoder.layers.I.{layer_norm1,self_attn.{q,k,v,out}_proj,layer_norm2,mlp.fc{1,2}}
//   text_model.final_layer_norm
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/models/clip_layer.h>
#include <easel/nn/layers.h>

namespace easel {

// transformers' CLIPTextConfig, under its names; the defaults are ViT-L/14.
struct ClipTextConfig {
  int64_t vocab_size = 49408;
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t max_position_embeddings = 77;
  std::string hidden_act = "quick_gelu";  // or "gelu"
  double layer_norm_eps = 1e-5;
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const ClipTextConfig& config);

class ClipText {
 public:
  explicit ClipText(const ClipTextConfig& config);

  // tokens_BT int64, T <= max_position_embeddings. Returns [B, T, hidden_size]: the output of layer
  // num_hidden_layers - (clip_skip - 1), after the final layer norm. clip_skip 1 is the last layer.
  Tensor forward(const Tensor& tokens_BT, int64_t clip_skip = 1) const;

  const ClipTextConfig& config() const { return config_; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("text_model.embeddings.token_embedding", self.token_embedding_);
    visit("text_model.embeddings.position_embedding", self.position_embedding_);
    visit("text_model.encoder.layers", self.layers_);
    visit("text_model.final_layer_norm", self.final_layer_norm_);
  }

 private:
  ClipTextConfig config_;
  nn::Embedding token_embedding_;
  nn::Embedding position_embedding_;
  std::vector<ClipLayer> layers_;
  nn::LayerNorm final_layer_norm_;
};

}  // namespace easel
