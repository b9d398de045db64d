// The UNet of a model as the samplers take it.
#pragma once

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/diffusion/denoiser.h>
#include <easel/pipeline/control.h>

namespace easel {

// What steers a network beside its conditioning.
struct Steering {
  double guidance_scale = 1;  // for a guidance-distilled model, which takes it as an input
  std::vector<Control> controls{};
  int64_t num_image_tokens = 0;  // at the end of each context, for the UNet alone
};

// The UNet with its conditioning brought in by the model's conditioning_key, as CompVis's
// DiffusionWrapper does it: CrossAttention takes context_BTD; Concat stacks concat_BCHW on the
// latents' channels; Hybrid does both. Tensors are float32 outside, the model's dtype inside. A
// part that is missing or one too many is an Error at the first call. The model must outlive the
// network.
Network make_network(const StableDiffusion& model, Steering steering = {});

}  // namespace easel
