#include "easel/pipeline/txt2img.h"

#include <algorithm>
#include <chrono>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/nn/circular_padding.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/network.h>
#include <easel/pipeline/prompt_context.h>

#include "draw_batch.h"
#include "image_guidance.h"
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
        "it is made for inpainting or for changing pictures (img2img), not for txt2img",
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

// What stands beside `num` contexts, which are a picture each or as composed prompts have them.
Tensor concat_rows(const Tensor& concat_BCHW, int64_t num, const std::vector<ComposedRow>& rows) {
  if (concat_BCHW.size(0) == 1) return concat_BCHW.expand({num, -1, -1, -1});
  if (concat_BCHW.size(0) == num) return concat_BCHW;
  std::vector<int64_t> pictures;
  for (const ComposedRow& row : rows) pictures.push_back(row.picture);
  return concat_BCHW.index_select(0, at::tensor(pictures, at::kLong).to(concat_BCHW.device()));
}

// Puts what else the network takes beside every context.
void add_concat(Guidance& guidance, const Tensor& concat_BCHW,
                const std::optional<int64_t>& class_label) {
  if (!concat_BCHW.defined()) return;
  const auto add = [&](Conditioning& half) {
    if (!half.context_BTD.defined()) return;
    const int64_t num = half.context_BTD.size(0);
    half.concat_BCHW = concat_rows(concat_BCHW, num, guidance.rows);
    if (!class_label) return;
    half.class_label_B =
        at::full({num}, *class_label, at::device(concat_BCHW.device()).dtype(at::kLong));
  };
  add(guidance.conditional);
  add(guidance.unconditional);
  for (ConditionsFrom& change : guidance.changes) {
    add(change.conditional);
    add(change.unconditional);
  }
}

Tensor blend(const Tensor& free_BCHW, const Tensor& kept_BCHW, const Tensor& keep_11HW) {
  return free_BCHW + (kept_BCHW - free_BCHW) * keep_11HW;
}

// Holds every estimate of the clean latents to what is kept.
Denoiser keeping(Denoiser denoiser, const Tensor& kept_BCHW, const Tensor& keep_11HW) {
  if (!keep_11HW.defined()) return denoiser;
  return Denoiser([=](const Tensor& x_BCHW, double sigma, bool wants_unconditional) -> Estimates {
    const auto kept = [&](const Tensor& free_BCHW) {
      return blend(free_BCHW, kept_BCHW, keep_11HW);
    };
    if (!wants_unconditional) return {kept(denoiser(x_BCHW, sigma)), {}};
    const Estimates free = denoiser.estimates(x_BCHW, sigma);
    return {kept(free.guided_BCHW), kept(free.unconditional_BCHW)};
  });
}

Tensor sample(const SamplerInfo& sampler, const Denoiser& denoiser, Tensor x_BCHW,
              const SigmaPlan& plan, NoiseSource& noise, const SamplerOptions& options,
              const StepCallback& on_step) {
  if (plan.steps() < 1) return x_BCHW;
  return sampler.run(denoiser, std::move(x_BCHW), plan.sigmas, noise, options, on_step);
}

}  // namespace

