#include <string>

#include <easel/base/error.h>
#include <easel/models/unet.h>

#include "config_checks.h"

namespace easel {
namespace {

using models::check_range;

void check_fields(const UNetConfig& config) {
  check_range("UNet config: in_channels", config.in_channels, 1, models::kMaxChannels);
  check_range("UNet config: out_channels", config.out_channels, 1, models::kMaxChannels);
  check_range("UNet config: the number of levels in channel_mult",
              static_cast<int64_t>(config.channel_mult.size()), 1, models::kMaxLevels);
  if (config.num_res_blocks.size() != config.channel_mult.size()) {
    fail_usage(
        "UNet config: num_res_blocks has {} values and channel_mult {}; give one number for "
        "all levels or one per level",
        config.num_res_blocks.size(), config.channel_mult.size());
  }
  models::check_groups("UNet config: model_channels", config.model_channels,
                       config.norm_num_groups);
  for (const int64_t mult : config.channel_mult) {
    check_range("UNet config: a value of channel_mult", mult, 1, models::kMaxChannels);
    check_range("UNet config: model_channels times a value of channel_mult",
                config.model_channels * mult, 1, models::kMaxChannels);
  }
  // CompVis's last convolution takes model_channels, so its forward fails for any other value.
  if (config.channel_mult[0] != 1) {
    fail_usage(
        "UNet config: channel_mult starts with {}; it must start with 1 (multiply "
        "model_channels instead)",
        config.channel_mult[0]);
  }
  for (const int64_t count : config.num_res_blocks) {
    check_range("UNet config: a value of num_res_blocks", count, 0, models::kMaxLayers);
  }
  for (const int64_t factor : config.attention_resolutions) {
    check_range("UNet config: a value of attention_resolutions", factor, 1, int64_t{1} << 32);
  }
  models::check_dropout("UNet config: dropout", config.dropout);
  check_range("UNet config: transformer_depth", config.transformer_depth, 1, models::kMaxLayers);
  if (config.num_classes) {
    check_range("UNet config: num_classes", *config.num_classes, 1, int64_t{1} << 31);
  }
  if (config.time_cond_proj_dim) {
    check_range("UNet config: time_cond_proj_dim", *config.time_cond_proj_dim, 4,
                models::kMaxChannels);
  }
  const size_t disabled = config.disable_self_attentions.size();
  if (disabled != 0 && disabled != config.channel_mult.size()) {
    fail_usage(
        "UNet config: disable_self_attentions has {} values and channel_mult {}; give one per "
        "level",
        disabled, config.channel_mult.size());
  }
  if (config.use_spatial_transformer && !config.context_dim) {
    fail_usage(
        "UNet config: use_spatial_transformer needs context_dim, the features of the text "
        "encoder (768 for Stable Diffusion v1)");
  }
  if (config.context_dim && !config.use_spatial_transformer) {
    fail_usage(
        "UNet config: context_dim is {} but use_spatial_transformer is false; only spatial "
        "transformers take a context",
        *config.context_dim);
  }
  if (config.context_dim) {
    check_range("UNet config: context_dim", *config.context_dim, 1, models::kMaxChannels);
  }
  if (config.num_heads == -1 && config.num_head_channels == -1) {
    fail_usage("UNet config: neither num_heads nor num_head_channels is set; give one of them");
  }
  const auto check_heads = [](std::string_view name, int64_t value) {
    if (value != -1) check_range(name, value, 1, models::kMaxChannels);
  };
  check_heads("UNet config: num_heads", config.num_heads);
  check_heads("UNet config: num_head_channels", config.num_head_channels);
  check_heads("UNet config: num_heads_upsample", config.num_heads_upsample);
}

// CompVis's rules for an attention layer of this many channels. `dim_head` is -1 only for plain
// attention of the legacy kind without num_head_channels, and there num_heads decides.
UNetPlan::Attention attention(const UNetConfig& config, int64_t channels, bool up) {
  const bool by_heads = config.num_head_channels == -1;
  const int64_t heads = by_heads ? config.num_heads : channels / config.num_head_channels;
  if (heads < 1 || heads > channels) {
    fail_usage(
        "UNet config: num_heads {} and num_head_channels {} give no heads for an attention "
        "layer of {} channels",
        config.num_heads, config.num_head_channels, channels);
  }
  int64_t dim_head = by_heads ? channels / heads : config.num_head_channels;
  if (config.legacy) {
    dim_head = config.use_spatial_transformer ? channels / heads : config.num_head_channels;
  }
  if (config.use_spatial_transformer) return {heads, dim_head};

  const bool upsample_heads = up && config.num_heads_upsample != -1;
  const int64_t plain_heads = dim_head != -1   ? channels / dim_head
                              : upsample_heads ? config.num_heads_upsample
                                               : heads;
  if ((dim_head != -1 && channels % dim_head != 0) || channels % plain_heads != 0) {
    fail_usage(
        "UNet config: an attention layer of {} channels cannot be split into {} heads; "
        "num_heads or num_head_channels must divide the channels",
        channels, plain_heads);
  }
  return {plain_heads, channels / plain_heads};
}

}  // namespace

UNetPlan plan(const UNetConfig& config) {
  check_fields(config);
  const auto has_attention = [&](size_t level) {
    const int64_t factor = int64_t{1} << level;
    return std::find(config.attention_resolutions.begin(), config.attention_resolutions.end(),
                     factor) != config.attention_resolutions.end();
  };
  const auto self_attention = [&](size_t level) {
    return config.disable_self_attentions.empty() || !config.disable_self_attentions[level];
  };
  const size_t levels = config.channel_mult.size();
  UNetPlan plan;
  int64_t channels = config.model_channels;
  std::vector<int64_t> skips = {channels};
  for (size_t level = 0; level < levels; ++level) {
    UNetPlan::Block block;
    for (int64_t i = 0; i < config.num_res_blocks[level]; ++i) {
      UNetPlan::Layer layer{channels, config.model_channels * config.channel_mult[level], {}};
      channels = layer.out_channels;
      if (has_attention(level)) layer.attention = attention(config, channels, false);
      block.layers.push_back(layer);
      skips.push_back(channels);
    }
    block.channels = channels;
    block.resamples = level + 1 < levels;
    block.self_attention = self_attention(level);
    if (block.resamples) skips.push_back(channels);
    plan.down.push_back(std::move(block));
  }
  plan.mid_channels = channels;
  plan.mid_attention = attention(config, channels, false);
  for (size_t level = levels; level-- > 0;) {
    UNetPlan::Block block;
    for (int64_t i = 0; i < config.num_res_blocks[level] + 1; ++i) {
      UNetPlan::Layer layer{
          channels + skips.back(), config.model_channels * config.channel_mult[level], {}};
      skips.pop_back();
      channels = layer.out_channels;
      if (has_attention(level)) layer.attention = attention(config, channels, true);
      block.layers.push_back(layer);
    }
    block.channels = channels;
    block.resamples = level > 0;
    block.self_attention = self_attention(level);
    plan.up.push_back(std::move(block));
  }
  return plan;
}

void check(const UNetConfig& config) { plan(config); }

}  // namespace easel
