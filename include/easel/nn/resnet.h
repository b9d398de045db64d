// Residual blocks and resampling layers, shared by the UNet and the autoencoder (He et al. 2016; Ho
// et al. 2020). Names as in diffusers' ResnetBlock2D, Downsample2D and Upsample2D.
#pragma once

#include <optional>

#include <easel/nn/layers.h>

namespace easel::nn {

enum class Resample { None, Down, Up };

struct ResBlockOptions {
  int64_t in_channels;
  int64_t out_channels;
  int64_t time_channels = 0;           // features of the time embedding; 0: the block takes none
  bool scale_shift = false;            // the embedding scales and shifts norm2's output (FiLM)
  Resample resample = Resample::None;  // by two, between norm1 and conv1 and on the shortcut
  double eps = 1e-5;
  int64_t norm_groups = 32;
  double dropout = 0;           // before conv2, in training mode (nn/training_mode.h)
  bool use_checkpoint = false;  // activation checkpointing, in training mode (nn/checkpoint.h)
};

struct ResBlock {
  GroupNorm norm1;
  Conv2d conv1;
  std::optional<Linear> time_emb_proj;
  GroupNorm norm2;
  Conv2d conv2;
  std::optional<Conv2d> conv_shortcut;  // 1 x 1, where the number of channels changes
  bool scale_shift;
  Resample resample;
  double dropout;
  bool use_checkpoint;

  explicit ResBlock(const ResBlockOptions& options);

  // time_BD: silu of the time embedding [B, time_channels] (one silu serves all blocks); undefined
  // exactly where time_channels is 0.
  Tensor forward(const Tensor& x_BCHW, const Tensor& time_BD = {}) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("norm1", self.norm1);
    visit("conv1", self.conv1);
    visit("time_emb_proj", self.time_emb_proj);
    visit("norm2", self.norm2);
    visit("conv2", self.conv2);
    visit("conv_shortcut", self.conv_shortcut);
  }

 private:
  Tensor forward_block(const Tensor& x_BCHW, const Tensor& time_BD) const;
};

// Halves H and W.
struct Downsample {
  enum class Kind {
    Conv,            // 3 x 3, stride 2, one zero on every side: the UNet
    ConvAsymmetric,  // 3 x 3, stride 2, one zero at the bottom and right: the autoencoder
    AveragePool,     // no parameters
  };
  Kind kind;
  std::optional<Conv2d> conv;

  Downsample(int64_t channels, Kind kind);
  Tensor forward(const Tensor& x_BCHW) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv", self.conv);
  }
};

// Doubles H and W (or brings them to the size asked for): nearest neighbour, then a 3 x 3
// convolution if `with_conv`.
struct Upsample {
  std::optional<Conv2d> conv;

  Upsample(int64_t channels, bool with_conv);
  Tensor forward(const Tensor& x_BCHW) const;
  Tensor forward(const Tensor& x_BCHW, int64_t height, int64_t width) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv", self.conv);
  }
};

}  // namespace easel::nn
