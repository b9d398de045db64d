#include "easel/models/unet.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/ops/activation.h>
#include <easel/ops/timestep_embedding.h>

#include "unet_parts.h"

namespace easel {
namespace {

using models::kUNetEps;
using models::time_channels;

nn::ResBlock res_block(const UNetConfig& config, int64_t in, int64_t out,
                       nn::Resample resample = nn::Resample::None) {
  return nn::ResBlock({.in_channels = in,
                       .out_channels = out,
                       .time_channels = time_channels(config),
                       .scale_shift = config.use_scale_shift_norm,
                       .resample = resample,
                       .eps = kUNetEps,
                       .norm_groups = config.norm_num_groups,
                       .dropout = config.dropout,
                       .use_checkpoint = config.use_checkpoint});
}

UNetAttention attention(const UNetConfig& config, int64_t channels,
                        const UNetPlan::Attention& shape, bool self_attention = true) {
  if (!config.use_spatial_transformer) {
    return nn::AttentionBlock(channels, shape.heads, kUNetEps, config.norm_num_groups,
                              config.use_checkpoint);
  }
  return nn::SpatialTransformer({.channels = channels,
                                 .heads = shape.heads,
                                 .head_channels = shape.head_channels,
                                 .context_channels = *config.context_dim,
                                 .depth = config.transformer_depth,
                                 .use_linear = config.use_linear_in_transformer,
                                 .norm_groups = config.norm_num_groups,
                                 .use_checkpoint = config.use_checkpoint,
                                 .self_attention = self_attention});
}

// The resnets and attentions that down and up blocks have in common.
template <class Block>
Block make_block(const UNetConfig& config, const UNetPlan::Block& plan) {
  Block block;
  for (const UNetPlan::Layer& layer : plan.layers) {
    block.resnets.push_back(res_block(config, layer.in_channels, layer.out_channels));
    if (layer.attention) {
      block.attentions.push_back(
          attention(config, layer.out_channels, *layer.attention, plan.self_attention));
    }
  }
  return block;
}

}  // namespace

namespace models {

UNetDownBlock down_block(const UNetConfig& config, const UNetPlan::Block& plan) {
  auto block = make_block<UNetDownBlock>(config, plan);
  if (plan.resamples && config.resblock_updown) {
    block.downsamplers.push_back(
        res_block(config, plan.channels, plan.channels, nn::Resample::Down));
  } else if (plan.resamples) {
    block.downsamplers.push_back(
        nn::Downsample(plan.channels, config.conv_resample ? nn::Downsample::Kind::Conv
                                                           : nn::Downsample::Kind::AveragePool));
  }
  return block;
}

UNetUpBlock up_block(const UNetConfig& config, const UNetPlan::Block& plan) {
  auto block = make_block<UNetUpBlock>(config, plan);
  if (plan.resamples && config.resblock_updown) {
    block.upsamplers.push_back(res_block(config, plan.channels, plan.channels, nn::Resample::Up));
  } else if (plan.resamples) {
    block.upsamplers.push_back(nn::Upsample(plan.channels, config.conv_resample));
  }
  return block;
}

UNetMidBlock mid_block(const UNetConfig& config, const UNetPlan& plan) {
  UNetMidBlock block;
  block.resnets.push_back(res_block(config, plan.mid_channels, plan.mid_channels));
  block.attentions.push_back(attention(config, plan.mid_channels, plan.mid_attention));
  block.resnets.push_back(res_block(config, plan.mid_channels, plan.mid_channels));
  return block;
}

}  // namespace models

int64_t size_multiple(const UNetConfig& config) {
  const bool any_size = config.conv_resample && !config.resblock_updown;
  return any_size ? 1 : int64_t{1} << (config.channel_mult.size() - 1);
}

UNet::UNet(const UNetConfig& config) : UNet(config, plan(config)) {}

UNet::UNet(const UNetConfig& config, const UNetPlan& plan)
    : config_(config),
      conv_in_(config.in_channels, config.model_channels, 3, 1, 1),
      time_linear_1_(config.model_channels, time_channels(config)),
      time_linear_2_(time_channels(config), time_channels(config)),
      mid_block_(models::mid_block(config, plan)),
      conv_norm_out_(config.model_channels, kUNetEps, config.norm_num_groups),
      conv_out_(config.model_channels, config.out_channels, 3, 1, 1) {
  if (config.time_cond_proj_dim) {
    time_cond_proj_.emplace(*config.time_cond_proj_dim, config.model_channels, /*with_bias=*/false);
  }
  if (config.num_classes) class_embedding_.emplace(*config.num_classes, time_channels(config));
  for (const UNetPlan::Block& block : plan.down)
    down_blocks_.push_back(models::down_block(config, block));
  for (const UNetPlan::Block& block : plan.up)
    up_blocks_.push_back(models::up_block(config, block));
}

Tensor UNet::forward(const Tensor& x_BCHW, const Tensor& t_B, const Tensor& context_BTD,
                     const Tensor& class_label_B, const UNetExtras& extras) const {
  check_inputs(x_BCHW, t_B, context_BTD, class_label_B, extras);
  // The angles are always float32: a float16 timestep would be rounded to a multiple of 0.5.
  Tensor time_BD = ops::timestep_embedding(t_B.to(x_BCHW.device()), config_.model_channels)
                       .to(x_BCHW.scalar_type());
  if (time_cond_proj_) {
    const Tensor guidance_BD =
        ops::guidance_embedding(extras.guidance_B.to(x_BCHW.device()), *config_.time_cond_proj_dim);
    time_BD = ops::add(time_cond_proj_->forward(guidance_BD.to(time_BD.scalar_type())), time_BD);
  }
  time_BD = time_linear_2_.forward(ops::silu(time_linear_1_.forward(time_BD)));
  if (class_embedding_) {
    time_BD = ops::add(std::move(time_BD), class_embedding_->forward(class_label_B));
  }
  time_BD = ops::silu(std::move(time_BD));

  Tensor h = conv_in_.forward(x_BCHW);
  std::vector<Tensor> skips = {h};
  const std::vector<Tensor>& features_BCHW = extras.features_BCHW;
  if (!features_BCHW.empty() && features_BCHW.size() != down_blocks_.size()) {
    fail("UNet: {} features were given for {} down blocks", features_BCHW.size(),
         down_blocks_.size());
  }
  for (size_t i = 0; i < down_blocks_.size(); ++i) {
    h = down_blocks_[i].forward(std::move(h), time_BD, context_BTD, skips,
                                features_BCHW.empty() ? Tensor() : features_BCHW[i]);
  }
  h = mid_block_.forward(std::move(h), time_BD, context_BTD);
  if (!extras.skips_BCHW.empty()) {
    if (extras.skips_BCHW.size() != skips.size()) {
      fail("UNet: {} residuals were given for {} skip connections", extras.skips_BCHW.size(),
           skips.size());
    }
    for (size_t i = 0; i < skips.size(); ++i) skips[i] = skips[i] + extras.skips_BCHW[i];
  }
  if (extras.mid_BCHW.defined()) h = h + extras.mid_BCHW;
  for (const UNetUpBlock& block : up_blocks_) {
    h = block.forward(std::move(h), time_BD, context_BTD, skips);
  }
  return conv_out_.forward(conv_norm_out_.forward_silu(h)).contiguous();
}

void UNet::check_inputs(const Tensor& x_BCHW, const Tensor& t_B, const Tensor& context_BTD,
                        const Tensor& class_label_B, const UNetExtras& extras) const {
  if (x_BCHW.dim() != 4 || x_BCHW.size(1) != config_.in_channels) {
    fail("UNet: the input has shape {}; expected [B, {}, H, W]", shape_text(x_BCHW.sizes()),
         config_.in_channels);
  }
  const int64_t multiple = size_multiple(config_);
  const int64_t height = x_BCHW.size(2);
  const int64_t width = x_BCHW.size(3);
  if (height < 1 || width < 1 || height % multiple != 0 || width % multiple != 0) {
    fail(
        "UNet: the input is {} x {} (height x width); both must be multiples of {}, because the "
        "network halves them {} times",
        height, width, multiple, config_.channel_mult.size() - 1);
  }
  const int64_t batch = x_BCHW.size(0);
  if (t_B.dim() != 1 || t_B.size(0) != batch) {
    fail("UNet: the timesteps have shape {}; expected [{}]", shape_text(t_B.sizes()), batch);
  }
  if (!config_.use_spatial_transformer) {
    if (context_BTD.defined()) {
      fail("UNet: a context of shape {} was given, but this network takes none",
           shape_text(context_BTD.sizes()));
    }
  } else if (!context_BTD.defined() || context_BTD.dim() != 3 || context_BTD.size(0) != batch ||
             context_BTD.size(2) != *config_.context_dim) {
    fail("UNet: the context has shape {}; expected [{}, T, {}]",
         context_BTD.defined() ? shape_text(context_BTD.sizes()) : "none", batch,
         *config_.context_dim);
  }
  const Tensor& guidance_B = extras.guidance_B;
  if (guidance_B.defined() != config_.time_cond_proj_dim.has_value()) {
    fail("UNet: the guidance scale {}",
         config_.time_cond_proj_dim ? "is missing; this network takes one (time_cond_proj_dim)"
                                    : "was given, but this network takes none");
  }
  if (guidance_B.defined() && (guidance_B.dim() != 1 || guidance_B.size(0) != batch)) {
    fail("UNet: the guidance scales have shape {}; expected [{}]", shape_text(guidance_B.sizes()),
         batch);
  }
  if (class_label_B.defined() != config_.num_classes.has_value()) {
    fail("UNet: class labels {}", config_.num_classes
                                      ? "are missing; this network has classes (num_classes)"
                                      : "were given, but this network has no classes");
  }
  if (config_.num_classes &&
      (class_label_B.dim() != 1 || class_label_B.size(0) != batch ||
       class_label_B.lt(0).logical_or(class_label_B.ge(*config_.num_classes)).any().item<bool>())) {
    fail("UNet: class labels of shape {}; expected [{}] with values from 0 to {}",
         shape_text(class_label_B.sizes()), batch, *config_.num_classes - 1);
  }
}

}  // namespace easel
