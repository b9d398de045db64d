#include "easel/models/tiny_autoencoder.h"

#include <array>

#include <ATen/ATen.h>

#include "config_checks.h"

namespace easel {
namespace {

constexpr std::array<int, 4> kEncoderBlocks{1, 3, 3, 3};  // of each stage; a stage halves the size
constexpr std::array<int, 4> kDecoderBlocks{3, 3, 3, 1};
constexpr double kLatentRange = 3;  // latents beyond are squeezed

nn::Conv2d conv(int64_t in, int64_t out, int64_t stride = 1, bool with_bias = true) {
  return nn::Conv2d(in, out, 3, stride, 1, with_bias);
}

Tensor run(const std::vector<TinyLayer>& layers, Tensor x_BCHW) {
  for (const TinyLayer& layer : layers) {
    if (const auto* step = std::get_if<TinyStep>(&layer)) {
      x_BCHW = step->kind == TinyStep::Kind::Relu
                   ? at::relu(x_BCHW)
                   : at::upsample_nearest2d(x_BCHW, {2 * x_BCHW.size(2), 2 * x_BCHW.size(3)});
    } else if (const auto* block = std::get_if<TinyBlock>(&layer)) {
      x_BCHW = block->forward(x_BCHW);
    } else {
      x_BCHW = std::get<nn::Conv2d>(layer).forward(x_BCHW);
    }
  }
  return x_BCHW;
}

}  // namespace

void check(const TinyAutoencoderConfig& config) {
  models::check_range("tiny autoencoder config: channels", config.channels, 1,
                      models::kMaxChannels);
  models::check_range("tiny autoencoder config: latent_channels", config.latent_channels, 1,
                      models::kMaxChannels);
}

TinyBlock::TinyBlock(int64_t channels)
    : conv_0(conv(channels, channels)),
      conv_2(conv(channels, channels)),
      conv_4(conv(channels, channels)) {}

Tensor TinyBlock::forward(const Tensor& x_BCHW) const {
  const Tensor h = at::relu(conv_2.forward(at::relu(conv_0.forward(x_BCHW))));
  return at::relu(conv_4.forward(h) + x_BCHW);
}

TinyEncoder::TinyEncoder(const TinyAutoencoderConfig& config) {
  check(config);
  for (size_t stage = 0; stage < kEncoderBlocks.size(); ++stage) {
    layers_.emplace_back(stage == 0 ? conv(3, config.channels)
                                    : conv(config.channels, config.channels, 2, false));
    for (int i = 0; i < kEncoderBlocks[stage]; ++i) {
      layers_.emplace_back(TinyBlock(config.channels));
    }
  }
  layers_.emplace_back(conv(config.channels, config.latent_channels));
}

Tensor TinyEncoder::forward(const Tensor& x_BCHW) const {
  return run(layers_, x_BCHW.add(1).div(2));
}

TinyDecoder::TinyDecoder(const TinyAutoencoderConfig& config) {
  check(config);
  layers_.emplace_back(conv(config.latent_channels, config.channels));
  layers_.emplace_back(TinyStep{TinyStep::Kind::Relu});
  for (size_t stage = 0; stage < kDecoderBlocks.size(); ++stage) {
    const bool last = stage + 1 == kDecoderBlocks.size();
    for (int i = 0; i < kDecoderBlocks[stage]; ++i) {
      layers_.emplace_back(TinyBlock(config.channels));
    }
    if (!last) layers_.emplace_back(TinyStep{TinyStep::Kind::Double});
    layers_.emplace_back(conv(config.channels, last ? 3 : config.channels, 1, last));
  }
}

Tensor TinyDecoder::forward(const Tensor& z_BCHW) const {
  return run(layers_, z_BCHW.div(kLatentRange).tanh().mul(kLatentRange)).mul(2).sub(1);
}

}  // namespace easel
