// Reads the JSON files of a diffusers folder; JSON is read as the YAML that it is.
#include <algorithm>
#include <array>

#include <easel/base/error.h>
#include <easel/checkpoint/model_config.h>
#include <easel/io/file.h>
#include <easel/text/clip_tokenizer.h>
#include <easel/text/sentencepiece_tokenizer.h>

#include "config_map.h"
#include "model_config_checks.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr IntegerRange kPositive{.min = 1};

ConfigMap read_json(const fs::path& path) {
  return ConfigMap::parse(read_text_file(path, kMaxConfigBytes), path.string());
}

void check_class(ConfigMap& config, std::initializer_list<std::string_view> known) {
  const std::string name = config.text("_class_name", std::nullopt);
  const std::vector<std::string_view> names(known);
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    config.reject("_class_name", unknown_name("class", name, names));
  }
}

// block_out_channels as CompVis's base width and multiples of it.
std::vector<int64_t> multiples(const ConfigMap& config, const std::vector<int64_t>& channels) {
  if (channels.empty()) config.reject("block_out_channels", "expected at least one level");
  std::vector<int64_t> mult;
  for (const int64_t width : channels) {
    if (width % channels.front() != 0) {
      config.reject("block_out_channels", "expected multiples of the first level's channels");
    }
    mult.push_back(width / channels.front());
  }
  return mult;
}

// For each level, whether its block type is `with` (attention) and not `without`.
std::vector<bool> levels_with(ConfigMap& config, std::string_view key, size_t levels,
                              std::string_view with, std::string_view without) {
  std::vector<bool> has;
  for (const std::string& type : config.texts(key)) {
    if (type != with && type != without) {
      config.reject(key, fmt::format("'{}' is not supported; expected {} or {}",
                                     printable(type, 60), with, without));
    }
    has.push_back(type == with);
  }
  if (has.size() != levels) {
    config.reject(key, fmt::format("got {} blocks, but block_out_channels has {} levels",
                                   has.size(), levels));
  }
  return has;
}

void check_mirrored(const ConfigMap& config, const std::vector<bool>& down, std::vector<bool> up) {
  std::reverse(up.begin(), up.end());
  if (down != up) {
    config.reject("up_block_types", "expected the down blocks' attention in reverse order");
  }
}

// diffusers' attention_head_dim of a UNet counts heads, by an old mistake that configs depend on.
void read_heads(ConfigMap& config, UNetConfig& unet) {
  config.require("num_attention_heads", "", "diffusers gives the heads as attention_head_dim");
  std::vector<int64_t> heads = config.integer_or_list("attention_head_dim", 8, kPositive);
  heads.resize(unet.channel_mult.size(), heads.back());
  unet.legacy = false;
  if (std::equal(heads.begin() + 1, heads.end(), heads.begin())) {
    unet.num_heads = heads.front();
    return;
  }
  unet.num_head_channels = unet.model_channels / heads.front();
  for (size_t level = 0; level < heads.size(); ++level) {
    if (unet.num_head_channels * heads[level] != unet.model_channels * unet.channel_mult[level]) {
      config.reject("attention_head_dim",
                    "expected one number of heads, or heads of one width at every level");
    }
  }
}

