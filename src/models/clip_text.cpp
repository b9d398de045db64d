#include "easel/models/clip_text.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/ops/activation.h>
#include <easel/ops/attention.h>

#include "config_checks.h"

namespace easel {
namespace {

const ClipTextConfig& checked(const ClipTextConfig& config) {
  check(config);
  return config;
}

}  // namespace

void check(const ClipTextConfig& config) {
  using models::check_range;
  check_range("text encoder config: vocab_size", config.vocab_size, 1, int64_t{1} << 31);
  check_range("text encoder config: hidden_size", config.hidden_size, 1, models::kMaxChannels);
  check_range("text encoder config: intermediate_size", config.intermediate_size, 1,
              models::kMaxChannels);
  check_range("text encoder config: num_hidden_layers", config.num_hidden_layers, 1,
              models::kMaxLayers);
  check_range("text encoder config: num_attention_heads", config.num_attention_heads, 1,
              config.hidden_size);
  check_range("text encoder config: max_position_embeddings", config.max_position_embeddings, 1,
              models::kMaxChannels);
  if (config.hidden_size % config.num_attention_heads != 0) {
    fail_usage("text encoder config: hidden_size {} is not a multiple of num_attention_heads {}",
               config.hidden_size, config.num_attention_heads);
  }
  if (config.hidden_act != "quick_gelu" && config.hidden_act != "gelu") {
    fail_usage("text encoder config: hidden_act is '{}'; known: gelu, quick_gelu",
               printable(config.hidden_act));
  }
  if (!(config.layer_norm_eps > 0 && config.layer_norm_eps < 1)) {
    fail_usage("text encoder config: layer_norm_eps is {}; it must be between 0 and 1",
               config.layer_norm_eps);
  }
}

ClipTextLayer::ClipTextLayer(const ClipTextConfig& config)
    : layer_norm1(config.hidden_size, config.layer_norm_eps),
      q_proj(config.hidden_size, config.hidden_size),
      k_proj(config.hidden_size, config.hidden_size),
      v_proj(config.hidden_size, config.hidden_size),
      out_proj(config.hidden_size, config.hidden_size),
      layer_norm2(config.hidden_size, config.layer_norm_eps),
      fc1(config.hidden_size, config.intermediate_size),
      fc2(config.intermediate_size, config.hidden_size),
      heads(config.num_attention_heads),
      quick_gelu(config.hidden_act == "quick_gelu") {}

Tensor ClipTextLayer::forward(const Tensor& x_BTD) const {
  Tensor h = layer_norm1.forward(x_BTD);
  h = ops::attention(q_proj.forward(h), k_proj.forward(h), v_proj.forward(h), heads,
                     /*causal=*/true);
  const Tensor x = ops::add(out_proj.forward(h), x_BTD);
  h = fc1.forward(layer_norm2.forward(x));
  return ops::add(fc2.forward(quick_gelu ? ops::quick_gelu(h) : ops::gelu(h)), x);
}

ClipText::ClipText(const ClipTextConfig& config)
    : config_(checked(config)),
      token_embedding_(config.vocab_size, config.hidden_size),
      position_embedding_(config.max_position_embeddings, config.hidden_size),
      final_layer_norm_(config.hidden_size, config.layer_norm_eps) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers_.emplace_back(config);
}

Tensor ClipText::forward(const Tensor& tokens_BT, int64_t clip_skip) const {
  if (clip_skip < 1 || clip_skip > config_.num_hidden_layers) {
    fail_usage(
        "clip skip is {}; it must be from 1 (the last layer) to {}, the text encoder's layers",
        clip_skip, config_.num_hidden_layers);
  }
  if (tokens_BT.dim() != 2 || tokens_BT.size(1) < 1 ||
      tokens_BT.size(1) > config_.max_position_embeddings) {
    fail("text encoder: the tokens have shape {}; expected [B, T] with T from 1 to {}",
         shape_text(tokens_BT.sizes()), config_.max_position_embeddings);
  }
  if (tokens_BT.lt(0).logical_or(tokens_BT.ge(config_.vocab_size)).any().item<bool>()) {
    fail(
        "text encoder: a token is outside the vocabulary of {}: they run from {} to {}; the "
        "tokenizer and the text encoder do not belong together",
        config_.vocab_size, tokens_BT.min().item<int64_t>(), tokens_BT.max().item<int64_t>());
  }
  const Tensor& positions_TD = position_embedding_.weight;
  Tensor x_BTD =
      ops::add(token_embedding_.forward(tokens_BT), positions_TD.narrow(0, 0, tokens_BT.size(1)));
  for (int64_t i = 0; i < config_.num_hidden_layers - (clip_skip - 1); ++i) {
    x_BTD = layers_[i].forward(x_BTD);
  }
  return final_layer_norm_.forward(x_BTD);
}

}  // namespace easel
