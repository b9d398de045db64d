#include "easel/pipeline/img2img.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/nn/circular_padding.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/open_model.h>

#include "draw_batch.h"
#include "image_guidance.h"
#include "torch_errors.h"

namespace easel {
namespace {

void check_model_kind(const ModelConfig& config) {
  const int64_t latents = config.autoencoder.embed_dim;
  const bool plain = config.conditioning_key == ConditioningKey::CrossAttention &&
                     config.unet.in_channels == latents;
  if (is_upscaler(config)) return;
  if (!plain && !takes_mask(config) && !is_instruct_pix2pix(config) && !takes_depth(config)) {
    fail_usage(
        "this model's UNet has {} input channels, the latents {}: it takes neither a prompt alone "
        "nor a picture, a map of depths, or a mask and a masked picture, beside it",
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

// The depths at the latents' size, from -1 to 1 whatever their range is.
Tensor depth_concat(const Image& depth, at::IntArrayRef latent_size) {
  const Tensor small_11HW =
      at::upsample_bicubic2d(from_mask(depth), latent_size, /*align_corners=*/false);
  const Tensor least = small_11HW.amin();
  const Tensor range = small_11HW.amax() - least;
  if (!(range.item<double>() > 0)) {
    fail("the depth map is the same all over, so it says nothing: lighter is to be nearer");
  }
  return (small_11HW - least) / range * 2 - 1;
}

void check_canvas(const ModelConfig& config, const Canvas& canvas) {
  if (takes_depth(config) && canvas.depth.pixels.empty()) {
    fail_usage("this model goes by a map of depths, and none is given (--depth FILE)");
  }
  if (!takes_depth(config) && !canvas.depth.pixels.empty()) {
    fail_usage("this model takes no map of depths");
  }
  if (is_upscaler(config) && !canvas.mask.pixels.empty()) {
    fail_usage("this model enlarges whole pictures: it takes no mask");
  }
}

// The small picture with the noise of the level on it, one row a picture.
Tensor noised_picture(const StableDiffusion& model, const Img2ImgRequest& request,
                      NoiseSource& noise) {
  const NoiseAugmentation& augmentation = *model.config.low_scale;
  const int64_t level = request.noise_level;
  if (level < 0 || level > augmentation.max_level) {
    fail_usage("the noise level is {}; this model's is 0 to {}, 20 is usual", level,
               augmentation.max_level);
  }
  const NoiseSchedule schedule = make_noise_schedule(augmentation.schedule);
  const double kept = schedule.alphas_cumprod[static_cast<size_t>(level)];
  std::vector<int64_t> shape = request.canvas->concat_1CHW.sizes().vec();
  shape[0] = static_cast<int64_t>(request.prompts.size());
  const Tensor noise_BCHW = noise.draw(shape).to(model.device, at::kFloat);
  return request.canvas->concat_1CHW * std::sqrt(kept) + noise_BCHW * std::sqrt(1 - kept);
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
  check_canvas(model.config, canvas);
  const nn::CircularPadding padding(settings.seamless.x, settings.seamless.y);
  const int64_t enlarges = summarize(model).enlarges;
  PictureSettings size;
  size.width = canvas.picture.width * enlarges;
  size.height = canvas.picture.height * enlarges;
  const auto shape = latent_shape(model, size, 1);
  const c10::InferenceMode inference;
  return with_plain_errors("use a smaller size, or float16", [&] {
    const Tensor x_1CHW = from_image(canvas.picture);
    Tensor mask_11HW;
    if (!canvas.mask.pixels.empty()) mask_11HW = from_mask(canvas.mask);
    EncodedCanvas encoded;
    if (is_upscaler(model.config)) {
      encoded.concat_1CHW = x_1CHW.to(model.device);
      encoded.canvas = std::move(canvas);
      return encoded;
    }
    encoded.posterior_1CHW = encode_pictures(model, x_1CHW, log, settings.vae_tiling);
    if (takes_mask(model.config)) {
      encoded.concat_1CHW = hybrid_concat(model, x_1CHW, mask_11HW, at::IntArrayRef(shape).slice(2),
                                          settings.vae_tiling, log);
    } else if (mask_11HW.defined()) {
      encoded.keep_11HW =
          keep_of(mask_11HW, model.config.autoencoder.downsampling()).to(model.device);
    }
    if (takes_depth(model.config)) {
      encoded.concat_1CHW =
          depth_concat(canvas.depth, at::IntArrayRef(shape).slice(2)).to(model.device);
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
  const int64_t enlarges = summarize(model).enlarges;
  if (canvas.canvas.picture.width * enlarges != settings.width ||
      canvas.canvas.picture.height * enlarges != settings.height) {
    fail_usage("the canvas is {}x{}, the settings {}x{}; expected {}x{} of them",
               canvas.canvas.picture.width, canvas.canvas.picture.height, settings.width,
               settings.height, canvas.canvas.picture.width * enlarges,
               canvas.canvas.picture.height * enlarges);
  }
  const c10::InferenceMode inference;
  const nn::CircularPadding padding(settings.seamless.x, settings.seamless.y);
  return with_plain_errors("use a smaller size, smaller batches (--n_samples), or float16", [&] {
    const bool upscales = is_upscaler(model.config);
    const bool instructed = is_instruct_pix2pix(model.config);
    const Tensor concat_BCHW =
        upscales ? noised_picture(model, request, noise) : canvas.concat_1CHW;
    const Tensor z_BCHW = upscales ? Tensor() : picture_latents(model, request, shape, noise);
    const auto start = [&](SigmaPlan& plan) {
      const Tensor& given = request.initial_noise_BCHW;
      const auto noise_BCHW = [&] {
        return (given.defined() ? given : noise.draw(shape)).to(model.device, at::kFloat);
      };
      if (upscales || instructed) return noise_BCHW() * plan.initial_scale;
      // A list of levels counts its own steps.
      const int64_t steps = is_level_list(settings.schedule) ? plan.steps() : settings.steps;
      const StartLevel level =
          cut_plan(plan, find_sampler(settings.sampler), request.strength, steps);
      return (z_BCHW + noise_BCHW() * level.noise_sigma) * level.scale;
    };
    const BatchStart batch{
        .start = start,
        .concat_BCHW = concat_BCHW,
        .class_label = upscales ? std::optional(request.noise_level) : std::nullopt,
        .image_scale = instructed ? std::optional(request.image_scale) : std::nullopt,
        .keep_11HW = canvas.keep_11HW,
        .kept_BCHW = z_BCHW,
        .controls = request.controls,
        .image_tokens = request.image_tokens};
    Txt2ImgResult result = draw_batch(model, request.prompts, settings, batch, noise, progress);
    for (Image& image : result.images) image = finished(canvas.canvas, image);
    return result;
  });
}

}  // namespace easel
