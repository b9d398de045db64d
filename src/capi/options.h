// What easel_options holds: one field list, with the command line's names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/fields.h>
#include <easel/capi/easel.h>
#include <easel/pipeline/sampler_tuning.h>

namespace easel::capi {

struct Options {
  std::filesystem::path model;
  std::filesystem::path config;
  std::filesystem::path data;
  std::filesystem::path vae;
  bool use_ema = false;
  std::string device = "auto";
  std::string dtype = "auto";
  bool low_memory = false;
  int64_t threads = 0;

  std::string prompt;
  std::string negative_prompt;
  std::string weighting = "none";
  std::vector<std::string> lora;
  int64_t n = 1;
  int64_t width = 0;
  int64_t height = 0;
  std::string sampler = "ddim";
  std::string schedule;
  int64_t steps = 50;
  std::optional<double> eta;
  double scale = 7.5;
  int64_t clip_skip = 1;
  int64_t seed = 42;
  std::string rng = "cuda";
  SamplerTuning tuning{};
  std::filesystem::path init_img;
  std::filesystem::path mask;
  double mask_blur = 0;
  double strength = 0.75;
  std::filesystem::path depth;
  int64_t noise_level = 20;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit(self.model, FieldInfo{.name = "model", .help = "a checkpoint or a diffusers folder"});
    visit(self.config, FieldInfo{.name = "config",
                                 .help = "the model's description in CompVis's YAML, by default "
                                         "the model's own, else v1-inference.yaml"});
    visit(self.data, FieldInfo{.name = "data",
                               .help = "Easel's share/easel, by default the one that is installed "
                                       "with this library"});
    visit(self.vae,
          FieldInfo{.name = "vae", .help = "weights that replace the model's autoencoder"});
    visit(self.use_ema,
          FieldInfo{.name = "use-ema", .help = "take the averaged weights that training kept"});
    visit(self.device, FieldInfo{.name = "device", .help = "auto, cpu, cuda or cuda:N"});
    visit(self.dtype, FieldInfo{.name = "dtype", .help = "auto, float32, float16 or bfloat16"});
    visit(self.low_memory,
          FieldInfo{.name = "low-memory", .help = "bring weights layer by layer as they are used"});
    visit(self.threads,
          FieldInfo{.name = "threads", .help = "CPU threads, of the whole process; 0 leaves them"});
    visit(self.prompt, FieldInfo{.name = "prompt", .help = "what to draw"});
    visit(self.negative_prompt,
          FieldInfo{.name = "negative-prompt", .help = "what to stay away from"});
    visit(self.weighting,
          FieldInfo{.name = "weighting", .help = "who reads the prompts: none, a1111 or comfy"});
    visit(self.lora, FieldInfo{.name = "lora", .help = "FILE or FILE:WEIGHT; a list"});
    visit(self.n, FieldInfo{.name = "n", .help = "pictures, drawn at once: 1 to 1024"});
    visit(self.width,
          FieldInfo{.name = "W", .help = "width in pixels; 0 is 512, or the picture's own"});
    visit(self.height,
          FieldInfo{.name = "H", .help = "height in pixels; 0 is 512, or the picture's own"});
    visit(self.sampler, FieldInfo{.name = "sampler", .help = "as txt2img --list-samplers says"});
    visit(self.schedule, FieldInfo{.name = "schedule", .help = "by default the sampler's own"});
    visit(self.steps, FieldInfo{.name = "steps", .help = "sampling steps"});
    visit(self.eta, FieldInfo{.name = "eta", .help = "share of fresh noise at each step, 0 to 1"});
    visit(self.scale, FieldInfo{.name = "scale", .help = "classifier-free guidance; 1 is none"});
    visit(self.clip_skip, FieldInfo{.name = "clip-skip",
                                    .help = "layer of the text encoder, counted from its end"});
    visit(self.seed, FieldInfo{.name = "seed", .help = "of the first picture, 0 or more"});
    visit(self.rng, FieldInfo{.name = "rng", .help = "whose random numbers: cuda or cpu"});
    SamplerTuning::fields(self.tuning, visit);
    visit(self.init_img, FieldInfo{.name = "init-img", .help = "a picture to start from"});
    visit(self.mask, FieldInfo{.name = "mask", .help = "what of it is repainted: the white"});
    visit(self.mask_blur, FieldInfo{.name = "mask-blur", .help = "in pixels"});
    visit(self.strength, FieldInfo{.name = "strength", .help = "how far it may change, 0 to 1"});
    visit(self.depth, FieldInfo{.name = "depth", .help = "a depth model's map, lighter is nearer"});
    visit(self.noise_level,
          FieldInfo{.name = "noise-level", .help = "of an upscaler: 0 to 350, 20 is usual"});
  }
};

// Gives the field its value. Throws Error (Usage) on an unknown name, the nearest first, and on a
// text that is no such value.
void set_option(Options& options, std::string_view name, std::string_view value);

struct OptionText {
  std::string name;
  std::string help;
};
// In the order of the list.
std::span<const OptionText> option_texts();

}  // namespace easel::capi

struct easel_options {
  easel::capi::Options values;
  easel_on_step on_step = nullptr;
  void* step_user = nullptr;
  easel_on_log on_log = nullptr;
  void* log_user = nullptr;
};
