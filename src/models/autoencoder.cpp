#include "easel/models/autoencoder.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>

#include "config_checks.h"

namespace easel {
namespace {

constexpr double kEps = 1e-6;

using DownBlock = AutoencoderBlock<nn::Downsample>;
using UpBlock = AutoencoderBlock<nn::Upsample>;

const AutoencoderConfig& checked(const AutoencoderConfig& config) {
  check(config);
  return config;
}

int64_t last_channels(const AutoencoderConfig& config) { return config.ch * config.ch_mult.back(); }

nn::ResBlock res_block(const AutoencoderConfig& config, int64_t in, int64_t out) {
  return nn::ResBlock({.in_channels = in,
                       .out_channels = out,
                       .eps = kEps,
                       .norm_groups = config.norm_num_groups,
                       .dropout = config.dropout});
}

// `count` residual blocks, with attention behind each where attn_resolutions names `resolution`.
template <class Block>
Block make_block(const AutoencoderConfig& config, int64_t count, int64_t in, int64_t out,
                 int64_t resolution, const char* resamplers_name) {
  const auto& with_attention = config.attn_resolutions;
  const bool attention =
      std::find(with_attention.begin(), with_attention.end(), resolution) != with_attention.end();
  Block block{
      .resnets = {}, .attentions = {}, .resamplers = {}, .resamplers_name = resamplers_name};
  for (int64_t i = 0; i < count; ++i) {
    block.resnets.push_back(res_block(config, i == 0 ? in : out, out));
    if (attention) block.attentions.emplace_back(out, /*heads=*/1, kEps, config.norm_num_groups);
  }
  return block;
}

template <class Block>
Block mid_block(const AutoencoderConfig& config, const char* resamplers_name) {
  const int64_t channels = last_channels(config);
  Block block{
      .resnets = {}, .attentions = {}, .resamplers = {}, .resamplers_name = resamplers_name};
  block.resnets = {res_block(config, channels, channels), res_block(config, channels, channels)};
  block.attentions.emplace_back(channels, /*heads=*/1, kEps, config.norm_num_groups);
  return block;
}

}  // namespace

void check(const AutoencoderConfig& config) {
  using models::check_range;
  check_range("autoencoder config: embed_dim", config.embed_dim, 1, models::kMaxChannels);
  check_range("autoencoder config: z_channels", config.z_channels, 1, models::kMaxChannels);
  check_range("autoencoder config: in_channels", config.in_channels, 1, models::kMaxChannels);
  check_range("autoencoder config: out_ch", config.out_ch, 1, models::kMaxChannels);
  check_range("autoencoder config: resolution", config.resolution, 1, models::kMaxChannels);
  check_range("autoencoder config: the number of levels in ch_mult",
              static_cast<int64_t>(config.ch_mult.size()), 1, models::kMaxLevels);
  models::check_groups("autoencoder config: ch", config.ch, config.norm_num_groups);
  for (const int64_t mult : config.ch_mult) {
    check_range("autoencoder config: a value of ch_mult", mult, 1, models::kMaxChannels);
    check_range("autoencoder config: ch times a value of ch_mult", config.ch * mult, 1,
                models::kMaxChannels);
  }
  check_range("autoencoder config: num_res_blocks", config.num_res_blocks, 1, models::kMaxLayers);
  models::check_dropout("autoencoder config: dropout", config.dropout);
  if (!config.double_z) {
    fail_usage(
        "autoencoder config: double_z is false; it must be true, because the encoder gives "
        "a mean and a variance");
  }
}

template <class Resampler>
Tensor AutoencoderBlock<Resampler>::forward(Tensor x_BCHW) const {
  for (size_t i = 0; i < resnets.size(); ++i) {
    x_BCHW = resnets[i].forward(x_BCHW);
    if (i < attentions.size()) x_BCHW = attentions[i].forward(x_BCHW);
  }
  for (const Resampler& resampler : resamplers) x_BCHW = resampler.forward(x_BCHW);
  return x_BCHW;
}

template struct AutoencoderBlock<nn::Downsample>;
template struct AutoencoderBlock<nn::Upsample>;

AutoencoderEncoder::AutoencoderEncoder(const AutoencoderConfig& config)
    : conv_in_(config.in_channels, config.ch, 3, 1, 1),
      mid_block_(mid_block<DownBlock>(config, "downsamplers")),
      conv_norm_out_(last_channels(config), kEps, config.norm_num_groups),
      conv_out_(last_channels(config), 2 * config.z_channels, 3, 1, 1) {
  int64_t channels = config.ch;
  int64_t resolution = config.resolution;
  for (size_t level = 0; level < config.ch_mult.size(); ++level) {
    const int64_t out = config.ch * config.ch_mult[level];
    auto block = make_block<DownBlock>(config, config.num_res_blocks, channels, out, resolution,
                                       "downsamplers");
    if (level + 1 < config.ch_mult.size()) {
      block.resamplers.emplace_back(out, nn::Downsample::Kind::ConvAsymmetric);
      resolution /= 2;
    }
    down_blocks_.push_back(std::move(block));
    channels = out;
  }
}

Tensor AutoencoderEncoder::forward(const Tensor& x_BCHW) const {
  Tensor h = conv_in_.forward(x_BCHW);
  for (const DownBlock& block : down_blocks_) h = block.forward(std::move(h));
  h = mid_block_.forward(std::move(h));
  h = conv_norm_out_.forward_silu(h);
  return conv_out_.forward(h);
}

AutoencoderDecoder::AutoencoderDecoder(const AutoencoderConfig& config)
    : conv_in_(config.z_channels, last_channels(config), 3, 1, 1),
      mid_block_(mid_block<UpBlock>(config, "upsamplers")),
      conv_norm_out_(config.ch * config.ch_mult[0], kEps, config.norm_num_groups),
      conv_out_(config.ch * config.ch_mult[0], config.out_ch, 3, 1, 1) {
  int64_t channels = last_channels(config);
  int64_t resolution = config.resolution >> (config.ch_mult.size() - 1);
  for (size_t level = config.ch_mult.size(); level-- > 0;) {
    const int64_t out = config.ch * config.ch_mult[level];
    auto block = make_block<UpBlock>(config, config.num_res_blocks + 1, channels, out, resolution,
                                     "upsamplers");
    if (level > 0) {
      block.resamplers.emplace_back(out, /*with_conv=*/true);
      resolution *= 2;
    }
    up_blocks_.push_back(std::move(block));
    channels = out;
  }
}

Tensor AutoencoderDecoder::forward(const Tensor& z_BCHW) const {
  Tensor h = conv_in_.forward(z_BCHW);
  h = mid_block_.forward(std::move(h));
  for (const UpBlock& block : up_blocks_) h = block.forward(std::move(h));
  h = conv_norm_out_.forward_silu(h);
  return conv_out_.forward(h);
}

Tensor Posterior::sample(const Tensor& noise_BCHW) const {
  if (noise_BCHW.sizes() != mean_BCHW.sizes()) {
    fail("the autoencoder's posterior has shape {}, and the noise {}; they must be equal",
         shape_text(mean_BCHW.sizes()), shape_text(noise_BCHW.sizes()));
  }
  return mean_BCHW + (0.5 * logvar_BCHW).exp() * noise_BCHW.to(mean_BCHW.options());
}

Tensor Posterior::kl() const {
  const at::ScalarType dtype = at::promote_types(mean_BCHW.scalar_type(), at::kFloat);
  const Tensor mean = mean_BCHW.to(dtype);
  const Tensor logvar = logvar_BCHW.to(dtype);
  return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).flatten(1).sum(1);
}

