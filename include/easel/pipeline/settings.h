// What shapes a picture, apart from its prompt, its noise and the model. No LibTorch in this
// header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <easel/pipeline/sampler_tuning.h>
#include <easel/text/prompt_weights.h>

namespace easel {

// How values in [0, 255] become bytes: CompVis, A1111 and ComfyUI truncate, diffusers rounds.
enum class PixelRounding { Truncate, Nearest };

// "truncate", "nearest". Throws Error (Usage).
PixelRounding pixel_rounding_from_name(std::string_view name);

// Whether the autoencoder makes its fine maps strip by strip: the same picture within rounding, in
// about a third of the memory and twice the time. Auto: where memory is short.
enum class VaeTiling { Auto, On, Off };

// "auto", "on", "off". Throws Error (Usage).
VaeTiling vae_tiling_from_name(std::string_view name);

// The directions in which a picture goes on at its opposite edge.
struct Seamless {
  bool x = false;
  bool y = false;
};

struct PictureSettings {
  std::string negative_prompt;  // "": the unconditional context of the empty prompt
  int64_t width = 512;          // pixels, multiples of the autoencoder's downsampling
  int64_t height = 512;
  std::string sampler = "ddim";  // as find_sampler_and_spacing() takes it
  std::string schedule;  // as make_plan() takes it: a name or a list; "": the sampler name's own
  int64_t steps = 50;
  std::optional<double> eta;              // nullopt: the sampler's own
  double scale = 7.5;                     // classifier-free guidance, >= 0; 1 turns it off
  int64_t clip_skip = 1;                  // 1: the model's own
  Weighting weighting = Weighting::None;  // who reads the prompts
  SamplerTuning tuning{};
  PixelRounding pixel_rounding = PixelRounding::Truncate;
  Seamless seamless{};
  VaeTiling vae_tiling = VaeTiling::Auto;
};

// Throws Error (Usage) where the settings cannot be meant, whatever the model: names, steps, eta,
// scale, sizes.
void check(const PictureSettings& settings);

// The names that the settings stand for once defaults are filled in.
struct SamplerNames {
  std::string_view sampler;
  std::string schedule;  // a list of levels stays as it is written
  double eta;
  bool uses_eta;
};
SamplerNames resolved_sampler(const PictureSettings& settings);

// The tables of samplers and schedules as text for a person, and a list of sampler names.
std::string sampler_table();

}  // namespace easel
