#include "read_parts.h"

#include <algorithm>
#include <array>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr IntegerRange kPositive{.min = 1};

// The published CLIP models that can be named by `version`: their text encoders differ in width.
struct ClipVersion {
  std::string_view name;
  int64_t hidden, intermediate, heads;
};
constexpr std::array<ClipVersion, 5> kClipVersions{{
    {"openai/clip-vit-large-patch14", 768, 3072, 12},
    {"openai/clip-vit-large-patch14-336", 768, 3072, 12},
    {"ViT-L/14", 768, 3072, 12},
    {"openai/clip-vit-base-patch32", 512, 2048, 8},
    {"openai/clip-vit-base-patch16", 512, 2048, 8},
}};

// Fields of ClipTextConfig by their own names, over what stands in `clip`.
void read_clip_fields(ConfigMap& params, ClipTextConfig& clip) {
  clip.vocab_size = params.integer("vocab_size", clip.vocab_size, kPositive);
  clip.hidden_size = params.integer("hidden_size", clip.hidden_size, kPositive);
  clip.intermediate_size = params.integer("intermediate_size", clip.intermediate_size, kPositive);
  clip.num_hidden_layers = params.integer("num_hidden_layers", clip.num_hidden_layers, kPositive);
  clip.num_attention_heads =
      params.integer("num_attention_heads", clip.num_attention_heads, kPositive);
  clip.max_position_embeddings =
      params.integer("max_position_embeddings", clip.max_position_embeddings, kPositive);
  clip.hidden_act = params.text("hidden_act", clip.hidden_act);
  clip.layer_norm_eps = params.number("layer_norm_eps", clip.layer_norm_eps);

  const int64_t length = params.integer("max_length", clip.max_position_embeddings, kPositive);
  if (length != clip.max_position_embeddings) {
    params.reject("max_length", fmt::format("{} is not supported; prompts are padded to {} tokens",
                                            length, clip.max_position_embeddings));
  }
}

}  // namespace

AutoencoderConfig read_autoencoder_params(ConfigMap& params) {
  AutoencoderConfig vae;
  vae.embed_dim = params.integer("embed_dim", std::nullopt, kPositive);
  ConfigMap dd = params.map("ddconfig");
  params.require("colorize_nlabels", "", "segmentations in place of pictures");

  vae.double_z = dd.boolean("double_z", true);
  vae.z_channels = dd.integer("z_channels", std::nullopt, kPositive);
  vae.resolution = dd.integer("resolution", std::nullopt, kPositive);
  vae.in_channels = dd.integer("in_channels", std::nullopt, kPositive);
  vae.out_ch = dd.integer("out_ch", std::nullopt, kPositive);
  vae.ch = dd.integer("ch", std::nullopt, kPositive);
  vae.ch_mult = dd.integers("ch_mult", std::vector<int64_t>{1, 2, 4, 8}, kPositive);
  vae.num_res_blocks = dd.integer("num_res_blocks", std::nullopt, kPositive);
  vae.attn_resolutions = dd.integers("attn_resolutions", std::nullopt);
  vae.dropout = dd.number("dropout", 0.0);
  vae.norm_num_groups = dd.integer("norm_num_groups", 32, kPositive);
  if (dd.has("attn_type") && dd.text("attn_type", "") != "vanilla-xformers") {
    dd.require("attn_type", "vanilla", "expected 'vanilla'");
  }
  dd.require("use_linear_attn", "false", "linear attention");
  dd.require("resamp_with_conv", "true", "resampling without a convolution");
  dd.require("tanh_out", "false", "a tanh behind the decoder");
  dd.require("give_pre_end", "false", "a decoder without its last layers");
  dd.ignore({"attn_type"});
  dd.finish();
  check(vae);
  return vae;
}

ClipTextConfig read_text_encoder_params(ConfigMap& params) {
  ClipTextConfig clip;
  if (params.has("version")) {
    const std::string version = params.text("version", "");
    std::vector<std::string_view> names;
    for (const ClipVersion& known : kClipVersions) names.push_back(known.name);
    const auto found = std::find(names.begin(), names.end(), version);
    if (found == names.end()) params.reject("version", unknown_name("CLIP model", version, names));
    const ClipVersion& known = kClipVersions[static_cast<size_t>(found - names.begin())];
    clip.hidden_size = known.hidden;
    clip.intermediate_size = known.intermediate;
    clip.num_attention_heads = known.heads;
  }
  read_clip_fields(params, clip);
  params.require("layer", "last", "the context is the last layer's output");
  params.ignore({"version", "device", "freeze", "layer_idx"});
  check(clip);
  return clip;
}

ClipTextConfig read_open_clip_params(ConfigMap& params) {
  params.require("arch", "ViT-H-14", "Stable Diffusion 2 has OpenCLIP's ViT-H-14");
  ClipTextConfig clip = open_clip_vit_h();
  read_clip_fields(params, clip);
  const std::string layer = params.text("layer", "last");
  if (layer != "last" && layer != "penultimate") {
    constexpr std::array<std::string_view, 2> known{"last", "penultimate"};
    params.reject("layer", unknown_name("layer", layer, known));
  }
  if (layer == "penultimate") --clip.num_hidden_layers;
  params.ignore({"arch", "version", "device", "freeze"});
  check(clip);
  return clip;
}

ClipTextConfig open_clip_vit_h() {
  return {.hidden_size = 1024,
          .intermediate_size = 4096,
          .num_hidden_layers = 24,
          .num_attention_heads = 16,
          .hidden_act = "gelu"};
}

}  // namespace easel
