// The KL autoencoder between pictures and latents (Rombach et al. 2022; CompVis's AutoencoderKL).
//
// Parameters carry the names of diffusers' AutoencoderKL:
//
//   encoder.{conv_in,conv_norm_out,conv_out}, encoder.down_blocks.I.resnets.J,
//   encoder.down_blocks.I.attentions.J where attn_resolutions says,
//   encoder.down_blocks.I.downsamplers.0.conv encoder.mid_block.{resnets.0,attentions.0,resnets.1}
//   decoder likewise, with up_blocks (lowest resolution first) and upsamplers
//   quant_conv, post_quant_conv
//   an attention: group_norm, to_q, to_k, to_v, to_out.0, all linear
#pragma once

#include <cstdint>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/layers.h>
#include <easel/nn/resnet.h>
#include <easel/nn/transformer.h>

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
  double dropout = 0;            // of residual blocks, in training mode only (nn/training_mode.h)
  int64_t norm_num_groups = 32;  // diffusers' name; CompVis's code has 32 throughout

  // Pixels per latent along a side: 2^(levels - 1).
  int64_t downsampling() const { return int64_t{1} << (ch_mult.size() - 1); }
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const AutoencoderConfig& config);

// The diagonal Gaussian that the encoder gives: mean and log-variance clamped to [-30, 20].
struct Posterior {
  Tensor mean_BCHW;
  Tensor logvar_BCHW;

  // mean + exp(logvar / 2) noise, in the mean's type; noise_BCHW is standard normal, of the mean's
  // shape, on any device. Throws Error on another shape.
  Tensor sample(const Tensor& noise_BCHW) const;
  // The Kullback-Leibler divergence from the standard normal distribution, summed over each
  // example: [B], in nats, float32 at least.
  Tensor kl() const;
};

// Residual blocks, self-attention between them, and at most one resampling layer.
template <class Resampler>
struct AutoencoderBlock {
  std::vector<nn::ResBlock> resnets;
  std::vector<nn::AttentionBlock> attentions;  // behind the resnet of the same index, or none
  std::vector<Resampler> resamplers;
  const char* resamplers_name;  // "downsamplers" or "upsamplers"

  Tensor forward(Tensor x_BCHW) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("resnets", self.resnets);
    visit("attentions", self.attentions);
    visit(self.resamplers_name, self.resamplers);
  }
};

class AutoencoderEncoder {
 public:
  explicit AutoencoderEncoder(const AutoencoderConfig& config);
  Tensor forward(const Tensor& x_BCHW) const;  // [B, 2 z_channels, H / f, W / f]
  Tensor forward_in_strips(const Tensor& x_BCHW, int64_t strip) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv_in", self.conv_in_);
    visit("down_blocks", self.down_blocks_);
    visit("mid_block", self.mid_block_);
    visit("conv_norm_out", self.conv_norm_out_);
    visit("conv_out", self.conv_out_);
  }

 private:
  nn::Conv2d conv_in_;
  std::vector<AutoencoderBlock<nn::Downsample>> down_blocks_;
  AutoencoderBlock<nn::Downsample> mid_block_;
  nn::GroupNorm conv_norm_out_;
  nn::Conv2d conv_out_;
};

class AutoencoderDecoder {
 public:
  explicit AutoencoderDecoder(const AutoencoderConfig& config);
  Tensor forward(const Tensor& z_BCHW) const;  // [B, out_ch, H f, W f]
  Tensor forward_in_strips(const Tensor& z_BCHW, int64_t strip) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv_in", self.conv_in_);
    visit("mid_block", self.mid_block_);
    visit("up_blocks", self.up_blocks_);
    visit("conv_norm_out", self.conv_norm_out_);
    visit("conv_out", self.conv_out_);
  }

 private:
  nn::Conv2d conv_in_;
  AutoencoderBlock<nn::Upsample> mid_block_;
  std::vector<AutoencoderBlock<nn::Upsample>> up_blocks_;
  nn::GroupNorm conv_norm_out_;
  nn::Conv2d conv_out_;
};

class Autoencoder {
 public:
  explicit Autoencoder(const AutoencoderConfig& config);

  // Pictures [B, in_channels, H, W] in [-1, 1], H and W multiples of downsampling(). Unscaled
  // latents.
  //
  // With strip_rows > 0 the fine maps are made strip by strip of about so many rows: the same
  // result within rounding, in about a third of the memory and twice the time; no gradient is
  // recorded.
  Posterior encode(const Tensor& x_BCHW, int64_t strip_rows = 0) const;
  // Unscaled latents [B, embed_dim, h, w] to pictures [B, out_ch, H, W], about [-1, 1], not
  // clamped.
  Tensor decode(const Tensor& z_BCHW, int64_t strip_rows = 0) const;

  const AutoencoderConfig& config() const { return config_; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("encoder", self.encoder_);
    visit("decoder", self.decoder_);
    visit("quant_conv", self.quant_conv_);
    visit("post_quant_conv", self.post_quant_conv_);
  }

 private:
  AutoencoderConfig config_;
  AutoencoderEncoder encoder_;
  AutoencoderDecoder decoder_;
  nn::Conv2d quant_conv_;
  nn::Conv2d post_quant_conv_;
};

}  // namespace easel
