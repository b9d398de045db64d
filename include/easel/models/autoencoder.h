// The KL autoencoder between pictures and latents (CompVis's AutoencoderKL). Parameters carry the
// names of diffusers' AutoencoderKL.
#pragma once

#include <cstdint>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/layers.h>

namespace easel {

// CompVis's `first_stage_config.params`: embed_dim and ddconfig.
struct AutoencoderConfig {
  int64_t embed_dim = 4;
  bool double_z = true;
  int64_t z_channels = 4;
  int64_t resolution = 256;  // the training size: attn_resolutions counts down from it
  int64_t in_channels = 3;
  int64_t out_ch = 3;
  int64_t ch = 128;
  std::vector<int64_t> ch_mult = {1, 2, 4, 4};
  int64_t num_res_blocks = 2;
  std::vector<int64_t> attn_resolutions;
  double dropout = 0;

  // Pixels per latent along a side: 2^(levels - 1).
  int64_t downsampling() const { return int64_t{1} << (ch_mult.size() - 1); }
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const AutoencoderConfig& config);

// The diagonal Gaussian that the encoder gives: mean and log-variance clamped to [-30, 20].
struct Posterior {
  Tensor mean_BCHW;
  Tensor logvar_BCHW;
};

class Autoencoder {
 public:
  explicit Autoencoder(const AutoencoderConfig& config);

  // Pictures [B, in_channels, H, W] in [-1, 1], H and W multiples of downsampling(). Unscaled latents.
  Posterior encode(const Tensor& x_BCHW) const;
  // Unscaled latents [B, embed_dim, h, w] to pictures [B, out_ch, H, W], about [-1, 1], not clamped.
  Tensor decode(const Tensor& z_BCHW) const;

  const AutoencoderConfig& config() const { return config_; }
};

}  // namespace easel
