#include "easel/models/control_net.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/ops/activation.h>
#include <easel/ops/timestep_embedding.h>

#include "config_checks.h"
#include "unet_parts.h"

namespace easel {

void check(const ControlNetConfig& config) {
  check(config.unet);
  models::check_range("ControlNet config: the number of hint_channels",
                      static_cast<int64_t>(config.hint_channels.size()), 1, models::kMaxLevels);
  for (const int64_t channels : config.hint_channels) {
    models::check_range("ControlNet config: a value of hint_channels", channels, 1,
                        models::kMaxChannels);
  }
}

ControlNet::ControlNet(const ControlNetConfig& config)
    : ControlNet((check(config), config), plan(config.unet)) {}

ControlNet::ControlNet(const ControlNetConfig& config, const UNetPlan& plan)
    : config_(config),
      conv_in_(config.unet.in_channels, config.unet.model_channels, 3, 1, 1),
      time_linear_1_(config.unet.model_channels, models::time_channels(config.unet)),
      time_linear_2_(models::time_channels(config.unet), models::time_channels(config.unet)),
      hint_in_(3, config.hint_channels.front(), 3, 1, 1),
      hint_out_(config.hint_channels.back(), config.unet.model_channels, 3, 1, 1),
      mid_block_(models::mid_block(config.unet, plan)),
      mid_conv_(plan.mid_channels, plan.mid_channels, 1) {
  const std::vector<int64_t>& hint = config.hint_channels;
  for (size_t i = 0; i + 1 < hint.size(); ++i) {
    hint_blocks_.emplace_back(hint[i], hint[i], 3, 1, 1);
    hint_blocks_.emplace_back(hint[i], hint[i + 1], 3, 2, 1);
  }
  const auto add_skip = [&](int64_t channels) { skip_convs_.emplace_back(channels, channels, 1); };
  add_skip(config.unet.model_channels);
  for (const UNetPlan::Block& block : plan.down) {
    down_blocks_.push_back(models::down_block(config.unet, block));
    for (const UNetPlan::Layer& layer : block.layers) add_skip(layer.out_channels);
    if (block.resamples) add_skip(block.channels);
  }
}

Tensor ControlNet::embed(const Tensor& picture_BCHW) const {
  if (picture_BCHW.dim() != 4 || picture_BCHW.size(1) != 3) {
    fail("ControlNet: the picture has shape {}; expected [B, 3, H, W]",
         shape_text(picture_BCHW.sizes()));
  }
  Tensor h = ops::silu(hint_in_.forward(picture_BCHW));
  for (const nn::Conv2d& block : hint_blocks_) h = ops::silu(block.forward(h));
  return hint_out_.forward(h);
}

ControlResiduals ControlNet::forward(const Tensor& x_BCHW, const Tensor& t_B,
                                     const Tensor& context_BTD, const Tensor& embedded_BCHW) const {
  const UNetConfig& unet = config_.unet;
  if (x_BCHW.dim() != 4 || x_BCHW.size(1) != unet.in_channels) {
    fail("ControlNet: the input has shape {}; expected [B, {}, H, W]", shape_text(x_BCHW.sizes()),
         unet.in_channels);
  }
  if (embedded_BCHW.dim() != 4 || embedded_BCHW.sizes().slice(2) != x_BCHW.sizes().slice(2)) {
    fail("ControlNet: the embedded picture has shape {} for latents {}",
         shape_text(embedded_BCHW.sizes()), shape_text(x_BCHW.sizes()));
  }
  Tensor time_BD = ops::timestep_embedding(t_B.to(x_BCHW.device()), unet.model_channels)
                       .to(x_BCHW.scalar_type());
  time_BD = ops::silu(time_linear_2_.forward(ops::silu(time_linear_1_.forward(time_BD))));
  Tensor h = conv_in_.forward(x_BCHW) + embedded_BCHW;
  std::vector<Tensor> skips = {h};
  for (const UNetDownBlock& block : down_blocks_) {
    h = block.forward(std::move(h), time_BD, context_BTD, skips);
  }
  h = mid_block_.forward(std::move(h), time_BD, context_BTD);
  ControlResiduals residuals;
  for (size_t i = 0; i < skips.size(); ++i) {
    residuals.skips_BCHW.push_back(skip_convs_[i].forward(skips[i]));
  }
  residuals.mid_BCHW = mid_conv_.forward(h);
  return residuals;
}

}  // namespace easel
