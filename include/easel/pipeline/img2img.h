// From prompts and a picture to pictures: one batch. With a mask, inpainting: by blending the known
// latents into every estimate, or, with a model of nine input channels, by what it was trained on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <easel/models/autoencoder.h>
#include <easel/pipeline/canvas.h>
#include <easel/pipeline/init_settings.h>
#include <easel/pipeline/txt2img.h>

namespace easel {

// A canvas as a model sees it, on the model's device in float32. Immutable.
struct EncodedCanvas {
  Canvas canvas;
  Posterior posterior_1CHW;  // of the picture, unscaled; of no use to an upscaler
  // 1 where the latents stay the picture's, 0 where they are free: a latent is as free as the
  // freest of its pixels. Undefined where there is no mask or the model itself minds it.
  Tensor keep_11HW;
  // For a model that takes a mask: it, then the scaled latents of the picture with grey where the
  // mask is white. For InstructPix2Pix: the latents of the picture, unscaled. For a model that
  // takes depths: those, from -1 (far) to 1. For an upscaler: the picture itself. Undefined for
  // others.
  Tensor concat_1CHW;
};

// Throws Error (Usage) where the model takes what a canvas has not, lacks what it takes, or cannot
// draw the canvas's size. Of the settings it takes `seamless` and `vae_tiling`.
EncodedCanvas encode_canvas(const StableDiffusion& model, Canvas canvas, const Log& log = {},
                            const PictureSettings& settings = {});

struct Img2ImgRequest {
  std::vector<std::string> prompts;  // one per picture
  PictureSettings settings;          // of the canvas's size, or what an upscaler makes of it
  std::shared_ptr<const EncodedCanvas> canvas;
  double strength = 0.75;    // InstructPix2Pix and upscalers start from noise alone, whatever it is
  double image_scale = 1.5;  // the guidance of the picture itself, for InstructPix2Pix
  int64_t noise_level = 20;  // for an upscaler: of the noise on the picture, drawn before all other
  Encode encode = Encode::Mean;
  Tensor posterior_noise_BCHW;  // for Encode::Sample; undefined: drawn, before the noise
  Tensor initial_noise_BCHW;    // of unit variance; undefined: drawn from the noise source
  std::vector<Control> controls{};
  ImageTokens image_tokens{};  // of a model with image prompts
};

// Draws one batch. With a mask the images are finished (see canvas.h). Throws Error (Usage) on a
// request that cannot be meant before any work is done.
Txt2ImgResult img2img(const StableDiffusion& model, const Img2ImgRequest& request,
                      NoiseSource& noise, const Progress& progress = {});

// What `strength` leaves of a plan's levels, and how the latents start there: at the first level
// left they are (z + noise_sigma * noise) * scale.
struct StartLevel {
  double noise_sigma;
  double scale;
};

// Cuts the plan down to the levels that are run.
//
//   ddim: CompVis's rule, t_enc = int(strength * steps): noise of level index t_enc, first step at
//   index t_enc - 1. No step is left where t_enc is 0; then there is no noise either.
//   plms, dpm_solver, which CompVis's program does not take: the last t_enc steps.
//   all others: A1111's rule, t_enc + 1 steps with t_enc = int(min(strength, 0.999) * steps).
//
// `steps` is the number asked for, which CompVis's plans may exceed.
StartLevel cut_plan(SigmaPlan& plan, const SamplerInfo& sampler, double strength, int64_t steps);

// The same where it is known how many steps are to be run, as far as the sampler can.
StartLevel keep_steps(SigmaPlan& plan, const SamplerInfo& sampler, int64_t count);

}  // namespace easel
