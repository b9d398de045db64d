#include "easel/models/clip_vision.h"

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/nn/stored_weights.h>
#include <easel/ops/activation.h>

#include "clip_tower.h"

namespace easel {
namespace {

const ClipVisionConfig& checked(const ClipVisionConfig& config) {
  check(config);
  return config;
}

}  // namespace

void check(const ClipVisionConfig& config) {
  using models::check_range;
  models::check_transformer("vision encoder config", config);
  check_range("vision encoder config: num_channels", config.num_channels, 1, models::kMaxChannels);
  check_range("vision encoder config: image_size", config.image_size, 1, models::kMaxChannels);
  check_range("vision encoder config: patch_size", config.patch_size, 1, config.image_size);
  check_range("vision encoder config: image_size / patch_size, squared", config.num_patches(), 1,
              models::kMaxChannels);
}

ClipVision::ClipVision(const ClipVisionConfig& config)
    : config_(checked(config)),
      class_embedding_D_(nn::parameter({config.hidden_size})),
      patch_embedding_(config.num_channels, config.hidden_size, config.patch_size,
                       config.patch_size, /*padding=*/0, /*with_bias=*/false),
      position_embedding_(1 + config.num_patches(), config.hidden_size),
      pre_layernorm_(config.hidden_size, config.layer_norm_eps),
      layers_(models::clip_layers(config, /*causal=*/false)),
      post_layernorm_(config.hidden_size, config.layer_norm_eps) {}

Tensor ClipVision::forward(const Tensor& pictures_BCHW) const {
  return behind(pictures_BCHW, layers_.size());
}

Tensor ClipVision::penultimate(const Tensor& pictures_BCHW) const {
  return behind(pictures_BCHW, layers_.size() - 1);
}

Tensor ClipVision::behind(const Tensor& pictures_BCHW, size_t num_layers) const {
  const int64_t size = config_.image_size;
  if (pictures_BCHW.dim() != 4 || pictures_BCHW.size(1) != config_.num_channels ||
      pictures_BCHW.size(2) != size || pictures_BCHW.size(3) != size) {
    fail("vision encoder: the pictures have shape {}; expected [B, {}, {}, {}]; resize them",
         shape_text(pictures_BCHW.sizes()), config_.num_channels, size, size);
  }
  const Tensor patches_BTD = patch_embedding_.forward(pictures_BCHW).flatten(2).transpose(1, 2);
  const Tensor class_B1D = nn::StoredWeights::placed(class_embedding_D_)
                               .to(patches_BTD.scalar_type())
                               .expand({pictures_BCHW.size(0), 1, config_.hidden_size});
  Tensor x_BTD = ops::add(at::cat({class_B1D, patches_BTD}, 1),
                          nn::StoredWeights::placed(position_embedding_.weight));
  x_BTD = pre_layernorm_.forward(x_BTD);
  for (size_t i = 0; i < num_layers; ++i) x_BTD = layers_[i].forward(x_BTD);
  return x_BTD;
}

Tensor ClipVision::pooled(const Tensor& pictures_BCHW) const {
  return post_layernorm_.forward(forward(pictures_BCHW).select(1, 0));
}

}  // namespace easel
