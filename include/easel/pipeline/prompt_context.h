// From prompts to what the network is conditioned on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/diffusion/denoiser.h>
#include <easel/diffusion/sampler.h>
#include <easel/pipeline/settings.h>
#include <easel/text/prompt.h>

namespace easel {

// The contexts [1, T, D] of a schedule's texts, one for each, float32 on the model's device. T is a
// multiple of the text encoder's length, the same for all.
// A1111: the encoder's output times each token's weight, then brought back to the mean it had; as
// in the webui the mean is that of a chunk of all the schedule's texts. Comfy: z_empty + weight *
// (z
// - z_empty), with the output for an empty text.
std::vector<Tensor> encode_schedule(const StableDiffusion& model,
                                    const std::vector<ScheduledText>& schedule,
                                    const PictureSettings& settings, const Log& log = {});

// Throws Error (Usage) where the prompt or the settings' negative prompt is such that make_guidance
// would refuse it, before a model is loaded.
void check_prompt(std::string_view prompt, const PictureSettings& settings);

// How many evaluations a schedule in a prompt counts as the whole run: as in A1111's webui, two a
// step for samplers with two evaluations a step. `steps`: of the run before img2img shortens it.
int64_t prompt_steps(const SamplerInfo& sampler, int64_t steps);

// `guidance`, its numbers set, with one prompt a picture and, if it is asked for or a prompt is
// composed of several, the settings' negative prompt. Texts are encoded one by one, so that a
// context does not depend on the batch that it is in. Where the contexts of a batch differ in
// length, they are repeated up to their least common multiple: the attention over them stays what
// it was. Throws Error (Usage) as parse_prompt does, and where a prompt names an adapter.
Guidance make_guidance(const StableDiffusion& model, const std::vector<std::string>& prompts,
                       const PictureSettings& settings, int64_t num_evaluations, Guidance guidance,
                       bool with_unconditional, const Log& log = {});

}  // namespace easel
