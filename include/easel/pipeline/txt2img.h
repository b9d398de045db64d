// From prompts to pictures: one batch.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/diffusion/noise.h>
#include <easel/diffusion/sampler.h>
#include <easel/io/image.h>
#include <easel/pipeline/control.h>
#include <easel/pipeline/hires.h>
#include <easel/pipeline/image_prompt.h>
#include <easel/pipeline/settings.h>
#include <easel/pipeline/upscale.h>

namespace easel {

struct Txt2ImgRequest {
  std::vector<std::string> prompts;  // one per picture
  PictureSettings settings;
  Tensor initial_noise_BCHW;  // x_T of unit variance; undefined: drawn from the noise source
  // A second, larger pass. Where its upscaler is the path of a model, that model, which the caller
  // has opened.
  std::optional<HiresSettings> hires{};
  const Upscaler* upscaler = nullptr;
  int64_t upscale_tile = kUpscaleTile;
  std::vector<Control> controls{};
  std::vector<Control> hires_controls{};  // of the second pass, for pictures of its size
  ImageTokens image_tokens{};             // of a model with image prompts
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

// Width and height of the second pass.
std::pair<int64_t, int64_t> hires_size(const StableDiffusion& model,
                                       const PictureSettings& settings, const HiresSettings& hires);

// The shape [batch, C, H, W] of the latents. Throws Error (Usage), naming the nearest valid sizes,
// where this model cannot draw a picture of this size, and on settings that do not fit it.
std::vector<int64_t> latent_shape(const StableDiffusion& model, const PictureSettings& settings,
                                  int64_t batch);

}  // namespace easel
