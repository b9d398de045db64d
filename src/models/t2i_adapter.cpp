#include "easel/models/t2i_adapter.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

#include "config_checks.h"

namespace easel {

using models::check_range;

void check(const T2IAdapterConfig& config) {
  check_range("T2I-Adapter config: picture_channels", config.picture_channels, 1, 4);
  check_range("T2I-Adapter config: the number of channels",
              static_cast<int64_t>(config.channels.size()), 1, models::kMaxLevels);
  check_range("T2I-Adapter config: num_res_blocks", config.num_res_blocks, 1, models::kMaxLayers);
  check_range("T2I-Adapter config: downsampling", config.downsampling, 1, 64);
  for (const int64_t channels : config.channels) {
    check_range("T2I-Adapter config: a value of channels", channels, 4, models::kMaxChannels);
  }
}

T2IAdapter::T2IAdapter(const T2IAdapterConfig& config) : config_((check(config), config)) {
  int64_t in = config.picture_channels * config.downsampling * config.downsampling;
  if (!config.light) {
    conv_in_.emplace(in, config.channels.front(), 3, 1, 1);
    in = config.channels.front();
  }
  for (const int64_t out : config.channels) {
    Level level;
    const int64_t width = config.light ? out / 4 : out;
    if (config.light || in != out) level.in_conv.emplace(in, width, 1);
    for (int64_t i = 0; i < config.num_res_blocks; ++i) {
      const int64_t kernel = config.light ? 3 : 1;
      level.resnets.push_back({.block1 = nn::Conv2d(width, width, 3, 1, 1),
                               .block2 = nn::Conv2d(width, width, kernel, 1, kernel / 2)});
    }
    if (config.light) level.out_conv.emplace(width, out, 1);
    body_.push_back(std::move(level));
    in = out;
  }
}

std::vector<Tensor> T2IAdapter::forward(const Tensor& picture_BCHW) const {
  const int64_t factor = config_.downsampling;
  if (picture_BCHW.dim() != 4 || picture_BCHW.size(1) != config_.picture_channels ||
      picture_BCHW.size(2) % factor != 0 || picture_BCHW.size(3) % factor != 0) {
    fail("T2I-Adapter: the picture has shape {}; expected [B, {}, H, W], multiples of {}",
         shape_text(picture_BCHW.sizes()), config_.picture_channels, factor);
  }
  Tensor h = at::pixel_unshuffle(picture_BCHW, factor);
  if (conv_in_) h = conv_in_->forward(h);
  std::vector<Tensor> features_BCHW;
  for (const Level& level : body_) {
    // Odd sizes as the UNet halves them.
    if (!features_BCHW.empty()) h = at::avg_pool2d(h, 2, 2, 0, /*ceil_mode=*/true);
    if (level.in_conv) h = level.in_conv->forward(h);
    for (const ResBlock& block : level.resnets) {
      h = block.block2.forward(at::relu(block.block1.forward(h))) + h;
    }
    if (level.out_conv) h = level.out_conv->forward(h);
    features_BCHW.push_back(h);
  }
  return features_BCHW;
}

}  // namespace easel
