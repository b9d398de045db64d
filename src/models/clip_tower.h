// What CLIP's two towers have in common.
#pragma once

#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/models/clip_layer.h>

#include "config_checks.h"

namespace easel::models {

// `config_name` leads the messages.
template <class Config>
void check_transformer(std::string_view config_name, const Config& config) {
  const auto check_field = [&](const char* field, int64_t value, int64_t high) {
    check_range(fmt::format("{}: {}", config_name, field), value, 1, high);
  };
  check_field("hidden_size", config.hidden_size, kMaxChannels);
  check_field("intermediate_size", config.intermediate_size, kMaxChannels);
  check_field("num_hidden_layers", config.num_hidden_layers, kMaxLayers);
  check_field("num_attention_heads", config.num_attention_heads, config.hidden_size);
  if (config.hidden_size % config.num_attention_heads != 0) {
    fail_usage("{}: hidden_size {} is not a multiple of num_attention_heads {}", config_name,
               config.hidden_size, config.num_attention_heads);
  }
  if (config.hidden_act != "quick_gelu" && config.hidden_act != "gelu") {
    fail_usage("{}: hidden_act is '{}'; known: gelu, quick_gelu", config_name,
               printable(config.hidden_act));
  }
  if (!(config.layer_norm_eps > 0 && config.layer_norm_eps < 1)) {
    fail_usage("{}: layer_norm_eps is {}; it must be between 0 and 1", config_name,
               config.layer_norm_eps);
  }
}

// The layers of a tower of this config, on the meta device.
template <class Config>
std::vector<ClipLayer> clip_layers(const Config& config, bool causal) {
  std::vector<ClipLayer> layers;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers.emplace_back(ClipLayerOptions{.hidden_size = config.hidden_size,
                                         .intermediate_size = config.intermediate_size,
                                         .heads = config.num_attention_heads,
                                         .quick_gelu = config.hidden_act == "quick_gelu",
                                         .layer_norm_eps = config.layer_norm_eps,
                                         .causal = causal});
  }
  return layers;
}

}  // namespace easel::models
