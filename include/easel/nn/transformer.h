// Attention layers of the UNet and the autoencoder (Vaswani et al. 2017; Rombach et al. 2022).
// Names as in diffusers' Attention, BasicTransformerBlock and Transformer2DModel.
#pragma once

#include <vector>

#include <easel/nn/layers.h>

namespace easel::nn {

struct AttentionOptions {
  int64_t query_channels;
  int64_t context_channels;
  int64_t heads;
  int64_t head_channels;
  bool qkv_bias = false;
};

// Attention of x to a context, or to itself.
struct Attention {
  // Keys and values for tokens of a picture, whose attention is added to that of the text's (an
  // IP-Adapter's; Ye et al. 2023, arXiv 2308.06721). Without biases.
  struct OfPicture {
    Tensor to_k, to_v;  // [heads * head_channels, context_channels]
    int64_t num_tokens;
    double scale;
  };

  Linear to_q, to_k, to_v, to_out;
  int64_t heads;
  // Their tokens stand in this order at the end of the context. No parameters of the module.
  std::vector<OfPicture> of_pictures{};

  explicit Attention(const AttentionOptions& options);
  // x_BTD [B, T, query_channels], context_BSD [B, S, context_channels], x itself if undefined.
  Tensor forward(const Tensor& x_BTD, const Tensor& context_BSD = {}) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("to_q", self.to_q);
    visit("to_k", self.to_k);
    visit("to_v", self.to_v);
    visit("to_out.0", self.to_out);
  }

 private:
  // The attention to the tokens of pictures at the end of the context is added to `h_BTD`.
  Tensor with_pictures(Tensor h_BTD, const Tensor& q_BTD, const Tensor& tokens_BSD) const;
};

// Plain self-attention between positions: group norm, attention, residual.
struct AttentionBlock {
  GroupNorm group_norm;
  Attention attention;
  bool use_checkpoint;  // activation checkpointing, in training mode (nn/checkpoint.h)

  AttentionBlock(int64_t channels, int64_t heads, double eps, int64_t norm_groups = 32,
                 bool use_checkpoint = false);
  Tensor forward(const Tensor& x_BCHW) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("group_norm", self.group_norm);
    Attention::members(self.attention, visit);
  }

 private:
  Tensor forward_block(const Tensor& x_BCHW) const;
};

// Self-attention, attention to the context, GEGLU feed-forward, each behind a layer norm and with a
// residual. Without self-attention the first looks at the context too.
struct TransformerBlock {
  LayerNorm norm1;
  Attention attn1;
  LayerNorm norm2;
  Attention attn2;
  LayerNorm norm3;
  Linear ff_in, ff_out;
  bool use_checkpoint;
  bool self_attention;

  TransformerBlock(int64_t channels, int64_t context_channels, int64_t heads, int64_t head_channels,
                   bool use_checkpoint = false, bool self_attention = true);
  Tensor forward(const Tensor& x_BTD, const Tensor& context_BSD) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("norm1", self.norm1);
    visit("attn1", self.attn1);
    visit("norm2", self.norm2);
    visit("attn2", self.attn2);
    visit("norm3", self.norm3);
    visit("ff.net.0.proj", self.ff_in);
    visit("ff.net.2", self.ff_out);
  }

 private:
  Tensor forward_block(const Tensor& x_BTD, const Tensor& context_BSD) const;
};

struct SpatialTransformerOptions {
  int64_t channels;
  int64_t heads;
  int64_t head_channels;  // heads * head_channels may differ from `channels`
  int64_t context_channels;
  int64_t depth = 1;        // number of transformer blocks
  bool use_linear = false;  // proj_in and proj_out are linear [O, I]; else 1 x 1 convolutions
  int64_t norm_groups = 32;
  bool use_checkpoint = false;  // of each transformer block
  bool self_attention = true;   // of each transformer block
};

// A transformer over the positions of a feature map. The projections map every position by itself
// either way; use_linear only says which shape their weights have.
struct SpatialTransformer {
  // A linear map of channels whose weight may be [O, I] or [O, I, 1, 1].
  struct Projection {
    Tensor weight, bias;

    Projection(int64_t in, int64_t out, bool use_linear);
    Tensor forward(const Tensor& x_BTD) const;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("weight", self.weight);
      visit("bias", self.bias);
    }
  };

  GroupNorm norm;
  Projection proj_in;
  std::vector<TransformerBlock> transformer_blocks;
  Projection proj_out;

  explicit SpatialTransformer(const SpatialTransformerOptions& options);
  Tensor forward(const Tensor& x_BCHW, const Tensor& context_BSD) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("norm", self.norm);
    visit("proj_in", self.proj_in);
    visit("transformer_blocks", self.transformer_blocks);
    visit("proj_out", self.proj_out);
  }
};

}  // namespace easel::nn
