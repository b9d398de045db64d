// The denoising UNet with cross-attention (Rombach et al. 2022; CompVis's openaimodel.UNetModel).
//
// Parameters carry the names of diffusers' UNet2DConditionModel:
//
//   conv_in, time_embedding.{linear_{1,2},cond_proj}, class_embedding
//   down_blocks.I.resnets.J.{norm1,conv1,time_emb_proj,norm2,conv2,conv_shortcut}
//   down_blocks.I.attentions.J.{norm,proj_in,transformer_blocks.K...,proj_out}   spatial
//   transformer down_blocks.I.attentions.J.{group_norm,to_q,to_k,to_v,to_out.0}              plain
//   attention down_blocks.I.downsamplers.0.conv, or .{norm1,conv1...} with resblock_updown
//   mid_block.resnets.{0,1}, mid_block.attentions.0
//   up_blocks.I as down_blocks, lowest resolution first; upsamplers.0
//   conv_norm_out, conv_out
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/models/unet_blocks.h>
#include <easel/nn/layers.h>

namespace easel {

// CompVis's `unet_config.params`, each under its own name; what a config does not give has the
// default of CompVis's constructor.
struct UNetConfig {
  int64_t in_channels = 4;
  int64_t model_channels = 320;
  int64_t out_channels = 4;
  std::vector<int64_t> num_res_blocks = {2, 2, 2, 2};      // one per level
  std::vector<int64_t> attention_resolutions = {4, 2, 1};  // downsampling factors with attention
  double dropout = 0;                                // of residual blocks, in training mode only
  std::vector<int64_t> channel_mult = {1, 2, 4, 4};  // one per level
  bool conv_resample = true;  // convolutions (true) or average pooling and plain nearest-neighbour
  int64_t num_heads = -1;     // heads per attention layer, or -1: from num_head_channels
  int64_t num_head_channels = -1;   // features per head, or -1: from num_heads
  int64_t num_heads_upsample = -1;  // heads of plain attention in the up blocks, or -1: num_heads
  bool use_scale_shift_norm = false;
  bool resblock_updown = false;
  bool use_new_attention_order = false;  // how plain attention's fused qkv is split
  bool use_spatial_transformer = false;
  int64_t transformer_depth = 1;
  std::optional<int64_t> context_dim;  // 768 for sd-v1, 1024 for sd-v2
  bool use_linear_in_transformer = false;
  // One per level, or none: where true, both attentions of a transformer look at the context.
  std::vector<bool> disable_self_attentions{};
  bool legacy = true;                  // CompVis's older head-size rule
  std::optional<int64_t> num_classes;  // class-conditional ("adm")
  bool use_checkpoint = false;         // activation checkpointing, in training mode only
  int64_t norm_num_groups = 32;        // diffusers' name; CompVis's code has 32 throughout
  // diffusers' name: features of the embedded guidance scale that a guidance-distilled model (LCM)
  // takes.
  std::optional<int64_t> time_cond_proj_dim;
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const UNetConfig& config);

// The rules of CompVis's constructor, applied: what stands where. Both the network and the tables
// of weight names are built from it.
struct UNetPlan {
  // Heads of an attention layer, from num_heads, num_head_channels and `legacy`. Their product is
  // the width of the attention, which a spatial transformer lets differ from the layer's channels.
  struct Attention {
    int64_t heads;
    int64_t head_channels;
  };
  // A residual block, and the attention behind it where the level has one.
  struct Layer {
    int64_t in_channels;
    int64_t out_channels;
    std::optional<Attention> attention;
  };
  struct Block {
    std::vector<Layer> layers;
    int64_t channels;            // behind the last layer
    bool resamples;              // ends with a downsampler (an upsampler in `up`)
    bool self_attention = true;  // of its transformers
  };
  std::vector<Block> down;  // highest resolution first
  int64_t mid_channels;
  Attention mid_attention;
  std::vector<Block> up;  // lowest resolution first; in_channels count the skip connection's
};

// Checks the config as check() does.
UNetPlan plan(const UNetConfig& config);

// What the height and width of latents must be multiples of: 1, because upsampling meets the size
// of the skip connection (diffusers' rule; CompVis's code takes multiples of 2^(levels - 1) only),
// or 2^(levels - 1) where up- and downsampling are pooling or residual blocks.
int64_t size_multiple(const UNetConfig& config);

// What else a forward may take; absent parts are undefined or empty.
struct UNetExtras {
  Tensor guidance_B;               // what ops::guidance_embedding takes, exactly where
                                   // time_cond_proj_dim is set
  std::vector<Tensor> skips_BCHW;  // added to the skip connections, one for each, as ControlNets do
  Tensor mid_BCHW;                 // added behind the middle block
  // Added behind the last resnet of each down block, one for each, as T2I-Adapters do.
  std::vector<Tensor> features_BCHW;
};

class UNet {
 public:
  explicit UNet(const UNetConfig& config);

  // x_BCHW [B, in_channels, H, W], H and W multiples of size_multiple(config); t_B float timesteps
  // [B]; context_BTD [B, T, context_dim], undefined without a spatial transformer; class_label_B
  // int64 [B] exactly where num_classes is set. Returns [B, out_channels, H, W]. x and context have
  // the parameters' dtype and device.
  Tensor forward(const Tensor& x_BCHW, const Tensor& t_B, const Tensor& context_BTD,
                 const Tensor& class_label_B = {}, const UNetExtras& extras = {}) const;

  const UNetConfig& config() const { return config_; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv_in", self.conv_in_);
    visit("time_embedding.linear_1", self.time_linear_1_);
    visit("time_embedding.linear_2", self.time_linear_2_);
    visit("time_embedding.cond_proj", self.time_cond_proj_);
    visit("class_embedding", self.class_embedding_);
    visit("down_blocks", self.down_blocks_);
    visit("mid_block", self.mid_block_);
    visit("up_blocks", self.up_blocks_);
    visit("conv_norm_out", self.conv_norm_out_);
    visit("conv_out", self.conv_out_);
  }

 private:
  UNet(const UNetConfig& config, const UNetPlan& plan);
  void check_inputs(const Tensor& x_BCHW, const Tensor& t_B, const Tensor& context_BTD,
                    const Tensor& class_label_B, const UNetExtras& extras) const;

  UNetConfig config_;
  nn::Conv2d conv_in_;
  nn::Linear time_linear_1_;
  nn::Linear time_linear_2_;
  std::optional<nn::Linear> time_cond_proj_;
  std::optional<nn::Embedding> class_embedding_;
  std::vector<UNetDownBlock> down_blocks_;
  UNetMidBlock mid_block_;
  std::vector<UNetUpBlock> up_blocks_;
  nn::GroupNorm conv_norm_out_;
  nn::Conv2d conv_out_;
};

}  // namespace easel
