#include "easel/pipeline/txt2img.h"

#include <chrono>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/network.h>
#include <easel/pipeline/prompt_context.h>

#include "sampling.h"
#include "torch_errors.h"

namespace easel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check_model_kind(const ModelConfig& config) {
  if (config.conditioning_key != ConditioningKey::CrossAttention ||
      config.unet.in_channels != config.autoencoder.embed_dim) {
    fail_usage(
        "this model takes more than a prompt (its UNet has {} input channels, the latents {}): "
        "it is made for inpainting or the like, not for txt2img",
        config.unet.in_channels, config.autoencoder.embed_dim);
  }
  if (config.unet.num_classes) fail_usage("this model draws numbered classes, not prompts");
}

void check_size(std::string_view name, int64_t size, int64_t unit) {
  if (size % unit == 0) return;
  const int64_t below = size / unit * unit;
  if (below == 0) fail_usage("{} is {}; this model draws multiples of {}", name, size, unit);
  fail_usage("{} is {}; this model draws multiples of {}: the nearest valid sizes are {} and {}",
             name, size, unit, below, below + unit);
}

SigmaPlan plan_of(const SamplerInfo& sampler, const SamplerNames& names,
                  const NoiseSchedule& schedule, const PictureSettings& settings) {
  if (!is_level_list(names.schedule)) {
    return make_plan(sampler, find_spacing(names.schedule), schedule, settings.steps);
  }
  SigmaPlan plan = make_plan(names.schedule, schedule, settings.steps);
  check_sampler_options(sampler, sampler_options(settings), plan.steps());
  return plan;
}

Txt2ImgResult draw(const StableDiffusion& model, const Txt2ImgRequest& request, NoiseSource& noise,
                   const Progress& progress) {
  const c10::InferenceMode inference;
  const PictureSettings& settings = request.settings;
  const auto shape = latent_shape(model, settings, static_cast<int64_t>(request.prompts.size()));
  const SamplerInfo& sampler = find_sampler(settings.sampler);
  const SamplerNames names = resolved_sampler(settings);
  NoiseSchedule schedule = noise_schedule(model, settings);
  const SigmaPlan plan = plan_of(sampler, names, schedule, settings);
  if (plan.steps() != settings.steps) {
    say(progress.log, LogLevel::Info,
        fmt::format("the schedule '{}' takes {} steps where {} are asked for{}", names.schedule,
                    plan.steps(), settings.steps,
                    is_level_list(names.schedule) ? "" : ", as its source does"));
  }

  const auto text_start = Clock::now();
  Guidance guidance = unconditioned_guidance(settings, schedule, plan.sigmas);
  const bool with_unconditional = needs_unconditional(sampler, guidance);
  guidance = make_guidance(model, request.prompts, settings, prompt_steps(sampler, plan.steps()),
                           std::move(guidance), with_unconditional, progress.log);
  say(progress.log, LogLevel::Debug, fmt::format("text: {:.3f} s", seconds_since(text_start)));

  const auto sampling_start = Clock::now();
  schedule.interpolation = plan.interpolation;
  const Denoiser denoiser = make_denoiser(make_network(model), schedule,
                                          model.config.parameterization, std::move(guidance));
  const Tensor x_T =
      request.initial_noise_BCHW.defined() ? request.initial_noise_BCHW : noise.draw(shape);
  Tensor x_BCHW = x_T.to(model.device, at::kFloat).mul(plan.initial_scale);
  SamplerOptions options = sampler_options(settings);
  options.schedule = &schedule;
  x_BCHW = sampler.run(denoiser, std::move(x_BCHW), plan.sigmas, noise, options, progress.on_step);
  const Tensor latents_BCHW = x_BCHW.mul(plan.final_scale).cpu();  // waits for the device
  const double sampling_seconds = seconds_since(sampling_start);
  say(progress.log, LogLevel::Debug,
      fmt::format("sampling: {:.3f} s, {:.3f} s a step", sampling_seconds,
                  sampling_seconds / static_cast<double>(plan.steps())));

  const auto decode_start = Clock::now();
  std::vector<Image> images =
      decode_latents(model, latents_BCHW, settings.pixel_rounding, progress.log);
  say(progress.log, LogLevel::Debug,
      fmt::format("decoding: {:.3f} s", seconds_since(decode_start)));
  return {.images = std::move(images), .latents_BCHW = latents_BCHW};
}

}  // namespace

std::vector<int64_t> latent_shape(const StableDiffusion& model, const PictureSettings& settings,
                                  int64_t batch) {
  check(settings);
  const ModelConfig& config = model.config;
  check_model_kind(config);
  const int64_t factor = config.autoencoder.downsampling();
  const int64_t unit = factor * size_multiple(config.unet);
  check_size("width (W)", settings.width, unit);
  check_size("height (H)", settings.height, unit);
  const int64_t deepest = config.text_encoder.num_hidden_layers - config.clip_skip + 1;
  if (settings.clip_skip > deepest) {
    fail_usage("clip skip is {}; this model's text encoder allows 1 to {}", settings.clip_skip,
               deepest);
  }
  return {batch, config.autoencoder.embed_dim, settings.height / factor, settings.width / factor};
}

Txt2ImgResult txt2img(const StableDiffusion& model, const Txt2ImgRequest& request,
                      NoiseSource& noise, const Progress& progress) {
  if (request.prompts.empty()) fail_usage("there is no prompt; a batch has one for each picture");
  const auto shape =
      latent_shape(model, request.settings, static_cast<int64_t>(request.prompts.size()));
  const Tensor& given = request.initial_noise_BCHW;
  if (given.defined() && given.sizes() != at::IntArrayRef(shape)) {
    fail_usage("the initial noise is {}, where these pictures take {}", shape_text(given.sizes()),
               shape_text(shape));
  }
  return with_plain_errors("use a smaller size, smaller batches (--n_samples), or float16",
                           [&] { return draw(model, request, noise, progress); });
}

}  // namespace easel
