#include "easel/pipeline/img2img.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/nn/circular_padding.h>
#include <easel/pipeline/decode.h>

#include "draw_batch.h"
#include "image_guidance.h"
#include "torch_errors.h"

namespace easel {
namespace {

void check_model_kind(const ModelConfig& config) {
  const int64_t latents = config.autoencoder.embed_dim;
  const bool plain = config.conditioning_key == ConditioningKey::CrossAttention &&
                     config.unet.in_channels == latents;
  if (!plain && !takes_mask(config) && !is_instruct_pix2pix(config)) {
    fail_usage(
        "this model's UNet has {} input channels, the latents {}: it takes neither a prompt alone "
        "nor a picture, or a mask and a masked picture, beside it",
        config.unet.in_channels, latents);
  }
  if (config.unet.num_classes) fail_usage("this model draws numbered classes, not prompts");
}

// A grey picture as values in [0, 1], [1, 1, H, W].
Tensor from_mask(const Image& mask) {
  return at::from_blob(const_cast<uint8_t*>(mask.pixels.data()), {1, 1, mask.height, mask.width},
                       at::kByte)
      .to(at::kFloat)
      .div(255);
}

// What a hybrid model takes beside the prompts: the mask at the latents' size and the latents of
// what the mask leaves of the picture (CompVis's and Runway's LatentInpaintDiffusion). Without a
// mask all of the picture is repainted.
Tensor hybrid_concat(const StableDiffusion& model, const Tensor& x_1CHW, const Tensor& mask_11HW,
                     at::IntArrayRef latent_size, VaeTiling tiling, const Log& log) {
  const Tensor hole_11HW = mask_11HW.defined() ? mask_11HW.ge(0.5).to(at::kFloat)
                                               : at::ones_like(x_1CHW.narrow(1, 0, 1));
  const Tensor seen_1CHW = encode_pictures(model, x_1CHW * (1 - hole_11HW), log, tiling).mean_BCHW *
                           model.config.scale_factor;
  const Tensor small_11HW = at::upsample_nearest2d(hole_11HW, latent_size);
  return at::cat({small_11HW.to(seen_1CHW.device()), seen_1CHW}, 1);
}

// A latent stays the picture's as far as every one of its pixels does.
Tensor keep_of(const Tensor& mask_11HW, int64_t factor) {
  return 1 - at::max_pool2d(mask_11HW, {factor, factor});
}

// The scaled latents [B, C, h, w] that stand for the picture.
Tensor picture_latents(const StableDiffusion& model, const Img2ImgRequest& request,
                       at::IntArrayRef shape_BCHW, NoiseSource& noise) {
  const Posterior& posterior = request.canvas->posterior_1CHW;
  if (request.encode == Encode::Mean) {
    return (posterior.mean_BCHW * model.config.scale_factor).expand(shape_BCHW);
  }
  const Posterior expanded{.mean_BCHW = posterior.mean_BCHW.expand(shape_BCHW),
                           .logvar_BCHW = posterior.logvar_BCHW.expand(shape_BCHW)};
  const Tensor& given = request.posterior_noise_BCHW;
  return expanded.sample(given.defined() ? given : noise.draw(shape_BCHW)) *
         model.config.scale_factor;
}

double unit_variance_scale(double sigma) { return std::sqrt(1 + sigma * sigma); }

bool follows_compvis(const SamplerInfo& sampler) {
  return sampler.default_spacing == "compvis" || sampler.default_spacing == "dpm_solver";
}

void keep_last(SigmaPlan& plan, int64_t steps) {
  plan.sigmas.erase(plan.sigmas.begin(), plan.sigmas.end() - 1 - steps);
}

}  // namespace

StartLevel keep_steps(SigmaPlan& plan, const SamplerInfo& sampler, int64_t count) {
  const int64_t num = plan.steps();
  if (sampler.name == "ddim") {
    const int64_t t_enc = std::min(count, num - 1);
    const double noise_sigma = plan.sigmas[static_cast<size_t>(num - 1 - t_enc)];
    keep_last(plan, t_enc);
    if (t_enc == 0) return {.noise_sigma = 0, .scale = 1 / plan.final_scale};
    return {.noise_sigma = noise_sigma,
            .scale = unit_variance_scale(plan.sigmas.front()) / unit_variance_scale(noise_sigma)};
  }
  if (follows_compvis(sampler)) {
    keep_last(plan, std::min(count, num));
    if (plan.steps() == 0) return {.noise_sigma = 0, .scale = 1 / plan.final_scale};
    return {.noise_sigma = plan.sigmas.front(), .scale = 1};
  }
  keep_last(plan, std::clamp(count, std::min(sampler.min_steps, num), num));
  return {.noise_sigma = plan.sigmas.front(), .scale = 1};
}

StartLevel cut_plan(SigmaPlan& plan, const SamplerInfo& sampler, double strength, int64_t steps) {
  if (sampler.name == "ddim" || follows_compvis(sampler)) {
    return keep_steps(plan, sampler, static_cast<int64_t>(strength * static_cast<double>(steps)));
  }
  const double most = std::min(strength, 0.999);
  return keep_steps(plan, sampler,
                    static_cast<int64_t>(most * static_cast<double>(plan.steps())) + 1);
}

EncodedCanvas encode_canvas(const StableDiffusion& model, Canvas canvas, const Log& log,
                            const PictureSettings& settings) {
  check_model_kind(model.config);
  const nn::CircularPadding padding(settings.seamless.x, settings.seamless.y);
  PictureSettings size;
  size.width = canvas.picture.width;
  size.height = canvas.picture.height;
  const auto shape = latent_shape(model, size, 1);
  const c10::InferenceMode inference;
  return with_plain_errors("use a smaller size, or float16", [&] {
    const Tensor x_1CHW = from_image(canvas.picture);
    Tensor mask_11HW;
    if (!canvas.mask.pixels.empty()) mask_11HW = from_mask(canvas.mask);
    EncodedCanvas encoded;
    encoded.posterior_1CHW = encode_pictures(model, x_1CHW, log, settings.vae_tiling);
    if (takes_mask(model.config)) {
      encoded.concat_1CHW = hybrid_concat(model, x_1CHW, mask_11HW, at::IntArrayRef(shape).slice(2),
                                          settings.vae_tiling, log);
    } else if (mask_11HW.defined()) {
      encoded.keep_11HW =
          keep_of(mask_11HW, model.config.autoencoder.downsampling()).to(model.device);
    }
    if (is_instruct_pix2pix(model.config)) {
      encoded.concat_1CHW = encoded.posterior_1CHW.mean_BCHW;
    }
    encoded.canvas = std::move(canvas);
    return encoded;
  });
}

Txt2ImgResult img2img(const StableDiffusion& model, const Img2ImgRequest& request,
                      NoiseSource& noise, const Progress& progress) {
  const PictureSettings& settings = request.settings;
  check_strength(request.strength);
  check_image_scale(request.image_scale);
  check_model_kind(model.config);
  if (!request.canvas) fail_usage("img2img needs an encoded canvas");
  const auto shape = latent_shape(model, settings, static_cast<int64_t>(request.prompts.size()));
  check_batch(request.prompts, request.initial_noise_BCHW, shape);
  const EncodedCanvas& canvas = *request.canvas;
  if (canvas.canvas.picture.width != settings.width ||
      canvas.canvas.picture.height != settings.height) {
    fail_usage("the canvas is {}x{}, the settings {}x{}; they must be equal",
               canvas.canvas.picture.width, canvas.canvas.picture.height, settings.width,
               settings.height);
  }
  const c10::InferenceMode inference;
  const nn::CircularPadding padding(settings.seamless.x, settings.seamless.y);
  return with_plain_errors("use a smaller size, smaller batches (--n_samples), or float16", [&] {
    const bool from_noise = is_instruct_pix2pix(model.config);
    const Tensor z_BCHW = picture_latents(model, request, shape, noise);
    const auto start = [&](SigmaPlan& plan) {
      const Tensor& given = request.initial_noise_BCHW;
      const auto noise_BCHW = [&] {
        return (given.defined() ? given : noise.draw(shape)).to(model.device, at::kFloat);
      };
      if (from_noise) return noise_BCHW() * plan.initial_scale;
      // A list of levels counts its own steps.
      const int64_t steps = is_level_list(settings.schedule) ? plan.steps() : settings.steps;
      const StartLevel level =
          cut_plan(plan, find_sampler(settings.sampler), request.strength, steps);
      return (z_BCHW + noise_BCHW() * level.noise_sigma) * level.scale;
    };
    const BatchStart batch{
        .start = start,
        .concat_1CHW = canvas.concat_1CHW,
        .image_scale = from_noise ? std::optional(request.image_scale) : std::nullopt,
        .keep_11HW = canvas.keep_11HW,
        .kept_BCHW = z_BCHW,
        .controls = request.controls};
    Txt2ImgResult result = draw_batch(model, request.prompts, settings, batch, noise, progress);
    for (Image& image : result.images) image = finished(canvas.canvas, image);
    return result;
  });
}

}  // namespace easel
