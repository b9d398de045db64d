// A T2I-Adapter (Mou et al. 2023, arXiv 2302.08453): a small network that looks at a picture once
// and whose features are added to those of the UNet's way down.
//
// Parameters carry the names of diffusers' T2IAdapter:
//
//   adapter.conv_in                                                     of the full kind
//   adapter.body.I.{in_conv,resnets.J.{block1,block2}}                  one I for each level
//   adapter.body.I.out_conv                                             of the light kind
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/layers.h>

namespace easel {

struct T2IAdapterConfig {
  int64_t picture_channels = 3;                            // 1: grey
  std::vector<int64_t> channels = {320, 640, 1280, 1280};  // of the UNet's levels
  int64_t num_res_blocks = 2;                              // a level
  int64_t downsampling = 8;                                // pixels of the picture a latent
  bool light = false;
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const T2IAdapterConfig& config);

class T2IAdapter {
 public:
  explicit T2IAdapter(const T2IAdapterConfig& config);

  // picture_BCHW [B, picture_channels, H, W], values 0 to 1, H and W multiples of `downsampling`.
  // Returns what UNetExtras's features_BCHW takes, once for all steps.
  std::vector<Tensor> forward(const Tensor& picture_BCHW) const;

  const T2IAdapterConfig& config() const { return config_; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("adapter.conv_in", self.conv_in_);
    visit("adapter.body", self.body_);
  }

 private:
  struct ResBlock {
    nn::Conv2d block1, block2;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("block1", self.block1);
      visit("block2", self.block2);
    }
  };
  struct Level {
    std::optional<nn::Conv2d> in_conv;
    std::vector<ResBlock> resnets;
    std::optional<nn::Conv2d> out_conv;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("in_conv", self.in_conv);
      visit("resnets", self.resnets);
      visit("out_conv", self.out_conv);
    }
  };

  T2IAdapterConfig config_;
  std::optional<nn::Conv2d> conv_in_;
  std::vector<Level> body_;
};

}  // namespace easel
