// CLIP's vision transformer (Dosovitskiy et al. 2021; Radford et al. 2021).
//
// Parameters carry the names of transformers' CLIPVisionModel:
//
//   vision_model.embeddings.{class_embedding,patch_embedding.weight,position_embedding.weight}
//   vision_model.pre_layrnorm (spelt so)
//   vision_model.encoder.layers.I as in the text transformer
//   vision_model.post_layernorm
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/models/clip_layer.h>
#include <easel/nn/layers.h>

namespace easel {

// transformers' CLIPVisionConfig, under its names and with its defaults (ViT-B/32).
struct ClipVisionConfig {
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t num_channels = 3;
  int64_t image_size = 224;               // pixels along a side
  int64_t patch_size = 32;                // what image_size leaves over is not looked at
  std::string hidden_act = "quick_gelu";  // or "gelu"
  double layer_norm_eps = 1e-5;

  int64_t num_patches() const { return (image_size / patch_size) * (image_size / patch_size); }
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const ClipVisionConfig& config);

class ClipVision {
 public:
  explicit ClipVision(const ClipVisionConfig& config);

  // pictures_BCHW [B, num_channels, image_size, image_size], normalised as the weights expect.
  // Returns [B, 1 + num_patches, hidden_size]: the class token's features, then those of the
  // patches row by row, before the last layer norm (transformers' last_hidden_state).
  Tensor forward(const Tensor& pictures_BCHW) const;

  // The same behind all layers but the last (hidden_states[-2]).
  Tensor penultimate(const Tensor& pictures_BCHW) const;

  // The class token's features behind the last layer norm, [B, hidden_size] (pooler_output).
  Tensor pooled(const Tensor& pictures_BCHW) const;

  const ClipVisionConfig& config() const { return config_; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("vision_model.embeddings.class_embedding", self.class_embedding_D_);
    visit("vision_model.embeddings.patch_embedding", self.patch_embedding_);
    visit("vision_model.embeddings.position_embedding", self.position_embedding_);
    visit("vision_model.pre_layrnorm", self.pre_layernorm_);
    visit("vision_model.encoder.layers", self.layers_);
    visit("vision_model.post_layernorm", self.post_layernorm_);
  }

 private:
  Tensor behind(const Tensor& pictures_BCHW, size_t num_layers) const;

  ClipVisionConfig config_;
  Tensor class_embedding_D_;
  nn::Conv2d patch_embedding_;
  nn::Embedding position_embedding_;
  nn::LayerNorm pre_layernorm_;
  std::vector<ClipLayer> layers_;
  nn::LayerNorm post_layernorm_;
};

}  // namespace easel