Autoencoder::Autoencoder(const AutoencoderConfig& config)
    : config_(checked(config)),
      encoder_(config),
      decoder_(config),
      quant_conv_(2 * config.z_channels, 2 * config.embed_dim, 1),
      post_quant_conv_(config.embed_dim, config.z_channels, 1) {}

Posterior Autoencoder::encode(const Tensor& x_BCHW, int64_t strip_rows) const {
  const int64_t factor = config_.downsampling();
  if (x_BCHW.dim() != 4 || x_BCHW.size(1) != config_.in_channels || x_BCHW.size(2) < 1 ||
      x_BCHW.size(3) < 1 || x_BCHW.size(2) % factor != 0 || x_BCHW.size(3) % factor != 0) {
    fail("autoencoder: the pictures have shape {}; expected [B, {}, H, W], H and W multiples of {}",
         shape_text(x_BCHW.sizes()), config_.in_channels, factor);
  }
  const at::AutoGradMode gradients(strip_rows == 0 && at::GradMode::is_enabled());
  const Tensor h =
      strip_rows > 0 ? encoder_.forward_in_strips(x_BCHW, strip_rows) : encoder_.forward(x_BCHW);
  const auto moments = quant_conv_.forward(h).contiguous().chunk(2, 1);
  return {moments[0], moments[1].clamp(-30.0, 20.0)};
}

Tensor Autoencoder::decode(const Tensor& z_BCHW, int64_t strip_rows) const {
  if (z_BCHW.dim() != 4 || z_BCHW.size(1) != config_.embed_dim || z_BCHW.size(2) < 1 ||
      z_BCHW.size(3) < 1) {
    fail("autoencoder: the latents have shape {}; expected [B, {}, h, w]",
         shape_text(z_BCHW.sizes()), config_.embed_dim);
  }
  const at::AutoGradMode gradients(strip_rows == 0 && at::GradMode::is_enabled());
  const Tensor h = post_quant_conv_.forward(z_BCHW);
  return (strip_rows > 0 ? decoder_.forward_in_strips(h, strip_rows) : decoder_.forward(h))
      .contiguous();
}

}  // namespace easel