UNetConfig read_unet(const fs::path& path, int64_t& sample_size) {
  ConfigMap config = read_json(path);
  check_class(config, {"UNet2DConditionModel"});
  UNetConfig unet;
  unet.in_channels = config.integer("in_channels", 4, kPositive);
  unet.out_channels = config.integer("out_channels", 4, kPositive);
  const auto channels = config.integers("block_out_channels", std::nullopt, kPositive);
  unet.channel_mult = multiples(config, channels);
  unet.model_channels = channels.front();
  const size_t levels = channels.size();
  unet.num_res_blocks = config.integer_or_list("layers_per_block", 2, kPositive);
  if (unet.num_res_blocks.size() == 1) {
    unet.num_res_blocks.resize(levels, unet.num_res_blocks[0]);
  }
  const auto down =
      levels_with(config, "down_block_types", levels, "CrossAttnDownBlock2D", "DownBlock2D");
  check_mirrored(config, down,
                 levels_with(config, "up_block_types", levels, "CrossAttnUpBlock2D", "UpBlock2D"));
  unet.attention_resolutions.clear();
  for (size_t level = 0; level < levels; ++level) {
    if (down[level]) {
      // Lowest resolution first, as CompVis's configs have them.
      unet.attention_resolutions.insert(unet.attention_resolutions.begin(), int64_t{1} << level);
    }
  }
  unet.use_spatial_transformer = true;
  unet.context_dim = config.integer("cross_attention_dim", std::nullopt, kPositive);
  const auto depths = config.integer_or_list("transformer_layers_per_block", 1, kPositive);
  if (!std::equal(depths.begin() + 1, depths.end(), depths.begin())) {
    config.reject("transformer_layers_per_block", "expected the same depth at every level");
  }
  unet.transformer_depth = depths.front();
  unet.use_linear_in_transformer = config.boolean("use_linear_projection", false);
  unet.dropout = config.number("dropout", 0.0);
  if (config.is_list("only_cross_attention")) {
    for (const std::string& only : config.texts("only_cross_attention")) {
      unet.disable_self_attentions.push_back(only == "true");
    }
  } else {
    config.require("only_cross_attention", "false", "expected one value for each level");
  }
  if (config.has("num_class_embeds"))
    unet.num_classes = config.optional_integer("num_class_embeds");
  const std::string shift = config.text("resnet_time_scale_shift", "default");
  unet.use_scale_shift_norm = shift == "scale_shift";
  if (shift != "scale_shift") {
    config.require("resnet_time_scale_shift", "default", "expected default or scale_shift");
  }
  unet.time_cond_proj_dim = config.optional_integer("time_cond_proj_dim", kPositive);
  read_heads(config, unet);
  sample_size = config.integer("sample_size", 64, kPositive);

  config.require("act_fn", "silu", "expected silu");
  config.require("center_input_sample", "false", "expected false");
  config.require("flip_sin_to_cos", "true", "expected true");
  config.require("freq_shift", "0", "expected 0");
  config.require("downsample_padding", "1", "expected 1");
  config.require("mid_block_scale_factor", "1", "expected 1");
  config.require("mid_block_type", "UNetMidBlock2DCrossAttn", "expected UNetMidBlock2DCrossAttn");
  config.require("norm_eps", "1e-5", "expected 1e-5");
  unet.norm_num_groups = config.integer("norm_num_groups", 32, {.min = 1});
  config.require("dual_cross_attention", "false", "two contexts");
  config.require("conv_in_kernel", "3", "expected 3");
  config.require("conv_out_kernel", "3", "expected 3");
  config.require("resnet_out_scale_factor", "1", "expected 1");
  config.require("resnet_skip_time_act", "false", "expected false");
  config.require("time_embedding_type", "positional", "expected positional");
  config.require("class_embeddings_concat", "false", "expected false");
  config.require("attention_type", "default", "expected default");
  for (const std::string_view key :
       {"class_embed_type", "addition_embed_type", "encoder_hid_dim", "encoder_hid_dim_type",
        "time_embedding_dim", "time_embedding_act_fn", "timestep_post_act", "cross_attention_norm",
        "reverse_transformer_layers_per_block", "mid_block_only_cross_attention",
        "projection_class_embeddings_input_dim"}) {
    config.require(key, "", "expected null");
  }
  // upcast_attention concerns the arithmetic of float16 only, the others what was set to null
  // above.
  config.ignore({"_diffusers_version", "_name_or_path", "upcast_attention",
                 "addition_embed_type_num_heads", "addition_time_embed_dim", "num_class_embeds",
                 "decay", "inv_gamma", "min_decay", "optimization_step", "power",
                 "update_after_step", "use_ema_warmup"});
  config.finish();
  check(unet);
  return unet;
}

AutoencoderConfig read_autoencoder(const fs::path& path, double& scale_factor) {
  ConfigMap config = read_json(path);
  check_class(config, {"AutoencoderKL"});
  AutoencoderConfig vae;
  vae.in_channels = config.integer("in_channels", 3, kPositive);
  vae.out_ch = config.integer("out_channels", 3, kPositive);
  vae.z_channels = vae.embed_dim = config.integer("latent_channels", 4, kPositive);
  const auto channels = config.integers("block_out_channels", std::nullopt, kPositive);
  vae.ch_mult = multiples(config, channels);
  vae.ch = channels.front();
  vae.num_res_blocks = config.integer("layers_per_block", 1, kPositive);
  vae.resolution = config.integer("sample_size", 256, kPositive);
  const size_t levels = channels.size();
  const auto down = levels_with(config, "down_block_types", levels, "AttnDownEncoderBlock2D",
                                "DownEncoderBlock2D");
  check_mirrored(
      config, down,
      levels_with(config, "up_block_types", levels, "AttnUpDecoderBlock2D", "UpDecoderBlock2D"));
  for (size_t level = 0; level < levels; ++level) {
    if (down[level]) vae.attn_resolutions.push_back(vae.resolution >> level);
  }
  scale_factor = config.number("scaling_factor", 0.18215);
  vae.norm_num_groups = config.integer("norm_num_groups", 32, {.min = 1});

  config.require("act_fn", "silu", "expected silu");
  config.require("mid_block_add_attention", "true", "expected true");
  config.require("use_quant_conv", "true", "expected true");
  config.require("use_post_quant_conv", "true", "expected true");
  for (const std::string_view key : {"shift_factor", "latents_mean", "latents_std"}) {
    config.require(key, "", "expected null");
  }
  config.ignore(
      {"_diffusers_version", "_name_or_path", "force_upcast", "use_tiling", "use_slicing"});
  config.finish();
  check(vae);
  return vae;
}

