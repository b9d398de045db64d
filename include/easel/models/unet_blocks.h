// The UNet's three kinds of block: down, middle, up.
#pragma once

#include <variant>
#include <vector>

#include <easel/nn/resnet.h>
#include <easel/nn/transformer.h>

namespace easel {

using UNetAttention = std::variant<nn::SpatialTransformer, nn::AttentionBlock>;
using UNetDownsampler = std::variant<nn::Downsample, nn::ResBlock>;  // ResBlock: resblock_updown
using UNetUpsampler = std::variant<nn::Upsample, nn::ResBlock>;

// Everywhere: time_BD is silu of the time embedding, context_BTD is undefined where the attention
// is plain.
struct UNetDownBlock {
  std::vector<nn::ResBlock> resnets;
  std::vector<UNetAttention> attentions;      // one per resnet, or none
  std::vector<UNetDownsampler> downsamplers;  // at most one

  // Appends to `skips` what every resnet and the downsampler give. `feature_BCHW`, where defined,
  // is added behind the last resnet and its attention.
  Tensor forward(Tensor x_BCHW, const Tensor& time_BD, const Tensor& context_BTD,
                 std::vector<Tensor>& skips, const Tensor& feature_BCHW = {}) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("resnets", self.resnets);
    visit("attentions", self.attentions);
    visit("downsamplers", self.downsamplers);
  }
};

struct UNetMidBlock {
  std::vector<nn::ResBlock> resnets;      // two
  std::vector<UNetAttention> attentions;  // one, between them

  Tensor forward(Tensor x_BCHW, const Tensor& time_BD, const Tensor& context_BTD) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("resnets", self.resnets);
    visit("attentions", self.attentions);
  }
};

struct UNetUpBlock {
  std::vector<nn::ResBlock> resnets;
  std::vector<UNetAttention> attentions;  // one per resnet, or none
  std::vector<UNetUpsampler> upsamplers;  // at most one

  // Takes one of `skips` from the back for every resnet.
  Tensor forward(Tensor x_BCHW, const Tensor& time_BD, const Tensor& context_BTD,
                 std::vector<Tensor>& skips) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("resnets", self.resnets);
    visit("attentions", self.attentions);
    visit("upsamplers", self.upsamplers);
  }
};

}  // namespace easel
