// A ControlNet (Zhang et al. 2023, arXiv 2302.05543): a copy of the UNet's first half that looks at
// a picture too, and whose features are added to the UNet's.
//
// Parameters carry the names of diffusers' ControlNetModel: conv_in, time_embedding, down_blocks
// and mid_block as in the UNet,
//
//   controlnet_cond_embedding.{conv_in,blocks.I,conv_out}
//   controlnet_down_blocks.I, controlnet_mid_block
#pragma once

#include <cstdint>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/models/unet.h>
#include <easel/models/unet_blocks.h>
#include <easel/nn/layers.h>

namespace easel {

struct ControlNetConfig {
  UNetConfig unet;  // that it is a copy of; in_channels are the latents' own
  // Channels of the picture on its way to the latents' size, which each but the first halves.
  std::vector<int64_t> hint_channels = {16, 32, 96, 256};
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const ControlNetConfig& config);

// What a ControlNet adds to a UNet: as in UNetExtras.
struct ControlResiduals {
  std::vector<Tensor> skips_BCHW;
  Tensor mid_BCHW;
};

class ControlNet {
 public:
  explicit ControlNet(const ControlNetConfig& config);

  // picture_BCHW [B, 3, H s, W s], values 0 to 1, s = downsampling(). Returns [B, C, H, W], which
  // forward() takes: once for all steps.
  Tensor embed(const Tensor& picture_BCHW) const;

  // As UNet::forward, with the embedded picture, whose batch may be 1.
  ControlResiduals forward(const Tensor& x_BCHW, const Tensor& t_B, const Tensor& context_BTD,
                           const Tensor& embedded_BCHW) const;

  const ControlNetConfig& config() const { return config_; }
  int64_t downsampling() const { return int64_t{1} << (config_.hint_channels.size() - 1); }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv_in", self.conv_in_);
    visit("time_embedding.linear_1", self.time_linear_1_);
    visit("time_embedding.linear_2", self.time_linear_2_);
    visit("controlnet_cond_embedding.conv_in", self.hint_in_);
    visit("controlnet_cond_embedding.blocks", self.hint_blocks_);
    visit("controlnet_cond_embedding.conv_out", self.hint_out_);
    visit("down_blocks", self.down_blocks_);
    visit("mid_block", self.mid_block_);
    visit("controlnet_down_blocks", self.skip_convs_);
    visit("controlnet_mid_block", self.mid_conv_);
  }

 private:
  ControlNet(const ControlNetConfig& config, const UNetPlan& plan);

  ControlNetConfig config_;
  nn::Conv2d conv_in_;
  nn::Linear time_linear_1_;
  nn::Linear time_linear_2_;
  nn::Conv2d hint_in_;
  std::vector<nn::Conv2d> hint_blocks_;
  nn::Conv2d hint_out_;
  std::vector<UNetDownBlock> down_blocks_;
  UNetMidBlock mid_block_;
  std::vector<nn::Conv2d> skip_convs_;
  nn::Conv2d mid_conv_;
};

}  // namespace easel
