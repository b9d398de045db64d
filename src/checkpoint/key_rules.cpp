// The tables of names: native (diffusers) to CompVis.
#include "key_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <easel/base/error.h>
#include <easel/checkpoint/weights.h>
#include <easel/nn/module.h>

namespace easel {
namespace {

// A native name, read from the front: word("down_blocks"), number() ...
class Name {
 public:
  explicit Name(std::string_view text) : rest_(text) {}

  // Takes `word` and the dot behind it, if the rest starts with it.
  bool word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    if (rest_.size() > word.size() && rest_[word.size()] != '.') return false;
    rest_.remove_prefix(std::min(rest_.size(), word.size() + 1));
    return true;
  }
  size_t number() {
    size_t value = 0;
    const auto end = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value).ptr;
    rest_.remove_prefix(std::min(rest_.size(), static_cast<size_t>(end - rest_.data()) + 1));
    return value;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

using Renames = std::span<const std::pair<std::string_view, std::string_view>>;

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kUNetResBlock{{
    {"norm1", "in_layers.0"},
    {"conv1", "in_layers.2"},
    {"time_emb_proj", "emb_layers.1"},
    {"norm2", "out_layers.0"},
    {"conv2", "out_layers.3"},
    {"conv_shortcut", "skip_connection"},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kUNetEnds{{
    {"time_embedding.linear_1", "time_embed.0"},
    {"time_embedding.linear_2", "time_embed.2"},
    {"time_embedding.cond_proj", "time_embed.cond_proj"},
    {"class_embedding", "label_emb"},
    {"conv_in", "input_blocks.0.0"},
    {"conv_norm_out", "out.0"},
    {"conv_out", "out.2"},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 1> kVaeResBlock{{
    {"conv_shortcut", "nin_shortcut"},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kVaeAttention{{
    {"group_norm", "norm"},
    {"to_q", "q"},
    {"to_k", "k"},
    {"to_v", "v"},
    {"to_out.0", "proj_out"},
}};

// `name` with its first words exchanged as the table says; unchanged where the table has no row.
std::string rename(Name name, Renames table) {
  for (const auto& [from, to] : table) {
    if (name.word(from)) return fmt::format("{}.{}", to, name.rest());
  }
  return std::string(name.rest());
}

// Puts one residual block or attention layer of the UNet under CompVis's `place`.
void rename_layer(KeyRule& rule, const std::string& place, Name name, bool attention,
                  const UNetConfig& config, const UNetPlan::Attention& heads) {
  if (!attention) {
    rule.foreign = place + "." + rename(name, kUNetResBlock);
    return;
  }
  if (config.use_spatial_transformer) {
    rule.foreign = fmt::format("{}.{}", place, name.rest());
    return;
  }
  const bool weight = name.rest().ends_with(".weight");
  constexpr std::array<std::string_view, 3> kQkv{"to_q", "to_k", "to_v"};
  for (int part = 0; part < 3; ++part) {
    if (!name.word(kQkv[static_cast<size_t>(part)])) continue;
    rule.foreign = fmt::format("{}.qkv.{}", place, name.rest());
    rule.part = part;
    rule.heads = config.use_new_attention_order ? 1 : heads.heads;
    if (weight) rule.reshape = Reshape::LinearToConv1d;
    return;
  }
  if (name.word("group_norm")) {
    rule.foreign = fmt::format("{}.norm.{}", place, name.rest());
  } else if (name.word("to_out.0")) {
    rule.foreign = fmt::format("{}.proj_out.{}", place, name.rest());
    if (weight) rule.reshape = Reshape::LinearToConv1d;
  }
}

// CompVis numbers the layers of all levels through; `blocks` gives how many stand before a level.
size_t first_index(const std::vector<UNetPlan::Block>& blocks, size_t level,
                   bool resampler_counts) {
  size_t index = 0;
  for (size_t i = 0; i < level; ++i) {
    index += blocks[i].layers.size() + (resampler_counts && blocks[i].resamples ? 1 : 0);
  }
  return index;
}

}  // namespace

void rename_unet(KeyRule& rule, const UNetConfig& config, const UNetPlan& plan) {
  Name name(rule.native);
  name.word("unet");
  const auto sampler = [&](const std::string& place, std::string_view conv) {
    rule.foreign = name.word("conv") ? fmt::format("{}.{}.{}", place, conv, name.rest())
                                     : place + "." + rename(name, kUNetResBlock);
  };
  if (name.word("down_blocks")) {
    const size_t level = name.number();
    const size_t start = 1 + first_index(plan.down, level, true);
    const auto& layers = plan.down[level].layers;
    if (name.word("downsamplers")) {
      name.number();
      sampler(fmt::format("input_blocks.{}.0", start + layers.size()), "op");
      return;
    }
    const bool attention = !name.word("resnets") && name.word("attentions");
    const size_t index = name.number();
    rename_layer(rule, fmt::format("input_blocks.{}.{}", start + index, attention ? 1 : 0), name,
                 attention, config, layers[index].attention.value_or(UNetPlan::Attention{1, 1}));
  } else if (name.word("mid_block")) {
    const bool attention = !name.word("resnets") && name.word("attentions");
    const size_t index = name.number();
    rename_layer(rule, fmt::format("middle_block.{}", attention ? 1 : 2 * index), name, attention,
                 config, plan.mid_attention);
  } else if (name.word("up_blocks")) {
    const size_t level = name.number();
    const size_t start = first_index(plan.up, level, false);
    const auto& layers = plan.up[level].layers;
    if (name.word("upsamplers")) {
      name.number();
      sampler(fmt::format("output_blocks.{}.{}", start + layers.size() - 1,
                          layers.back().attention ? 2 : 1),
              "conv");
      return;
    }
    const bool attention = !name.word("resnets") && name.word("attentions");
    const size_t index = name.number();
    rename_layer(rule, fmt::format("output_blocks.{}.{}", start + index, attention ? 1 : 0), name,
                 attention, config, layers[index].attention.value_or(UNetPlan::Attention{1, 1}));
  } else {
    rule.foreign = rename(name, kUNetEnds);
  }
}

namespace {

void rename_vae(KeyRule& rule, const AutoencoderConfig& config) {
  Name name(rule.native);
  name.word("vae");
  const std::string side = name.word("encoder") ? "encoder" : name.word("decoder") ? "decoder" : "";
  if (side.empty()) {
    rule.foreign = std::string(name.rest());
    return;
  }
  // "block." and "attn." count from `first` in CompVis's names.
  const auto layer = [&](const std::string& blocks, const std::string& attentions, size_t first) {
    if (name.word("resnets")) {
      const size_t index = name.number() + first;
      rule.foreign = fmt::format("{}{}.{}", blocks, index, rename(name, kVaeResBlock));
    } else if (name.word("attentions")) {
      const size_t index = name.number() + first;
      rule.foreign = fmt::format("{}{}.{}", attentions, index, rename(name, kVaeAttention));
      if (rule.shape.size() == 2) rule.reshape = Reshape::LinearToConv2d;
    }
  };
  if (name.word("mid_block")) {
    layer(side + ".mid.block_", side + ".mid.attn_", 1);
  } else if (name.word("down_blocks")) {
    const std::string place = fmt::format("{}.down.{}", side, name.number());
    if (name.word("downsamplers.0")) {
      rule.foreign = fmt::format("{}.downsample.{}", place, name.rest());
    } else {
      layer(place + ".block.", place + ".attn.", 0);
    }
  } else if (name.word("up_blocks")) {
    const std::string place =
        fmt::format("{}.up.{}", side, config.ch_mult.size() - 1 - name.number());
    if (name.word("upsamplers.0")) {
      rule.foreign = fmt::format("{}.upsample.{}", place, name.rest());
    } else {
      layer(place + ".block.", place + ".attn.", 0);
    }
  } else {
    rule.foreign = side + "." +
                   (name.word("conv_norm_out") ? "norm_out." + std::string(name.rest())
                                               : std::string(name.rest()));
  }
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kOpenClipEnds{{
    {"embeddings.token_embedding", "token_embedding"},
    {"final_layer_norm", "ln_final"},
    {"embeddings.position_embedding.weight", "positional_embedding"},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kOpenClipLayer{{
    {"layer_norm1", "ln_1"},
    {"self_attn.out_proj", "attn.out_proj"},
    {"layer_norm2", "ln_2"},
    {"mlp.fc1", "mlp.c_fc"},
    {"mlp.fc2", "mlp.c_proj"},
}};

// OpenCLIP's own names, with q, k and v in one tensor as torch.nn.MultiheadAttention has them.
void rename_open_clip(KeyRule& rule) {
  Name name(rule.native);
  name.word("text_encoder");
  name.word("text_model");
  if (!name.word("encoder.layers")) {
    rule.foreign = rename(name, kOpenClipEnds);
    if (rule.foreign.ends_with('.')) rule.foreign.pop_back();  // a tensor without a module
    return;
  }
  const std::string place = fmt::format("transformer.resblocks.{}", name.number());
  constexpr std::array<std::string_view, 3> kQkv{"self_attn.q_proj", "self_attn.k_proj",
                                                 "self_attn.v_proj"};
  for (int part = 0; part < 3; ++part) {
    if (!name.word(kQkv[static_cast<size_t>(part)])) continue;
    rule.foreign = fmt::format("{}.attn.in_proj_{}", place, name.rest());
    rule.part = part;
    return;
  }
  rule.foreign = fmt::format("{}.{}", place, rename(name, kOpenClipLayer));
}

template <class Module>
std::vector<KeyRule> identity_rules(const Module& module, Part part) {
  std::vector<KeyRule> rules;
  for (const auto& parameter : nn::named_parameters(module)) {
    KeyRule rule;
    rule.native = std::string(native_prefix(part)) + parameter.name;
    rule.foreign = rule.native;
    rule.shape = parameter.tensor->sizes().vec();
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<KeyRule> unet_rules(const UNetConfig& config, WeightLayout layout) {
  std::vector<KeyRule> rules = identity_rules(UNet(config), Part::UNet);
  if (layout == WeightLayout::Diffusers) return rules;
  const UNetPlan unet_plan = plan(config);
  for (KeyRule& rule : rules) {
    rename_unet(rule, config, unet_plan);
    rule.foreign.insert(0, compvis_prefix(Part::UNet));
  }
  return rules;
}

std::vector<KeyRule> autoencoder_rules(const AutoencoderConfig& config, WeightLayout layout) {
  std::vector<KeyRule> rules = identity_rules(Autoencoder(config), Part::Autoencoder);
  if (layout == WeightLayout::Diffusers) return rules;
  for (KeyRule& rule : rules) {
    rename_vae(rule, config);
    rule.foreign.insert(0, compvis_prefix(Part::Autoencoder));
  }
  return rules;
}

std::vector<KeyRule> text_encoder_rules(const ModelConfig& config, WeightLayout layout) {
  std::vector<KeyRule> rules = identity_rules(ClipText(config.text_encoder), Part::TextEncoder);
  if (layout == WeightLayout::Diffusers) return rules;
  for (KeyRule& rule : rules) {
    if (config.open_clip) {
      rename_open_clip(rule);
      rule.foreign.insert(0, kOpenClipPrefix);
      continue;
    }
    rule.foreign = std::string(compvis_prefix(Part::TextEncoder)) +
                   rule.native.substr(native_prefix(Part::TextEncoder).size());
  }
  return rules;
}

}  // namespace

std::vector<KeyRule> key_rules(const ModelConfig& config, WeightLayout layout, Part part) {
  switch (part) {
    case Part::UNet:
      return unet_rules(config.unet, layout);
    case Part::Autoencoder:
      return autoencoder_rules(config.autoencoder, layout);
    case Part::TextEncoder:
      return text_encoder_rules(config, layout);
  }
  return {};
}

std::vector<KeyRule> key_rules(const ModelConfig& config, WeightLayout layout) {
  std::vector<KeyRule> all;
  for (const Part part : kAllParts) {
    for (KeyRule& rule : key_rules(config, layout, part)) all.push_back(std::move(rule));
  }
  return all;
}

}  // namespace easel
