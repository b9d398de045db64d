#include "easel/models/clip_text.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/nn/stored_weights.h>
#include <easel/ops/activation.h>

#include "clip_tower.h"

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
  check_range("text encoder config: max_position_embeddings", config.max_position_embeddings, 1,
              models::kMaxChannels);
  models::check_transformer("text encoder config", config);
}

ClipText::ClipText(const ClipTextConfig& config)
    : config_(checked(config)),
      token_embedding_(config.vocab_size, config.hidden_size),
      position_embedding_(config.max_position_embeddings, config.hidden_size),
      layers_(models::clip_layers(config, /*causal=*/true)),
      final_layer_norm_(config.hidden_size, config.layer_norm_eps) {}

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
  const Tensor positions_TD =
      nn::StoredWeights::placed(position_embedding_.weight.narrow(0, 0, tokens_BT.size(1)));
  Tensor x_BTD = ops::add(token_embedding_.forward(tokens_BT), positions_TD);
  for (int64_t i = 0; i < config_.num_hidden_layers - (clip_skip - 1); ++i) {
    x_BTD = layers_[i].forward(x_BTD);
  }
  return final_layer_norm_.forward(x_BTD);
}

}  // namespace easel
