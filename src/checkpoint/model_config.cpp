#include "easel/checkpoint/model_config.h"

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "config_map.h"
#include "config_targets.h"
#include "model_config_checks.h"
#include "read_parts.h"

namespace easel {
namespace {

constexpr IntegerRange kPositive{.min = 1};
constexpr IntegerRange kCountOrNone{.min = -1};

// CompVis's defaults are those of the constructors in its openaimodel.py, ddpm.py and
// autoencoder.py.
UNetConfig read_unet(ConfigMap config) {
  require_target(config, Target::UNet);
  ConfigMap params = config.map("params");
  config.finish();

  UNetConfig unet;
  unet.in_channels = params.integer("in_channels", std::nullopt, kPositive);
  unet.model_channels = params.integer("model_channels", std::nullopt, kPositive);
  unet.out_channels = params.integer("out_channels", std::nullopt, kPositive);
  unet.channel_mult = params.integers("channel_mult", std::vector<int64_t>{1, 2, 4, 8}, kPositive);
  unet.num_res_blocks = params.integer_or_list("num_res_blocks", std::nullopt);
  if (!params.is_list("num_res_blocks")) {
    unet.num_res_blocks.assign(unet.channel_mult.size(), unet.num_res_blocks.front());
  }
  unet.attention_resolutions = params.integers("attention_resolutions", std::nullopt, kPositive);
  unet.dropout = params.number("dropout", 0.0);
  unet.conv_resample = params.boolean("conv_resample", true);
  unet.num_heads = params.integer("num_heads", -1, kCountOrNone);
  unet.num_head_channels = params.integer("num_head_channels", -1, kCountOrNone);
  unet.num_heads_upsample = params.integer("num_heads_upsample", -1, kCountOrNone);
  unet.use_scale_shift_norm = params.boolean("use_scale_shift_norm", false);
  unet.resblock_updown = params.boolean("resblock_updown", false);
  unet.use_new_attention_order = params.boolean("use_new_attention_order", false);
  unet.use_spatial_transformer = params.boolean("use_spatial_transformer", false);
  const std::vector<int64_t> depths = params.integer_or_list("transformer_depth", 1, kPositive);
  if (depths.size() != 1) {
    params.reject("transformer_depth",
                  "a depth for each level is not supported (Stable Diffusion XL has one)");
  }
  unet.transformer_depth = depths.front();
  if (params.has("context_dim")) {
    const auto dims = params.integer_or_list("context_dim", std::nullopt, kPositive);
    if (dims.size() != 1) params.reject("context_dim", "more than one context is not supported");
    unet.context_dim = dims.front();
  }
  unet.use_linear_in_transformer = params.boolean("use_linear_in_transformer", false);
  unet.legacy = params.boolean("legacy", true);
  if (params.is_text("num_classes")) {
    const std::string classes = params.text("num_classes", "");
    if (classes == "sequential" || classes == "continuous" || classes == "timestep") {
      params.reject("num_classes",
                    fmt::format("'{}' is not supported; expected a number of classes", classes));
    }
  }
  unet.num_classes = params.optional_integer("num_classes", kPositive);
  unet.use_checkpoint = params.boolean("use_checkpoint", false);
  unet.norm_num_groups = params.integer("norm_num_groups", 32, kPositive);
  unet.time_cond_proj_dim = params.optional_integer("time_cond_proj_dim", kPositive);

  if (params.has("disable_self_attentions")) {
    for (const std::string& disabled : params.texts("disable_self_attentions")) {
      const bool yes = disabled == "true" || disabled == "True";
      if (!yes && disabled != "false" && disabled != "False") {
        params.reject("disable_self_attentions", "expected true or false for each level");
      }
      unet.disable_self_attentions.push_back(yes);
    }
  } else {
    params.ignore({"disable_self_attentions"});
  }

  params.require("dims", "2", "pictures have 2 dimensions");
  params.require("n_embed", "", "a UNet that predicts codebook entries");
  params.require("num_attention_blocks", "", "attention is behind every residual block of a level");
  params.require("disable_middle_self_attn", "false", "the middle block has attention");
  params.require("adm_in_channels", "", "embeddings of pictures or sizes");
  // The type is chosen when the model is loaded; Stability's configs have use_fp16: true.
  params.ignore({"image_size", "context_dim", "use_fp16", "use_bf16"});
  params.finish();
  check(unet);
  return unet;
}

AutoencoderConfig read_autoencoder(ConfigMap config) {
  require_target(config, Target::AutoencoderKL);
  ConfigMap params = config.map("params");
  config.finish();
  AutoencoderConfig vae = read_autoencoder_params(params);
  params.ignore({"lossconfig", "monitor", "ckpt_path", "ignore_keys", "image_key"});
  params.finish();
  return vae;
}

void read_text_encoder(ConfigMap config, ModelConfig& model) {
  const Target target = require_target(config, {Target::ClipText, Target::OpenClipText});
  model.open_clip = target == Target::OpenClipText;
  std::optional<ConfigMap> params = config.optional_map("params");
  config.finish();
  if (!params) {
    model.text_encoder = model.open_clip ? open_clip_vit_h() : ClipTextConfig{};
    return;
  }
  model.text_encoder =
      model.open_clip ? read_open_clip_params(*params) : read_text_encoder_params(*params);
  model.tokenizer = params->text("tokenizer", "");
  params->ignore({"ckpt_path"});
  params->finish();
}

// Stability's ImageConcatWithNoiseAugmentation, with the defaults of its constructors.
NoiseAugmentation read_noise_augmentation(ConfigMap config) {
  require_target(config, Target::NoiseAugmentation);
  ConfigMap params = config.map("params");
  config.finish();
  NoiseAugmentation read;
  read.max_level = params.integer("max_noise_level", 1000);
  ConfigMap schedule = params.map("noise_schedule_config");
  read.schedule.beta_schedule = schedule.text("beta_schedule", "linear");
  read.schedule.linear_start = schedule.number("linear_start", 1e-4);
  read.schedule.linear_end = schedule.number("linear_end", 2e-2);
  read.schedule.cosine_s = schedule.number("cosine_s", 8e-3);
  read.schedule.timesteps = schedule.integer("timesteps", 1000, {.min = 1, .max = 1'000'000});
  schedule.finish();
  params.ignore({"to_cuda"});
  params.finish();
  return read;
}

ConditioningKey read_conditioning_key(ConfigMap& params) {
  const bool concat_mode = params.boolean("concat_mode", true);
  if (!params.has("conditioning_key")) {
    params.ignore({"conditioning_key"});
    return concat_mode ? ConditioningKey::Concat : ConditioningKey::CrossAttention;
  }
  const std::string key = params.text("conditioning_key", std::nullopt);
  if (key == "crossattn") return ConditioningKey::CrossAttention;
  if (key == "concat") return ConditioningKey::Concat;
  // With a class beside it, which the UNet's num_classes says.
  if (key == "hybrid" || key == "hybrid-adm") return ConditioningKey::Hybrid;
  constexpr std::array<std::string_view, 4> known{"crossattn", "concat", "hybrid", "hybrid-adm"};
  params.reject("conditioning_key", unknown_name("conditioning", key, known));
}

ModelConfig read_latent_diffusion(ConfigMap params) {
  ModelConfig config;
  config.schedule.beta_schedule = params.text("beta_schedule", "linear");
  config.schedule.linear_start = params.number("linear_start", 1e-4);
  config.schedule.linear_end = params.number("linear_end", 2e-2);
  config.schedule.cosine_s = params.number("cosine_s", 8e-3);
  config.schedule.timesteps = params.integer("timesteps", 1000, {.min = 1, .max = 1'000'000});
  config.schedule.zero_terminal_snr = params.boolean("zero_terminal_snr", false);
  const std::string parameterization = params.text("parameterization", "eps");
  try {
    config.parameterization = parameterization_from_name(parameterization);
  } catch (const Error& error) {
    params.reject("parameterization", error.what());
  }
  config.conditioning_key = read_conditioning_key(params);
  config.scale_factor = params.number("scale_factor", 1.0);
  config.scale_by_std = params.boolean("scale_by_std", false);
  config.image_size = params.integer("image_size", 256, kPositive);
  config.use_ema = params.boolean("use_ema", true);
  const int64_t channels = params.integer("channels", 3, kPositive);

  for (const std::string_view key : {"first_stage_config", "cond_stage_config", "unet_config"}) {
    if (!params.is_text(key)) continue;
    const std::string value = params.text(key, "");
    params.reject(key,
                  value == "__is_unconditional__"
                      ? "an unconditional model is not supported: it takes no prompt"
                  : value == "__is_first_stage__"
                      ? "a model conditioned on pictures is not supported: it takes no prompt"
                      : fmt::format("got '{}', expected target and params", printable(value, 60)));
  }
  // The text encoder says best what kind of a model it is.
  read_text_encoder(params.map("cond_stage_config"), config);
  config.autoencoder = read_autoencoder(params.map("first_stage_config"));
  config.unet = read_unet(params.map("unet_config"));
  if (auto low_scale = params.optional_map("low_scale_config")) {
    config.low_scale = read_noise_augmentation(*std::move(low_scale));
  }

  params.require("given_betas", "", "betas by hand; choose a beta_schedule");
  params.require("v_posterior", "0", "another posterior variance");
  params.require("cond_stage_forward", "", "another method of the text encoder");
  params.require("use_positional_encodings", "false", "positional encodings");
  params.ignore({"num_timesteps_cond",
                 "optimizer",
                 "snr_gamma",
                 "log_every_t",
                 "first_stage_key",
                 "cond_stage_key",
                 "cond_stage_trainable",
                 "monitor",
                 "scheduler_config",
                 "loss_type",
                 "ckpt_path",
                 "ignore_keys",
                 "load_only_unet",
                 "clip_denoised",
                 "original_elbo_weight",
                 "l_simple_weight",
                 "learn_logvar",
                 "logvar_init",
                 "finetune_keys",
                 "concat_keys",
                 "masked_image_key",
                 "depth_stage_config",  // who makes the map of depths is not the model's business
                 "low_scale_key",
                 "keep_finetune_dims",
                 "keep_dims",
                 "c_concat_log_start",
                 "c_concat_log_end",
                 "ucg_training",
                 "lora_config",
                 "personalization_config",
                 "use_ema_in_validation",
                 "unet_trainable",
                 "load_ema",
                 "make_it_fit",
                 "reset_ema",
                 "reset_num_ema_updates"});
  params.finish();

  if (channels != config.unet.out_channels) {
    params.reject("channels",
                  fmt::format("{} latent channels do not fit the UNet's out_channels {}", channels,
                              config.unet.out_channels));
  }
  return config;
}

}  // namespace

bool takes_mask(const ModelConfig& config) {
  return config.conditioning_key == ConditioningKey::Hybrid &&
         config.unet.in_channels == 2 * config.autoencoder.embed_dim + 1;
}

bool takes_depth(const ModelConfig& config) {
  return config.conditioning_key == ConditioningKey::Hybrid &&
         config.unet.in_channels == config.autoencoder.embed_dim + 1;
}

bool is_upscaler(const ModelConfig& config) { return config.low_scale.has_value(); }

bool is_instruct_pix2pix(const ModelConfig& config) {
  return config.conditioning_key == ConditioningKey::Hybrid &&
         config.unet.in_channels == 2 * config.autoencoder.embed_dim;
}

ModelConfig parse_model_config(const std::string& yaml_text, const std::string& name_for_errors) {
  ConfigMap root = ConfigMap::parse(yaml_text, name_for_errors);
  ConfigMap model = root.map("model");
  root.ignore({"data", "lightning", "run", "extends", "sampling"});
  root.finish();
  require_target(model, Target::LatentDiffusion);
  model.ignore({"base_learning_rate"});
  ConfigMap params = model.map("params");
  model.finish();
  ModelConfig config = read_latent_diffusion(std::move(params));
  check_model_config(config, name_for_errors);
  return config;
}

ModelConfig read_model_config(const std::filesystem::path& yaml) {
  return parse_model_config(read_text_file(yaml, kMaxConfigBytes), yaml.string());
}

}  // namespace easel
