#include "model_config_checks.h"

#include <cmath>

#include <easel/base/error.h>

namespace easel {

void check_model_config(const ModelConfig& config, const std::string& name) {
  try {
    make_noise_schedule(config.schedule);
  } catch (const Error& error) {
    fail_usage("{}: {}", name, error.what());
  }
  if (!std::isfinite(config.scale_factor) || config.scale_factor <= 0) {
    fail_usage("{}: scale_factor is {}; it must be above 0", name, config.scale_factor);
  }
  const int64_t latents = config.autoencoder.embed_dim;
  if (config.unet.out_channels != latents) {
    fail_usage("{}: the UNet's out_channels {} must equal the autoencoder's embed_dim {}", name,
               config.unet.out_channels, latents);
  }
  const bool concatenates = config.conditioning_key != ConditioningKey::CrossAttention;
  if (!concatenates && config.unet.in_channels != latents) {
    fail_usage(
        "{}: the UNet's in_channels {} must equal the autoencoder's embed_dim {} with "
        "conditioning_key crossattn (an inpainting model has conditioning_key hybrid)",
        name, config.unet.in_channels, latents);
  }
  if (concatenates && config.unet.in_channels <= latents) {
    fail_usage(
        "{}: the UNet's in_channels {} must be above the autoencoder's embed_dim {} with "
        "conditioning_key concat or hybrid",
        name, config.unet.in_channels, latents);
  }
  if (config.conditioning_key != ConditioningKey::Concat) {
    if (!config.unet.context_dim) {
      fail_usage(
          "{}: the UNet has no context_dim, so a prompt would have no effect; "
          "conditioning_key crossattn and hybrid need use_spatial_transformer",
          name);
    }
    if (*config.unet.context_dim != config.text_encoder.hidden_size) {
      fail_usage("{}: the UNet's context_dim {} must equal the text encoder's hidden_size {}", name,
                 *config.unet.context_dim, config.text_encoder.hidden_size);
    }
  }
}

}  // namespace easel
