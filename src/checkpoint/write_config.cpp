// Configs as text, in CompVis's schema and in diffusers'.
#include <algorithm>
#include <array>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/checkpoint/convert.h>

#include "read_parts.h"

namespace easel {
namespace {

using Json = nlohmann::ordered_json;

std::string list(const std::vector<int64_t>& values) {
  return fmt::format("[{}]", fmt::join(values, ", "));
}

std::string_view conditioning_text(const ModelConfig& config) {
  switch (config.conditioning_key) {
    case ConditioningKey::CrossAttention:
      return "crossattn";
    case ConditioningKey::Concat:
      return "concat";
    case ConditioningKey::Hybrid:
      return config.unet.num_classes ? "hybrid-adm" : "hybrid";
  }
  return "";
}

std::string_view parameterization_text(Parameterization parameterization, bool diffusers) {
  switch (parameterization) {
    case Parameterization::Eps:
      return diffusers ? "epsilon" : "eps";
    case Parameterization::V:
      return diffusers ? "v_prediction" : "v";
    case Parameterization::X0:
      return diffusers ? "sample" : "x0";
  }
  return "";
}

// Our addition to CompVis's schema, left out where it says what CompVis's code does.
std::string groups_yaml(int64_t groups, std::string_view indent) {
  return groups == 32 ? std::string() : fmt::format("{}norm_num_groups: {}\n", indent, groups);
}

// One number where it holds for every level: CompVis's class and diffusers' converter take no list.
std::string number_or_list(const std::vector<int64_t>& values) {
  const bool same = std::all_of(values.begin(), values.end(),
                                [&](int64_t value) { return value == values.front(); });
  return same && !values.empty() ? fmt::format("{}", values.front()) : list(values);
}

std::string unet_yaml(const UNetConfig& unet, int64_t image_size) {
  std::string text = fmt::format(
      "    unet_config:\n"
      "      target: ldm.modules.diffusionmodules.openaimodel.UNetModel\n"
      "      params:\n"
      "        image_size: {}\n        in_channels: {}\n        out_channels: {}\n        "
      "model_channels: {}\n"
      "        attention_resolutions: {}\n        num_res_blocks: {}\n        channel_mult: {}\n"
      "        dropout: {}\n        conv_resample: {}\n        num_heads: {}\n"
      "        num_head_channels: {}\n        num_heads_upsample: {}\n"
      "        use_scale_shift_norm: {}\n        resblock_updown: {}\n"
      "        use_new_attention_order: {}\n        use_spatial_transformer: {}\n"
      "        transformer_depth: {}\n        legacy: {}\n"
      "        use_checkpoint: {}\n{}",
      image_size, unet.in_channels, unet.out_channels, unet.model_channels,
      list(unet.attention_resolutions), number_or_list(unet.num_res_blocks),
      list(unet.channel_mult), unet.dropout, unet.conv_resample, unet.num_heads,
      unet.num_head_channels, unet.num_heads_upsample, unet.use_scale_shift_norm,
      unet.resblock_updown, unet.use_new_attention_order, unet.use_spatial_transformer,
      unet.transformer_depth, unet.legacy, unet.use_checkpoint,
      groups_yaml(unet.norm_num_groups, "        "));
  // CompVis's own class knows no such argument.
  if (unet.use_linear_in_transformer) text += "        use_linear_in_transformer: true\n";
  if (unet.time_cond_proj_dim) {
    text += fmt::format("        time_cond_proj_dim: {}\n", *unet.time_cond_proj_dim);
  }
  if (unet.context_dim) text += fmt::format("        context_dim: {}\n", *unet.context_dim);
  if (unet.num_classes) text += fmt::format("        num_classes: {}\n", *unet.num_classes);
  if (!unet.disable_self_attentions.empty()) {
    text += fmt::format("        disable_self_attentions: {}\n",
                        Json(unet.disable_self_attentions).dump());
  }
  return text;
}

// Stability's class of upscalers has one more part than LatentDiffusion.
std::string low_scale_yaml(const std::optional<NoiseAugmentation>& low_scale) {
  if (!low_scale) return "";
  const ScheduleConfig& schedule = low_scale->schedule;
  return fmt::format(
      "    low_scale_key: lr\n"
      "    low_scale_config:\n"
      "      target: ldm.modules.diffusionmodules.upscaling.ImageConcatWithNoiseAugmentation\n"
      "      params:\n"
      "        noise_schedule_config:\n"
      "          beta_schedule: {}\n          linear_start: {}\n          linear_end: {}\n"
      "          cosine_s: {}\n          timesteps: {}\n"
      "        max_noise_level: {}\n",
      schedule.beta_schedule, schedule.linear_start, schedule.linear_end, schedule.cosine_s,
      schedule.timesteps, low_scale->max_level);
}

std::string autoencoder_yaml(const AutoencoderConfig& vae) {
  return fmt::format(
      "    first_stage_config:\n"
      "      target: ldm.models.autoencoder.AutoencoderKL\n"
      "      params:\n"
      "        embed_dim: {}\n"
      "        ddconfig:\n"
      "          double_z: {}\n          z_channels: {}\n          resolution: {}\n"
      "          in_channels: {}\n          out_ch: {}\n          ch: {}\n          ch_mult: {}\n"
      "          num_res_blocks: {}\n          attn_resolutions: {}\n          dropout: {}\n"
      "{}"
      "        lossconfig:\n"
      "          target: torch.nn.Identity\n",
      vae.embed_dim, vae.double_z, vae.z_channels, vae.resolution, vae.in_channels, vae.out_ch,
      vae.ch, list(vae.ch_mult), vae.num_res_blocks, list(vae.attn_resolutions), vae.dropout,
      groups_yaml(vae.norm_num_groups, "          "));
}

// A path as a YAML value; JSON's strings are YAML's.
std::string tokenizer_yaml(const std::string& tokenizer) {
  if (tokenizer.empty()) return "";
  return fmt::format("        tokenizer: {}\n", Json(tokenizer).dump());
}

std::string clip_fields_yaml(const ClipTextConfig& clip) {
  return fmt::format(
      "        vocab_size: {}\n        hidden_size: {}\n        intermediate_size: {}\n"
      "        num_hidden_layers: {}\n        num_attention_heads: {}\n"
      "        max_position_embeddings: {}\n        hidden_act: {}\n        layer_norm_eps: {}\n",
      clip.vocab_size, clip.hidden_size, clip.intermediate_size, clip.num_hidden_layers,
      clip.num_attention_heads, clip.max_position_embeddings, clip.hidden_act, clip.layer_norm_eps);
}

// Stability's class knows ViT-H-14 alone; the fields of another are our addition.
std::string open_clip_yaml(const ClipTextConfig& clip) {
  const ClipTextConfig vit_h = open_clip_vit_h();
  const bool penultimate = clip.num_hidden_layers != vit_h.num_hidden_layers;
  ClipTextConfig all = clip;
  if (penultimate) ++all.num_hidden_layers;
  const std::string text = fmt::format(
      "    cond_stage_config:\n"
      "      target: ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder\n"
      "      params:\n"
      "        freeze: true\n        layer: {}\n",
      penultimate ? "penultimate" : "last");
  return clip_fields_yaml(all) == clip_fields_yaml(vit_h) ? text : text + clip_fields_yaml(all);
}

std::string text_encoder_yaml(const ModelConfig& config) {
  if (config.open_clip) return open_clip_yaml(config.text_encoder);
  return "    cond_stage_config:\n"
         "      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder\n"
         "      params:\n" +
         clip_fields_yaml(config.text_encoder);
}

std::vector<int64_t> widths(int64_t first, const std::vector<int64_t>& mult) {
  std::vector<int64_t> channels;
  for (const int64_t times : mult) channels.push_back(first * times);
  return channels;
}

Json one_or_list(const std::vector<int64_t>& values) {
  const bool same = std::equal(values.begin() + 1, values.end(), values.begin());
  return same ? Json(values.front()) : Json(values);
}

// diffusers' attention_head_dim, which counts heads.
Json heads_of(const UNetConfig& unet) {
  if (unet.num_head_channels == -1) return unet.num_heads;
  std::vector<int64_t> heads;
  for (const int64_t channels : widths(unet.model_channels, unet.channel_mult)) {
    heads.push_back(channels / unet.num_head_channels);
  }
  return one_or_list(heads);
}

Json unet_json(const ModelConfig& config) {
  const UNetConfig& unet = config.unet;
  const auto refuse = [](bool wrong, std::string_view what) {
    if (wrong)
      fail_usage("diffusers' UNet2DConditionModel has no {}; keep the CompVis layout", what);
  };
  refuse(!unet.use_spatial_transformer, "plain attention (use_spatial_transformer: false)");
  refuse(unet.resblock_updown, "resblock_updown");
  refuse(!unet.conv_resample, "conv_resample: false");
  refuse(config.conditioning_key == ConditioningKey::Concat, "conditioning_key concat");
  std::vector<std::string> down, up;
  for (size_t level = 0; level < unet.channel_mult.size(); ++level) {
    const auto& with = unet.attention_resolutions;
    const bool attention = std::find(with.begin(), with.end(), int64_t{1} << level) != with.end();
    down.push_back(attention ? "CrossAttnDownBlock2D" : "DownBlock2D");
    up.insert(up.begin(), attention ? "CrossAttnUpBlock2D" : "UpBlock2D");
  }
  Json json{{"_class_name", "UNet2DConditionModel"},
            {"act_fn", "silu"},
            {"attention_head_dim", heads_of(unet)},
            {"block_out_channels", widths(unet.model_channels, unet.channel_mult)},
            {"center_input_sample", false},
            {"cross_attention_dim", *unet.context_dim},
            {"down_block_types", down},
            {"downsample_padding", 1},
            {"flip_sin_to_cos", true},
            {"freq_shift", 0},
            {"in_channels", unet.in_channels},
            {"layers_per_block", one_or_list(unet.num_res_blocks)},
            {"mid_block_scale_factor", 1},
            {"norm_eps", 1e-5},
            {"norm_num_groups", unet.norm_num_groups},
            {"out_channels", unet.out_channels},
            {"resnet_time_scale_shift", unet.use_scale_shift_norm ? "scale_shift" : "default"},
            {"sample_size", config.image_size},
            {"transformer_layers_per_block", unet.transformer_depth},
            {"up_block_types", up},
            {"use_linear_projection", unet.use_linear_in_transformer}};
  if (unet.num_classes) json["num_class_embeds"] = *unet.num_classes;
  if (!unet.disable_self_attentions.empty()) {
    json["only_cross_attention"] = unet.disable_self_attentions;
  }
  if (unet.time_cond_proj_dim) json["time_cond_proj_dim"] = *unet.time_cond_proj_dim;
  return json;
}

Json autoencoder_json(const ModelConfig& config) {
  const AutoencoderConfig& vae = config.autoencoder;
  if (vae.embed_dim != vae.z_channels) {
    fail_usage(
        "diffusers' AutoencoderKL has one number of latent channels, but embed_dim is {} and "
        "z_channels {}; keep the CompVis layout",
        vae.embed_dim, vae.z_channels);
  }
  std::vector<std::string> down, up;
  for (size_t level = 0; level < vae.ch_mult.size(); ++level) {
    const auto& with = vae.attn_resolutions;
    const bool attention =
        std::find(with.begin(), with.end(), vae.resolution >> level) != with.end();
    down.push_back(attention ? "AttnDownEncoderBlock2D" : "DownEncoderBlock2D");
    up.insert(up.begin(), attention ? "AttnUpDecoderBlock2D" : "UpDecoderBlock2D");
  }
  return Json{{"_class_name", "AutoencoderKL"},
              {"act_fn", "silu"},
              {"block_out_channels", widths(vae.ch, vae.ch_mult)},
              {"down_block_types", down},
              {"in_channels", vae.in_channels},
              {"latent_channels", vae.z_channels},
              {"layers_per_block", vae.num_res_blocks},
              {"norm_num_groups", vae.norm_num_groups},
              {"out_channels", vae.out_ch},
              {"sample_size", vae.resolution},
              {"scaling_factor", config.scale_factor},
              {"up_block_types", up}};
}

Json text_encoder_json(const ClipTextConfig& clip) {
  return Json{{"architectures", {"CLIPTextModel"}},
              {"attention_dropout", 0.0},
              {"bos_token_id", 0},
              {"eos_token_id", 2},  // as in sd-v1's file, by which transformers knows the old rule
              {"hidden_act", clip.hidden_act},
              {"hidden_size", clip.hidden_size},
              {"intermediate_size", clip.intermediate_size},
              {"layer_norm_eps", clip.layer_norm_eps},
              {"max_position_embeddings", clip.max_position_embeddings},
              {"model_type", "clip_text_model"},
              {"num_attention_heads", clip.num_attention_heads},
              {"num_hidden_layers", clip.num_hidden_layers},
              {"pad_token_id", 1},
              {"vocab_size", clip.vocab_size}};
}

std::string_view beta_schedule_of(const ScheduleConfig& schedule) {
  if (schedule.beta_schedule == "linear") return "scaled_linear";
  if (schedule.beta_schedule == "sqrt_linear") return "linear";
  const bool cosine = schedule.beta_schedule == "cosine";
  if (cosine && schedule.cosine_s == 8e-3) return "squaredcos_cap_v2";
  fail_usage("diffusers' schedulers have no beta_schedule '{}'{}; keep the CompVis layout",
             schedule.beta_schedule, cosine ? " with this cosine_s" : "");
}

Json low_scale_json(const ScheduleConfig& schedule) {
  return {{"_class_name", "DDPMScheduler"},
          {"beta_end", schedule.linear_end},
          {"beta_schedule", beta_schedule_of(schedule)},
          {"beta_start", schedule.linear_start},
          {"clip_sample", true},
          {"num_train_timesteps", schedule.timesteps},
          {"prediction_type", "epsilon"},
          {"trained_betas", nullptr},
          {"variance_type", "fixed_small"}};
}

Json scheduler_json(const ModelConfig& config) {
  Json json{{"_class_name", "PNDMScheduler"},
            {"beta_end", config.schedule.linear_end},
            {"beta_schedule", beta_schedule_of(config.schedule)},
            {"beta_start", config.schedule.linear_start},
            {"clip_sample", false},
            {"num_train_timesteps", config.schedule.timesteps},
            {"prediction_type", parameterization_text(config.parameterization, true)},
            {"set_alpha_to_one", false},
            {"skip_prk_steps", true},
            {"steps_offset", 1},
            {"trained_betas", nullptr}};
  if (config.unet.time_cond_proj_dim) {
    json["_class_name"] = "LCMScheduler";
    json["set_alpha_to_one"] = true;
    json["steps_offset"] = 0;
    json["timestep_scaling"] = 10.0;
    json["original_inference_steps"] = 50;
    json.erase("skip_prk_steps");
  }
  if (config.schedule.zero_terminal_snr) {
    json["_class_name"] = "DDIMScheduler";  // PNDMScheduler cannot start from noise alone
    json["rescale_betas_zero_snr"] = true;
    json["timestep_spacing"] = "trailing";
    json.erase("skip_prk_steps");
  }
  return json;
}

Json index_json(const ModelConfig& config) {
  const bool distilled = config.unet.time_cond_proj_dim.has_value();
  const std::string_view pipeline =
      is_instruct_pix2pix(config) ? "StableDiffusionInstructPix2PixPipeline"
      : is_upscaler(config)       ? "StableDiffusionUpscalePipeline"
      : takes_depth(config)       ? "StableDiffusionDepth2ImgPipeline"
      : config.conditioning_key == ConditioningKey::Hybrid ? "StableDiffusionInpaintPipeline"
      : distilled                                          ? "LatentConsistencyModelPipeline"
                                                           : "StableDiffusionPipeline";
  Json json{
      {"_class_name", pipeline},
      {"feature_extractor", {nullptr, nullptr}},
      {"requires_safety_checker", false},
      {"safety_checker", {nullptr, nullptr}},
      {"scheduler", {"diffusers", distilled ? "LCMScheduler" : "PNDMScheduler"}},
      {"text_encoder", {"transformers", "CLIPTextModel"}},
      {"tokenizer", {"transformers", config.tokenizer.empty() ? "CLIPTokenizer" : "T5Tokenizer"}},
      {"unet", {"diffusers", "UNet2DConditionModel"}},
      {"vae", {"diffusers", "AutoencoderKL"}}};
  if (is_upscaler(config)) {
    json["low_res_scheduler"] = {"diffusers", "DDPMScheduler"};
    json["max_noise_level"] = config.low_scale->max_level;
    json.erase("requires_safety_checker");
  }
  if (takes_depth(config)) {  // the estimator of depths is a program of its own
    json["depth_estimator"] = {nullptr, nullptr};
    json.erase("requires_safety_checker");
    json.erase("safety_checker");
  }
  return json;
}

}  // namespace

std::string compvis_config_text(const ModelConfig& config) {
  const ScheduleConfig& schedule = config.schedule;
  return fmt::format(
             "model:\n"
             "  target: ldm.models.diffusion.ddpm.{}\n"
             "  params:\n"
             "    beta_schedule: {}\n    linear_start: {}\n    linear_end: {}\n    cosine_s: {}\n"
             "    timesteps: {}\n{}    parameterization: {}\n    conditioning_key: {}\n"
             "    scale_factor: {}\n    image_size: {}\n    channels: {}\n    use_ema: {}\n",
             config.low_scale ? "LatentUpscaleDiffusion" : "LatentDiffusion",
             schedule.beta_schedule, schedule.linear_start, schedule.linear_end, schedule.cosine_s,
             schedule.timesteps, schedule.zero_terminal_snr ? "    zero_terminal_snr: true\n" : "",
             parameterization_text(config.parameterization, false), conditioning_text(config),
             config.scale_factor, config.image_size, config.unet.out_channels, config.use_ema) +
         low_scale_yaml(config.low_scale) + unet_yaml(config.unet, config.image_size) +
         autoencoder_yaml(config.autoencoder) + text_encoder_yaml(config) +
         tokenizer_yaml(config.tokenizer);
}

std::map<std::string, std::string> diffusers_config_files(const ModelConfig& config) {
  const auto text = [](const Json& json) { return json.dump(2) + "\n"; };
  std::map<std::string, std::string> files{
      {"model_index.json", text(index_json(config))},
      {"unet/config.json", text(unet_json(config))},
      {"vae/config.json", text(autoencoder_json(config))},
      {"text_encoder/config.json", text(text_encoder_json(config.text_encoder))},
      {"scheduler/scheduler_config.json", text(scheduler_json(config))}};
  if (config.low_scale) {
    files["low_res_scheduler/scheduler_config.json"] =
        text(low_scale_json(config.low_scale->schedule));
  }
  return files;
}

}  // namespace easel
