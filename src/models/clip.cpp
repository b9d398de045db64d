#include "easel/models/clip.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>

#include "config_checks.h"

namespace easel {
namespace {

const double kMaxLogitScale = std::log(100.0);

const ClipConfig& checked(const ClipConfig& config) {
  check(config);
  return config;
}

Tensor normalised(const Tensor& x_BD) {
  return x_BD / at::linalg_vector_norm(x_BD, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
}

}  // namespace

void check(const ClipConfig& config) {
  check(config.text);
  check(config.vision);
  models::check_range("CLIP config: projection_dim", config.projection_dim, 1,
                      models::kMaxChannels);
  models::check_range("CLIP config: eos_token_id", config.eos_token_id, 0,
                      config.text.vocab_size - 1);
  if (!(config.logit_scale_init_value <= kMaxLogitScale)) {
    fail_usage("CLIP config: logit_scale_init_value is {}; it must be at most {} (ln 100)",
               config.logit_scale_init_value, kMaxLogitScale);
  }
}

Clip::Clip(const ClipConfig& config)
    : text(checked(config).text),
      vision(config.vision),
      text_projection(config.text.hidden_size, config.projection_dim, /*with_bias=*/false),
      visual_projection(config.vision.hidden_size, config.projection_dim, /*with_bias=*/false),
      logit_scale(nn::parameter({})),
      config_(config) {}

Tensor Clip::encode_text(const Tensor& tokens_BT) const {
  const Tensor x_BTD = text.forward(tokens_BT);
  const Tensor ends_BT = tokens_BT == config_.eos_token_id;
  const Tensor missing_B = ends_BT.any(1).logical_not();
  if (missing_B.any().item<bool>()) {
    fail(
        "CLIP: the tokens of caption {} of {} have no end of text (token {}); truncate captions "
        "before their end is appended",
        missing_B.nonzero()[0].item<int64_t>(), tokens_BT.size(0), config_.eos_token_id);
  }
  // argmax gives the first of equal values.
  const Tensor end_B = ends_BT.to(at::kInt).argmax(1);
  const Tensor row_B = at::arange(tokens_BT.size(0), end_B.options());
  return text_projection.forward(x_BTD.index({row_B, end_B}));
}

Tensor Clip::encode_image(const Tensor& pictures_BCHW) const {
  return visual_projection.forward(vision.pooled(pictures_BCHW));
}

Tensor clip_logits(const Tensor& text_BD, const Tensor& image_BD, const Tensor& logit_scale) {
  if (text_BD.dim() != 2 || image_BD.dim() != 2 || text_BD.size(1) != image_BD.size(1)) {
    fail("CLIP: features of shapes {} (text) and {} (image); expected [B, D] of one D",
         shape_text(text_BD.sizes()), shape_text(image_BD.sizes()));
  }
  return at::matmul(normalised(text_BD), normalised(image_BD).t()) *
         logit_scale.clamp_max(kMaxLogitScale).exp();
}

Tensor contrastive_loss(const Tensor& text_BD, const Tensor& image_BD, const Tensor& logit_scale) {
  const Tensor logits = clip_logits(text_BD, image_BD, logit_scale).to(at::kFloat);
  if (logits.size(0) != logits.size(1) || logits.size(0) < 1) {
    fail("CLIP: {} captions and {} pictures; expected as many of one as of the other",
         logits.size(0), logits.size(1));
  }
  const Tensor label_B = at::arange(logits.size(0), logits.options().dtype(at::kLong));
  return (at::cross_entropy_loss(logits, label_B) + at::cross_entropy_loss(logits.t(), label_B)) /
         2;
}

void clamp_logit_scale(Clip& clip) {
  const at::NoGradGuard no_grad;
  clip.logit_scale.clamp_max_(kMaxLogitScale);
}

}  // namespace easel
