// What txt2img and img2img have in common: everything but where the latents start and how much of
// the list of noise levels is left.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <easel/pipeline/txt2img.h>

namespace easel {

// How a batch starts. `plan` is whole when start() gets it; what start() leaves of its levels is
// run.
struct BatchStart {
  // The latents at the first level left, x = x0 + sigma * noise, on the model's device.
  std::function<Tensor(SigmaPlan& plan)> start;
  // What the network takes beside the prompts, one row or one a picture; undefined: nothing.
  Tensor concat_BCHW{};
  std::optional<int64_t> class_label{};
  // For InstructPix2Pix: concat_BCHW is a picture, one row, with a guidance of its own.
  std::optional<double> image_scale{};
  // What stays of the latents: where keep is 1 the estimates are those of `kept`, where it is 0
  // they are free. Undefined: all is free.
  Tensor keep_11HW{};
  Tensor kept_BCHW{};
  std::vector<Control> controls{};
  ImageTokens image_tokens{};
};

// The final latents of a batch, scaled, float32 on the CPU.
Tensor sample_batch(const StableDiffusion& model, const std::vector<std::string>& prompts,
                    const PictureSettings& settings, const BatchStart& batch, NoiseSource& noise,
                    const Progress& progress);

// The same with their pictures.
Txt2ImgResult draw_batch(const StableDiffusion& model, const std::vector<std::string>& prompts,
                         const PictureSettings& settings, const BatchStart& batch,
                         NoiseSource& noise, const Progress& progress);

// The second pass of the request's hires settings, from the latents of the first.
Txt2ImgResult draw_second_pass(const StableDiffusion& model, const Txt2ImgRequest& request,
                               const Tensor& latents_BCHW, NoiseSource& noise,
                               const Progress& progress);
// Its settings: the size, and the steps of which it runs the last.
PictureSettings second_pass_settings(const StableDiffusion& model, const PictureSettings& settings,
                                     const HiresSettings& hires);

// Throws Error (Usage) where there is no prompt, or the noise given is not of the latents' shape.
void check_batch(const std::vector<std::string>& prompts, const Tensor& noise_BCHW,
                 at::IntArrayRef shape_BCHW);

}  // namespace easel
