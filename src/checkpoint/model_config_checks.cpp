#include "model_config_checks.h"

#include <cmath>

#include <easel/base/error.h>

namespace easel {
namespace {

void check_noise_augmentation(const ModelConfig& config, const std::string& name) {
  const int64_t max_level = config.low_scale->max_level;
  try {
    make_noise_schedule(config.low_scale->schedule);
  } catch (const Error& error) {
    fail_usage("{}: the noise on the small picture: {}", name, error.what());
  }
  const int64_t channels = config.autoencoder.embed_dim + config.autoencoder.in_channels;
  if (config.conditioning_key != ConditioningKey::Hybrid || config.unet.in_channels != channels) {
    fail_usage(
        "{}: an upscaler's UNet takes {} channels, the latents and a small picture, with "
        "conditioning_key hybrid-adm; this one's takes {}",
        name, channels, config.unet.in_channels);
  }
  if (max_level >= config.low_scale->schedule.timesteps ||
      max_level >= config.unet.num_classes.value_or(0)) {
    fail_usage(
        "{}: max_noise_level is {}; it must be below the {} timesteps of its schedule and the "
        "UNet's {} classes (num_classes)",
        name, max_level, config.low_scale->schedule.timesteps, config.unet.num_classes.value_or(0));
  }
}

}  // namespace

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
  if (config.low_scale) check_noise_augmentation(config, name);
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
