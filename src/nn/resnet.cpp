#include "easel/nn/resnet.h"

#include <ATen/ATen.h>

#include <easel/nn/checkpoint.h>
#include <easel/nn/training_mode.h>
#include <easel/ops/activation.h>
#include <easel/ops/resample.h>

namespace easel::nn {
namespace {

Tensor resampled(const Tensor& x_BCHW, Resample resample) {
  switch (resample) {
    case Resample::Down:
      return ops::average_pool_2x(x_BCHW);
    case Resample::Up:
      return ops::upsample_nearest_2x(x_BCHW);
    case Resample::None:
      break;
  }
  return x_BCHW;
}

}  // namespace

ResBlock::ResBlock(const ResBlockOptions& o)
    : norm1(o.in_channels, o.eps, o.norm_groups),
      conv1(o.in_channels, o.out_channels, 3, 1, 1),
      norm2(o.out_channels, o.eps, o.norm_groups),
      conv2(o.out_channels, o.out_channels, 3, 1, 1),
      scale_shift(o.scale_shift),
      resample(o.resample),
      dropout(o.dropout),
      use_checkpoint(o.use_checkpoint) {
  if (o.time_channels) {
    time_emb_proj.emplace(o.time_channels, o.out_channels * (o.scale_shift ? 2 : 1));
  }
  if (o.in_channels != o.out_channels) conv_shortcut.emplace(o.in_channels, o.out_channels, 1);
}

Tensor ResBlock::forward(const Tensor& x_BCHW, const Tensor& time_BD) const {
  TORCH_CHECK(time_BD.defined() == time_emb_proj.has_value(),
              "ResBlock: the time embedding and the block do not match");
  return checkpoint(*this, use_checkpoint, {x_BCHW, time_BD},
                    [this](const auto& inputs) { return forward_block(inputs[0], inputs[1]); });
}

Tensor ResBlock::forward_block(const Tensor& x_BCHW, const Tensor& time_BD) const {
  // Each step lets go of the one before: at 512 x 512 the autoencoder's are 256 MiB each.
  Tensor h = resampled(norm1.forward_silu(x_BCHW), resample);
  h = conv1.forward(h);
  if (!time_emb_proj) {
    h = norm2.forward_silu(h);
  } else {
    const Tensor time_BC11 = time_emb_proj->forward(time_BD).unsqueeze(-1).unsqueeze(-1);
    if (scale_shift) {
      const auto parts = time_BC11.chunk(2, 1);
      h = ops::silu(norm2.forward(h) * (1 + parts[0]) + parts[1]);
    } else {
      h = ops::add(std::move(h), time_BC11);
      h = norm2.forward_silu(h);
    }
  }
  h = conv2.forward(nn::dropout(h, dropout));
  const Tensor x = resampled(x_BCHW, resample);
  return ops::add(std::move(h), conv_shortcut ? conv_shortcut->forward(x) : x);
}

Downsample::Downsample(int64_t channels, Kind kind_) : kind(kind_) {
  if (kind != Kind::AveragePool) conv.emplace(channels, channels, 3, 2, kind == Kind::Conv ? 1 : 0);
}

Tensor Downsample::forward(const Tensor& x_BCHW) const {
  switch (kind) {
    case Kind::Conv:
      return conv->forward(x_BCHW);
    case Kind::ConvAsymmetric:
      return conv->forward(ops::pad_bottom_right(x_BCHW));
    case Kind::AveragePool:
      break;
  }
  return ops::average_pool_2x(x_BCHW);
}

Upsample::Upsample(int64_t channels, bool with_conv) {
  if (with_conv) conv.emplace(channels, channels, 3, 1, 1);
}

Tensor Upsample::forward(const Tensor& x_BCHW) const {
  return forward(x_BCHW, x_BCHW.size(2) * 2, x_BCHW.size(3) * 2);
}

Tensor Upsample::forward(const Tensor& x_BCHW, int64_t height, int64_t width) const {
  const Tensor h = ops::upsample_nearest(x_BCHW, height, width);
  return conv ? conv->forward(h) : h;
}

}  // namespace easel::nn
