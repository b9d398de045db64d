// CLIP: a text and a vision tower that meet in one space (Radford et al. 2021, "Learning
// Transferable Visual Models From Natural Language Supervision").
//
// Parameters carry the names of transformers' CLIPModel: text_model..., vision_model...,
// text_projection.weight, visual_projection.weight, logit_scale. So the text tower's parameters are
// those of a ClipText of the same config.
#pragma once

#include <cstdint>

#include <easel/base/tensor.h>
#include <easel/models/clip_text.h>
#include <easel/models/clip_vision.h>
#include <easel/nn/layers.h>

namespace easel {

struct ClipConfig {
  ClipTextConfig text;
  ClipVisionConfig vision;
  int64_t projection_dim = 512;
  double logit_scale_init_value = 2.6592;  // ln(1 / 0.07)
  int64_t eos_token_id = 49407;            // its first occurrence stands for the caption
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const ClipConfig& config);

class Clip {
 public:
  explicit Clip(const ClipConfig& config);

  // tokens_BT int64, each row with an end of text (eos_token_id). Returns [B, projection_dim], not
  // normalised (transformers' get_text_features).
  Tensor encode_text(const Tensor& tokens_BT) const;

  // pictures_BCHW as ClipVision takes them. Returns [B, projection_dim], not normalised
  // (get_image_features).
  Tensor encode_image(const Tensor& pictures_BCHW) const;

  const ClipConfig& config() const { return config_; }

  ClipText text;
  ClipVision vision;
  nn::Linear text_projection;
  nn::Linear visual_projection;
  Tensor logit_scale;  // [], the logarithm of the inverse temperature

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    ClipText::members(self.text, visit);
    ClipVision::members(self.vision, visit);
    visit("text_projection", self.text_projection);
    visit("visual_projection", self.visual_projection);
    visit("logit_scale", self.logit_scale);
  }

 private:
  ClipConfig config_;
};

// Cosine similarities times exp(logit_scale), at most 100: [texts, images]. The features, [B, D],
// need not be normalised.
Tensor clip_logits(const Tensor& text_BD, const Tensor& image_BD, const Tensor& logit_scale);

// The symmetric cross-entropy of picking each text's image and each image's text, row i belonging
// to row i: a scalar.
Tensor contrastive_loss(const Tensor& text_BD, const Tensor& image_BD, const Tensor& logit_scale);

// Brings logit_scale back to at most ln 100, as CLIP does behind every step of the optimizer. (The
// loss clamps as well; a parameter beyond the bound would then have no gradient to come back by.)
void clamp_logit_scale(Clip& clip);

}  // namespace easel
