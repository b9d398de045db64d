// The denoising UNet with cross-attention (Rombach et al. 2022; CompVis's openaimodel.UNetModel).
// Parameters carry the names of diffusers' UNet2DConditionModel.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <easel/base/tensor.h>
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
  double dropout = 0;                                      // for training; no effect in inference
  std::vector<int64_t> channel_mult = {1, 2, 4, 4};        // one per level
  bool conv_resample = true;       // convolutions (true) or average pooling and plain nearest-neighbour
  int64_t num_heads = -1;          // heads per attention layer, or -1: from num_head_channels
  int64_t num_head_channels = -1;  // features per head, or -1: from num_heads
  int64_t num_heads_upsample = -1; // heads of plain attention in the up blocks, or -1: num_heads
  bool use_scale_shift_norm = false;
  bool resblock_updown = false;
  bool use_new_attention_order = false;  // how plain attention's fused qkv is split
  bool use_spatial_transformer = false;
  int64_t transformer_depth = 1;
  std::optional<int64_t> context_dim;    // 768 for sd-v1, 1024 for sd-v2
  bool use_linear_in_transformer = false;
  bool legacy = true;                    // CompVis's older head-size rule
  std::optional<int64_t> num_classes;    // class-conditional ("adm")
  bool use_checkpoint = false;           // activation checkpointing in training
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const UNetConfig& config);

// Heads of the attention layers: num_heads and num_head_channels combined by CompVis's rules.
struct AttentionShape {
  int64_t heads;
  int64_t head_channels;
};

class UNet {
 public:
  explicit UNet(const UNetConfig& config);

  // x_BCHW [B, in_channels, H, W], H and W multiples of 2^(levels - 1); t_B float timesteps [B];
  // context_BTD [B, T, context_dim], undefined without a spatial transformer; class_label_B int64 [B]
  // exactly where num_classes is set. Returns [B, out_channels, H, W]. x and context have the
  // parameters' dtype and device.
  Tensor forward(const Tensor& x_BCHW, const Tensor& t_B, const Tensor& context_BTD,
                 const Tensor& class_label_B = {}) const;

  const UNetConfig& config() const { return config_; }
};

}  // namespace easel
