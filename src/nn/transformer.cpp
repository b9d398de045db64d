#include "easel/nn/transformer.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/nn/checkpoint.h>
#include <easel/nn/stored_weights.h>
#include <easel/ops/activation.h>
#include <easel/ops/attention.h>
#include <easel/ops/linear.h>

namespace easel::nn {
namespace {

// [B, C, H, W] -> [B, H W, C], contiguous.
Tensor to_tokens(const Tensor& x_BCHW) { return x_BCHW.flatten(2).transpose(1, 2).contiguous(); }

// [B, H W, C] -> the height, width and memory format of `like_BCHW`. With the channels last that is
// the same memory; the argument is given up.
Tensor to_map(Tensor&& x_BTD, const Tensor& like_BCHW) {
  const Tensor x_BDT = x_BTD.transpose(1, 2);
  const bool channels_last = !like_BCHW.is_contiguous();
  return (channels_last ? x_BDT : x_BDT.contiguous())
      .unflatten(2, {like_BCHW.size(2), like_BCHW.size(3)});
}

}  // namespace

Attention::Attention(const AttentionOptions& o)
    : to_q(o.query_channels, o.heads * o.head_channels, o.qkv_bias),
      to_k(o.context_channels, o.heads * o.head_channels, o.qkv_bias),
      to_v(o.context_channels, o.heads * o.head_channels, o.qkv_bias),
      to_out(o.heads * o.head_channels, o.query_channels),
      heads(o.heads) {}

Tensor Attention::forward(const Tensor& x_BTD, const Tensor& context_BSD) const {
  const Tensor& source = context_BSD.defined() ? context_BSD : x_BTD;
  if (of_pictures.empty()) {
    return to_out.forward(
        ops::attention(to_q.forward(x_BTD), to_k.forward(source), to_v.forward(source), heads));
  }
  int64_t num_tokens = 0;
  for (const OfPicture& picture : of_pictures) num_tokens += picture.num_tokens;
  const int64_t num_text = source.size(1) - num_tokens;
  const Tensor text_BSD = source.narrow(1, 0, num_text).contiguous();
  const Tensor q_BTD = to_q.forward(x_BTD);
  return to_out.forward(
      with_pictures(ops::attention(q_BTD, to_k.forward(text_BSD), to_v.forward(text_BSD), heads),
                    q_BTD, source.narrow(1, num_text, num_tokens)));
}

Tensor Attention::with_pictures(Tensor h_BTD, const Tensor& q_BTD, const Tensor& tokens_BSD) const {
  int64_t first = 0;
  for (const OfPicture& picture : of_pictures) {
    const Tensor own_BSD = tokens_BSD.narrow(1, first, picture.num_tokens).contiguous();
    const Tensor k_BSD = ops::linear(own_BSD, picture.to_k, {});
    const Tensor v_BSD = ops::linear(own_BSD, picture.to_v, {});
    h_BTD = h_BTD + ops::attention(q_BTD, k_BSD, v_BSD, heads) * picture.scale;
    first += picture.num_tokens;
  }
  return h_BTD;
}

AttentionBlock::AttentionBlock(int64_t channels, int64_t heads, double eps, int64_t norm_groups,
                               bool use_checkpoint_)
    : group_norm(channels, eps, norm_groups),
      attention({.query_channels = channels,
                 .context_channels = channels,
                 .heads = heads,
                 .head_channels = channels / heads,
                 .qkv_bias = true}),
      use_checkpoint(use_checkpoint_) {}

Tensor AttentionBlock::forward(const Tensor& x_BCHW) const {
  return checkpoint(*this, use_checkpoint, {x_BCHW},
                    [this](const auto& inputs) { return forward_block(inputs[0]); });
}

Tensor AttentionBlock::forward_block(const Tensor& x_BCHW) const {
  Tensor h_BTD = attention.forward(to_tokens(group_norm.forward(x_BCHW)));
  return ops::add(to_map(std::move(h_BTD), x_BCHW), x_BCHW);
}

TransformerBlock::TransformerBlock(int64_t channels, int64_t context_channels, int64_t heads,
                                   int64_t head_channels, bool use_checkpoint_,
                                   bool self_attention_)
    : norm1(channels),
      attn1({channels, self_attention_ ? channels : context_channels, heads, head_channels}),
      norm2(channels),
      attn2({channels, context_channels, heads, head_channels}),
      norm3(channels),
      ff_in(channels, channels * 4 * 2),
      ff_out(channels * 4, channels),
      use_checkpoint(use_checkpoint_),
      self_attention(self_attention_) {}

Tensor TransformerBlock::forward(const Tensor& x_BTD, const Tensor& context_BSD) const {
  return checkpoint(*this, use_checkpoint, {x_BTD, context_BSD},
                    [this](const auto& inputs) { return forward_block(inputs[0], inputs[1]); });
}

Tensor TransformerBlock::forward_block(const Tensor& x_BTD, const Tensor& context_BSD) const {
  const Tensor first_BSD = self_attention ? Tensor() : context_BSD;
  Tensor x = ops::add(attn1.forward(norm1.forward(x_BTD), first_BSD), x_BTD);
  x = ops::add(attn2.forward(norm2.forward(x), context_BSD), x);
  return ops::add(ff_out.forward(ops::geglu(ff_in.forward(norm3.forward(x)))), x);
}

SpatialTransformer::Projection::Projection(int64_t in, int64_t out, bool use_linear)
    : weight(use_linear ? parameter({out, in}) : parameter({out, in, 1, 1})),
      bias(parameter({out})) {}

Tensor SpatialTransformer::Projection::forward(const Tensor& x_BTD) const {
  return ops::linear(x_BTD, InUse(weight.flatten(1)), InUse(bias));
}

SpatialTransformer::SpatialTransformer(const SpatialTransformerOptions& o)
    : norm(o.channels, 1e-6, o.norm_groups),
      proj_in(o.channels, o.heads * o.head_channels, o.use_linear),
      proj_out(o.heads * o.head_channels, o.channels, o.use_linear) {
  for (int64_t i = 0; i < o.depth; ++i) {
    transformer_blocks.emplace_back(o.heads * o.head_channels, o.context_channels, o.heads,
                                    o.head_channels, o.use_checkpoint, o.self_attention);
  }
}

Tensor SpatialTransformer::forward(const Tensor& x_BCHW, const Tensor& context_BSD) const {
  Tensor h_BTD = proj_in.forward(to_tokens(norm.forward(x_BCHW)));
  for (const TransformerBlock& block : transformer_blocks) {
    h_BTD = block.forward(h_BTD, context_BSD);
  }
  h_BTD = proj_out.forward(h_BTD);
  return ops::add(to_map(std::move(h_BTD), x_BCHW), x_BCHW);
}

}  // namespace easel::nn