Tensor sample_batch(const StableDiffusion& model, const std::vector<std::string>& prompts,
                    const PictureSettings& settings, const BatchStart& batch, NoiseSource& noise,
                    const Progress& progress) {
  const c10::InferenceMode inference;
  const SamplerInfo& sampler = find_sampler(settings.sampler);
  const SamplerNames names = resolved_sampler(settings);
  NoiseSchedule schedule = noise_schedule(model, settings);
  SigmaPlan plan = plan_of(sampler, names, schedule, settings);
  if (plan.steps() != settings.steps) {
    say(progress.log, LogLevel::Info,
        fmt::format("the schedule '{}' takes {} steps where {} are asked for{}", names.schedule,
                    plan.steps(), settings.steps,
                    is_level_list(names.schedule) ? "" : ", as its source does"));
  }

  const auto text_start = Clock::now();
  const bool distilled = model.config.unet.time_cond_proj_dim.has_value();
  Guidance guidance =
      distilled ? no_guidance(settings) : unconditioned_guidance(settings, schedule, plan.sigmas);
  const bool with_unconditional = batch.image_scale || needs_unconditional(sampler, guidance);
  guidance = make_guidance(model, prompts, settings, prompt_steps(sampler, plan.steps()),
                           std::move(guidance), with_unconditional, progress.log);
  add_image_tokens(guidance, batch.image_tokens);
  if (batch.image_scale) {
    add_image_guidance(guidance, batch.concat_BCHW, *batch.image_scale);
  } else {
    add_concat(guidance, batch.concat_BCHW, batch.class_label);
  }
  say(progress.log, LogLevel::Debug, fmt::format("text: {:.3f} s", seconds_since(text_start)));

  const auto sampling_start = Clock::now();
  schedule.interpolation = plan.interpolation;
  const Denoiser denoiser = keeping(
      make_denoiser(make_network(model, {settings.scale, batch.controls, batch.image_tokens.num()}),
                    schedule, model.config.parameterization, std::move(guidance)),
      batch.kept_BCHW, batch.keep_11HW);
  Tensor x_BCHW = batch.start(plan);
  SamplerOptions options = sampler_options(settings);
  options.schedule = &schedule;
  x_BCHW = sample(sampler, denoiser, std::move(x_BCHW), plan, noise, options, progress.on_step);
  x_BCHW = x_BCHW.mul(plan.final_scale);
  if (batch.keep_11HW.defined()) x_BCHW = blend(x_BCHW, batch.kept_BCHW, batch.keep_11HW);
  const Tensor latents_BCHW = x_BCHW.cpu();  // waits for the device
  const double sampling_seconds = seconds_since(sampling_start);
  say(progress.log, LogLevel::Debug,
      fmt::format("sampling: {:.3f} s, {:.3f} s a step", sampling_seconds,
                  sampling_seconds / static_cast<double>(std::max<int64_t>(plan.steps(), 1))));
  return latents_BCHW;
}

Txt2ImgResult draw_batch(const StableDiffusion& model, const std::vector<std::string>& prompts,
                         const PictureSettings& settings, const BatchStart& batch,
                         NoiseSource& noise, const Progress& progress) {
  const Tensor latents_BCHW = sample_batch(model, prompts, settings, batch, noise, progress);
  const auto decode_start = Clock::now();
  std::vector<Image> images = decode_latents(model, latents_BCHW, settings.pixel_rounding,
                                             progress.log, settings.vae_tiling);
  say(progress.log, LogLevel::Debug,
      fmt::format("decoding: {:.3f} s", seconds_since(decode_start)));
  return {.images = std::move(images), .latents_BCHW = latents_BCHW};
}

void check_batch(const std::vector<std::string>& prompts, const Tensor& noise_BCHW,
                 at::IntArrayRef shape_BCHW) {
  if (prompts.empty()) fail_usage("there is no prompt; a batch has one for each picture");
  if (noise_BCHW.defined() && noise_BCHW.sizes() != shape_BCHW) {
    fail_usage("the initial noise is {}, where these pictures take {}",
               shape_text(noise_BCHW.sizes()), shape_text(shape_BCHW));
  }
}

std::vector<int64_t> latent_shape(const StableDiffusion& model, const PictureSettings& settings,
                                  int64_t batch) {
  check(settings);
  const ModelConfig& config = model.config;
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
  check_model_kind(model.config);
  const auto shape =
      latent_shape(model, request.settings, static_cast<int64_t>(request.prompts.size()));
  const Tensor& given = request.initial_noise_BCHW;
  check_batch(request.prompts, given, shape);
  const auto start = [&](const SigmaPlan& plan) {
    const Tensor x_T = given.defined() ? given : noise.draw(shape);
    return x_T.to(model.device, at::kFloat).mul(plan.initial_scale);
  };
  const BatchStart batch{.start = start,
                         .concat_BCHW = {},
                         .class_label = {},
                         .image_scale = {},
                         .keep_11HW = {},
                         .kept_BCHW = {},
                         .controls = request.controls,
                         .image_tokens = request.image_tokens};
  const Seamless& seamless = request.settings.seamless;
  const nn::CircularPadding padding(seamless.x, seamless.y);
  if (request.hires) {
    check(*request.hires);
    if (!is_hires_upscaler(request.hires->upscaler) && request.upscaler == nullptr) {
      fail_usage("the hires upscaler {} is to be opened by who asks for it",
                 request.hires->upscaler);
    }
    latent_shape(model, second_pass_settings(model, request.settings, *request.hires), shape[0]);
  }
  return with_plain_errors("use a smaller size, smaller batches (--n_samples), or float16", [&] {
    if (request.hires) {
      const Tensor latents_BCHW =
          sample_batch(model, request.prompts, request.settings, batch, noise, progress);
      return draw_second_pass(model, request, latents_BCHW, noise, progress);
    }
    return draw_batch(model, request.prompts, request.settings, batch, noise, progress);
  });
}

}  // namespace easel
