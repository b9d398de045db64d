// From prompts to pictures.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/diffusion/noise.h>
#include <easel/diffusion/sampler.h>
#include <easel/io/image.h>

namespace easel {

// How values in [0, 255] become bytes: CompVis, A1111 and ComfyUI truncate, diffusers rounds.
enum class PixelRounding { Truncate, Nearest };

// One batch of pictures.
struct Txt2ImgRequest {
  std::vector<std::string> prompts;  // one per picture
  std::string negative_prompt;       // "": the unconditional context of the empty prompt
  int64_t width = 512;               // pixels, multiples of the autoencoder's downsampling
  int64_t height = 512;
  std::string sampler = "ddim";      // a name or alias in samplers()
  std::string schedule;              // a name in spacings(); "": the sampler's own
  int64_t steps = 50;
  std::optional<double> eta;         // nullopt: the sampler's own
  double scale = 7.5;                // classifier-free guidance; 1 turns it off
  int64_t clip_skip = 1;             // 1: the model's own
  PixelRounding pixel_rounding = PixelRounding::Truncate;
  Tensor initial_noise_BCHW;         // x_T of unit variance; undefined: drawn from the noise source
};

struct Txt2ImgResult {
  std::vector<Image> images;
  Tensor latents_BCHW;  // final latents, scaled (times scale_factor), float32 on the CPU
};

// What a run tells its caller. Either may be empty; on_step may throw to cancel.
struct Progress {
  Log log;
  StepCallback on_step;
};

// Draws one batch. Throws Error (Usage) on a request that cannot be meant before any work is done.
Txt2ImgResult txt2img(const StableDiffusion& model, const Txt2ImgRequest& request,
                      NoiseSource& noise, const Progress& progress = {});

}  // namespace easel
