#include "easel/pipeline/hires.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/io/resize.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/img2img.h>
#include <easel/pipeline/upscale.h>

#include "draw_batch.h"

namespace easel {
namespace {

constexpr std::array<HiresUpscaler, 7> kUpscalers = {{
    {"latent", "Latent"},
    {"latent-antialiased", "Latent (antialiased)"},
    {"latent-bicubic", "Latent (bicubic)"},
    {"latent-bicubic-antialiased", "Latent (bicubic antialiased)"},
    {"latent-nearest", "Latent (nearest)"},
    {"latent-nearest-exact", "Latent (nearest-exact)"},
    {"lanczos", "Lanczos"},
}};

bool enlarges_latents(std::string_view upscaler) {
  return is_hires_upscaler(upscaler) && upscaler != "lanczos";
}

Tensor enlarged(const Tensor& x_BCHW, std::string_view upscaler, at::IntArrayRef size) {
  if (upscaler == "latent") return at::upsample_bilinear2d(x_BCHW, size, false);
  if (upscaler == "latent-antialiased") return at::_upsample_bilinear2d_aa(x_BCHW, size, false);
  if (upscaler == "latent-bicubic") return at::upsample_bicubic2d(x_BCHW, size, false);
  if (upscaler == "latent-bicubic-antialiased") {
    return at::_upsample_bicubic2d_aa(x_BCHW, size, false);
  }
  if (upscaler == "latent-nearest") return at::upsample_nearest2d(x_BCHW, size);
  return at::_upsample_nearest_exact2d(x_BCHW, size);
}

// The scaled latents of the first pass's pictures, enlarged as pictures.
Tensor through_pictures(const StableDiffusion& model, const Txt2ImgRequest& request,
                        const Tensor& latents_BCHW, const PictureSettings& larger, const Log& log) {
  const auto width = static_cast<int>(larger.width);
  const auto height = static_cast<int>(larger.height);
  std::vector<Tensor> rows_1CHW;
  for (const Image& image :
       decode_latents(model, latents_BCHW, larger.pixel_rounding, log, larger.vae_tiling)) {
    const Image enlarged =
        request.upscaler != nullptr
            ? upscale_to(*request.upscaler, image, width, height, request.upscale_tile)
            : resize(image, width, height, ResizeFilter::Lanczos);
    rows_1CHW.push_back(
        encode_pictures(model, from_image(enlarged), log, larger.vae_tiling).mean_BCHW);
  }
  return at::cat(rows_1CHW) * model.config.scale_factor;
}

int64_t enlarged_side(int64_t side, double scale, int64_t unit) {
  return static_cast<int64_t>(static_cast<double>(side) * scale) / unit * unit;
}

}  // namespace

std::span<const HiresUpscaler> hires_upscalers() { return kUpscalers; }

bool is_hires_upscaler(std::string_view upscaler) {
  return std::any_of(kUpscalers.begin(), kUpscalers.end(),
                     [&](const HiresUpscaler& each) { return each.name == upscaler; });
}

void check(const HiresSettings& settings) {
  if (!(settings.scale > 1 && settings.scale <= 16)) {
    fail_usage("hires-scale is {}; it is above 1, to 16: 2 is usual", settings.scale);
  }
  if (settings.steps < 0) fail_usage("hires-steps is {}; it is 0 or more", settings.steps);
  if (!(settings.strength > 0 && settings.strength <= 1)) {
    fail_usage("hires-strength is {}; it is above 0, to 1: 0.7 is usual", settings.strength);
  }
  if (is_hires_upscaler(settings.upscaler)) return;
  if (std::filesystem::is_regular_file(settings.upscaler)) return;
  std::array<std::string_view, kUpscalers.size()> names{};
  std::transform(kUpscalers.begin(), kUpscalers.end(), names.begin(),
                 [](const HiresUpscaler& each) { return each.name; });
  throw Error(unknown_name("hires upscaler", settings.upscaler, names) +
                  ", or the file of an upscaler model",
              ErrorKind::Usage);
}

std::pair<int64_t, int64_t> hires_size(const StableDiffusion& model,
                                       const PictureSettings& settings,
                                       const HiresSettings& hires) {
  const PictureSettings larger = second_pass_settings(model, settings, hires);
  return {larger.width, larger.height};
}

PictureSettings second_pass_settings(const StableDiffusion& model, const PictureSettings& settings,
                                     const HiresSettings& hires) {
  const int64_t unit = model.config.autoencoder.downsampling() * size_multiple(model.config.unet);
  PictureSettings larger = settings;
  larger.width = enlarged_side(settings.width, hires.scale, unit);
  larger.height = enlarged_side(settings.height, hires.scale, unit);
  const int64_t run = hires.steps > 0 ? hires.steps : settings.steps;
  larger.steps = static_cast<int64_t>(static_cast<double>(run) / std::min(hires.strength, 0.999));
  return larger;
}

Txt2ImgResult draw_second_pass(const StableDiffusion& model, const Txt2ImgRequest& request,
                               const Tensor& latents_BCHW, NoiseSource& noise,
                               const Progress& progress) {
  const c10::InferenceMode inference;
  const HiresSettings& hires = *request.hires;
  const PictureSettings larger = second_pass_settings(model, request.settings, hires);
  const auto shape = latent_shape(model, larger, latents_BCHW.size(0));
  const Tensor z_BCHW =
      (enlarges_latents(hires.upscaler)
           ? enlarged(latents_BCHW, hires.upscaler, at::IntArrayRef(shape).slice(2))
           : through_pictures(model, request, latents_BCHW, larger, progress.log))
          .to(model.device, at::kFloat);
  NoiseSource again = noise.restarted();
  const auto start = [&](SigmaPlan& plan) {
    // A list of levels has as many as it has.
    const int64_t run =
        is_level_list(larger.schedule)
            ? std::max<int64_t>(
                  static_cast<int64_t>(hires.strength * static_cast<double>(plan.steps())), 1)
            : (hires.steps > 0 ? hires.steps : request.settings.steps);
    const StartLevel level = keep_steps(plan, find_sampler(larger.sampler), run);
    const Tensor noise_BCHW = again.draw(shape).to(model.device);
    return (z_BCHW + noise_BCHW * level.noise_sigma) * level.scale;
  };
  return draw_batch(model, request.prompts, larger,
                    {.start = start,
                     .concat_BCHW = {},
                     .class_label = {},
                     .keep_11HW = {},
                     .kept_BCHW = {},
                     .controls = request.hires_controls,
                     .image_tokens = request.image_tokens},
                    again, progress);
}

}  // namespace easel