// transformers writes dozens of keys that concern training and generation; only the network's are
// read.
ClipTextConfig read_text_encoder(const fs::path& path) {
  ConfigMap config = read_json(path);
  if (config.has("architectures")) {
    for (const std::string& name : config.texts("architectures")) {
      if (name == "CLIPTextModel") continue;
      config.reject("architectures", fmt::format("'{}' is not supported; expected CLIPTextModel",
                                                 printable(name, 60)));
    }
  }
  ClipTextConfig clip;
  clip.vocab_size = config.integer("vocab_size", 49408, kPositive);
  clip.hidden_size = config.integer("hidden_size", 512, kPositive);
  clip.intermediate_size = config.integer("intermediate_size", 2048, kPositive);
  clip.num_hidden_layers = config.integer("num_hidden_layers", 12, kPositive);
  clip.num_attention_heads = config.integer("num_attention_heads", 8, kPositive);
  clip.max_position_embeddings = config.integer("max_position_embeddings", 77, kPositive);
  clip.hidden_act = config.text("hidden_act", "quick_gelu");
  clip.layer_norm_eps = config.number("layer_norm_eps", 1e-5);
  check(clip);
  return clip;
}

// Whether a folder's text encoder is OpenCLIP's, as Stable Diffusion 2's: by its exact GELU and by
// a CLIP tokenizer that pads with token 0.
bool is_open_clip(const ClipTextConfig& clip, const fs::path& tokenizer) {
  if (clip.hidden_act != "gelu" || !fs::exists(tokenizer / "vocab.json")) return false;
  return ClipTokenizer::from_folder(tokenizer).pad() == 0;
}

// Only what the model was trained with; how its levels are stepped through is the sampler's
// business.
ScheduleConfig read_schedule(const fs::path& path, Parameterization& parameterization) {
  ConfigMap config = read_json(path);
  ScheduleConfig schedule;
  schedule.timesteps = config.integer("num_train_timesteps", 1000, {.min = 1, .max = 1'000'000});
  schedule.linear_start = config.number("beta_start", 1e-4);
  schedule.linear_end = config.number("beta_end", 2e-2);
  const std::string name = config.text("beta_schedule", "linear");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kSchedules{{
      {"scaled_linear", "linear"},  // linear in sqrt(beta)
      {"linear", "sqrt_linear"},    // linear in beta
      {"squaredcos_cap_v2", "cosine"},
  }};
  const auto* found = std::find_if(kSchedules.begin(), kSchedules.end(),
                                   [&](const auto& row) { return row.first == name; });
  if (found == kSchedules.end()) {
    constexpr std::array<std::string_view, 3> known{"scaled_linear", "linear", "squaredcos_cap_v2"};
    config.reject("beta_schedule", unknown_name("schedule", name, known));
  }
  schedule.beta_schedule = std::string(found->second);
  const std::string prediction = config.text("prediction_type", "epsilon");
  try {
    parameterization = parameterization_from_name(prediction);
  } catch (const Error& error) {
    config.reject("prediction_type", error.what());
  }
  config.require("trained_betas", "", "betas by hand; choose a beta_schedule");
  schedule.zero_terminal_snr = config.boolean("rescale_betas_zero_snr", false);
  return schedule;
}

}  // namespace

ModelConfig read_diffusers_config(const fs::path& folder) {
  if (!fs::exists(folder / "model_index.json")) {
    fail_usage("{}: a folder without model_index.json is no diffusers model", folder.string());
  }
  ConfigMap index = read_json(folder / "model_index.json");
  check_class(index, {"StableDiffusionPipeline", "StableDiffusionInpaintPipeline",
                      "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipelineLegacy",
                      "StableDiffusionInstructPix2PixPipeline", "LatentConsistencyModelPipeline",
                      "LatentConsistencyModelImg2ImgPipeline", "StableDiffusionDepth2ImgPipeline",
                      "StableDiffusionUpscalePipeline"});
  ModelConfig model;
  model.unet = read_unet(folder / "unet" / "config.json", model.image_size);
  model.autoencoder = read_autoencoder(folder / "vae" / "config.json", model.scale_factor);
  model.text_encoder = read_text_encoder(folder / "text_encoder" / "config.json");
  if (!SentencePieceTokenizer::model_file_in(folder / "tokenizer").empty()) {
    model.tokenizer = "tokenizer";
  } else {
    model.open_clip = is_open_clip(model.text_encoder, folder / "tokenizer");
  }
  model.schedule =
      read_schedule(folder / "scheduler" / "scheduler_config.json", model.parameterization);
  const fs::path low_scale = folder / "low_res_scheduler" / "scheduler_config.json";
  if (fs::exists(low_scale)) {
    Parameterization unused{};
    model.low_scale = {.schedule = read_schedule(low_scale, unused),
                       .max_level = index.integer("max_noise_level", 350)};
  }
  model.conditioning_key = model.unet.in_channels > model.autoencoder.embed_dim
                               ? ConditioningKey::Hybrid
                               : ConditioningKey::CrossAttention;
  check_model_config(model, folder.string());
  return model;
}

}  // namespace easel
