// From settings to what the diffusion layer takes.
#pragma once

#include <span>

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/diffusion/sampler.h>
#include <easel/pipeline/settings.h>

namespace easel {

// The options' solver is a view of the settings'.
SamplerOptions sampler_options(const PictureSettings& settings);

// The model's schedule, with a zero terminal SNR where the settings ask for it. Throws Error
// (Usage) where the model cannot start from noise alone.
NoiseSchedule noise_schedule(const StableDiffusion& model, const PictureSettings& settings);

// Scales, rescale and interval for a run along `sigmas`, without conditionings.
Guidance unconditioned_guidance(const PictureSettings& settings, const NoiseSchedule& schedule,
                                std::span<const double> sigmas);

// That of a guidance-distilled model, which takes the scale as an input: none. Throws Error (Usage)
// where the settings ask for more than a scale.
Guidance no_guidance(const PictureSettings& settings);

// Whether a sampler with this guidance looks at the unconditional half.
bool needs_unconditional(const SamplerInfo& sampler, const Guidance& guidance);

// Throws Error (Usage) where the guidance cannot be meant, whatever the model.
void check_guidance(const PictureSettings& settings);

}  // namespace easel
