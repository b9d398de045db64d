// What a model is made of: read from a CompVis YAML file or a diffusers folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <easel/diffusion/denoiser.h>
#include <easel/diffusion/noise_schedule.h>
#include <easel/models/autoencoder.h>
#include <easel/models/clip_text.h>
#include <easel/models/unet.h>

namespace easel {

// How the conditioning reaches the UNet: CompVis's `conditioning_key`.
enum class ConditioningKey { CrossAttention, Concat, Hybrid };

// How an upscaler blurs the small picture with noise before its UNet sees it.
struct NoiseAugmentation {
  ScheduleConfig schedule;
  int64_t max_level = 350;  // a timestep of it; the UNet is told which as a class
};

struct ModelConfig {
  UNetConfig unet;
  AutoencoderConfig autoencoder;
  ClipTextConfig text_encoder;
  // The text encoder is OpenCLIP's (Stable Diffusion 2): CompVis's layout has OpenCLIP's names for
  // it, and CLIP's tokenizer pads with token 0.
  bool open_clip = false;
  // A SentencePiece model file, or a folder with one and what transformers keeps beside it;
  // relative to the config's folder. Empty: CLIP's tokenizer.
  std::string tokenizer;
  int64_t clip_skip = 1;  // which hidden state of the text encoder is the context
  ScheduleConfig schedule;
  Parameterization parameterization = Parameterization::Eps;
  ConditioningKey conditioning_key = ConditioningKey::CrossAttention;
  std::optional<NoiseAugmentation> low_scale{};  // of an upscaler
  double scale_factor = 0.18215;
  bool scale_by_std = false;  // training finds the factor: the config alone does not tell it
  int64_t image_size = 64;    // the latents' side that the model was trained at
  bool use_ema = false;       // CompVis's flag: EMA weights are in the file
};

// What a hybrid model takes beside latents and prompt: a mask and the latents of the masked
// picture; those of a picture that is to be changed as the prompt says; a map of depths; or a small
// picture, to be drawn larger by the autoencoder's factor.
bool takes_mask(const ModelConfig& config);
bool is_instruct_pix2pix(const ModelConfig& config);
bool takes_depth(const ModelConfig& config);
bool is_upscaler(const ModelConfig& config);

// Reads a config in the CompVis schema. `target:` names are mapped through one table; an unknown
// target, key or value that would change the picture and cannot be honoured is an Error (Usage)
// that names it with its line; training-only keys are accepted. cond_stage_config.params may carry
// ClipTextConfig's fields by name, and `tokenizer` (extensions, for text encoders other than
// ViT-L/14 and OpenCLIP's ViT-H/14). Of FrozenOpenCLIPEmbedder's "penultimate" layer the config
// holds what is left without the last one, as diffusers does.
ModelConfig read_model_config(const std::filesystem::path& yaml);
ModelConfig parse_model_config(const std::string& yaml_text, const std::string& name_for_errors);

// Reads the config.json files of a diffusers folder (model_index.json, unet/, vae/, text_encoder/,
// scheduler/) into the same description.
ModelConfig read_diffusers_config(const std::filesystem::path& folder);

}  // namespace easel
