#include "easel/models/unet_blocks.h"

#include <utility>

#include <ATen/ATen.h>

namespace easel {
namespace {

Tensor attend(const UNetAttention& attention, const Tensor& x_BCHW, const Tensor& context_BTD) {
  if (const auto* spatial = std::get_if<nn::SpatialTransformer>(&attention)) {
    return spatial->forward(x_BCHW, context_BTD);
  }
  return std::get<nn::AttentionBlock>(attention).forward(x_BCHW);
}

// Only the residual kinds of resampling layers see the time.
Tensor downsample(const UNetDownsampler& layer, const Tensor& x_BCHW, const Tensor& time_BD) {
  if (const auto* resnet = std::get_if<nn::ResBlock>(&layer)) {
    return resnet->forward(x_BCHW, time_BD);
  }
  return std::get<nn::Downsample>(layer).forward(x_BCHW);
}

// To the size of `skip_BCHW`: twice the size, or one less where an odd size was halved on the way
// down.
Tensor upsample(const UNetUpsampler& layer, const Tensor& x_BCHW, const Tensor& time_BD,
                const Tensor& skip_BCHW) {
  if (const auto* resnet = std::get_if<nn::ResBlock>(&layer)) {
    return resnet->forward(x_BCHW, time_BD);
  }
  return std::get<nn::Upsample>(layer).forward(x_BCHW, skip_BCHW.size(2), skip_BCHW.size(3));
}

}  // namespace

Tensor UNetDownBlock::forward(Tensor x_BCHW, const Tensor& time_BD, const Tensor& context_BTD,
                              std::vector<Tensor>& skips, const Tensor& feature_BCHW) const {
  for (size_t i = 0; i < resnets.size(); ++i) {
    x_BCHW = resnets[i].forward(x_BCHW, time_BD);
    if (!attentions.empty()) x_BCHW = attend(attentions[i], x_BCHW, context_BTD);
    if (feature_BCHW.defined() && i + 1 == resnets.size()) x_BCHW = x_BCHW + feature_BCHW;
    skips.push_back(x_BCHW);
  }
  for (const UNetDownsampler& downsampler : downsamplers) {
    x_BCHW = downsample(downsampler, x_BCHW, time_BD);
    skips.push_back(x_BCHW);
  }
  return x_BCHW;
}

Tensor UNetMidBlock::forward(Tensor x_BCHW, const Tensor& time_BD,
                             const Tensor& context_BTD) const {
  x_BCHW = resnets[0].forward(x_BCHW, time_BD);
  x_BCHW = attend(attentions[0], x_BCHW, context_BTD);
  return resnets[1].forward(x_BCHW, time_BD);
}

Tensor UNetUpBlock::forward(Tensor x_BCHW, const Tensor& time_BD, const Tensor& context_BTD,
                            std::vector<Tensor>& skips) const {
  for (size_t i = 0; i < resnets.size(); ++i) {
    x_BCHW = at::cat({x_BCHW, skips.back()}, 1);
    skips.pop_back();
    x_BCHW = resnets[i].forward(x_BCHW, time_BD);
    if (!attentions.empty()) x_BCHW = attend(attentions[i], x_BCHW, context_BTD);
  }
  for (const UNetUpsampler& upsampler : upsamplers) {
    x_BCHW = upsample(upsampler, x_BCHW, time_BD, skips.back());
  }
  return x_BCHW;
}

}  // namespace easel
