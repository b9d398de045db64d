#include <array>
#include <cmath>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"
#include "find_by_name.h"
#include "step.h"

namespace easel {
namespace {

constexpr std::array<SamplerInfo, 11> kSamplers = {{
    {.name = "ddim",
     .aliases = "k_ddim,ddim_compvis,DDIMScheduler",
     .run = sample_ddim,
     .default_spacing = "compvis",
     .default_eta = 0,
     .uses_eta = true,
     .stochastic = false,
     .min_steps = 1,
     .paper = "Song et al. 2021, arXiv 2010.02502"},
    {.name = "plms",
     .aliases = "pndm,PNDMScheduler",
     .run = sample_plms,
     .default_spacing = "compvis",
     .default_eta = 0,
     .uses_eta = false,
     .stochastic = false,
     .min_steps = 1,
     .paper = "Liu et al. 2022, arXiv 2202.09778"},
    {.name = "dpm_solver",
     .aliases = "dpm_solver++",
     .run = sample_dpm_solver,
     .default_spacing = "dpm_solver",
     .default_eta = 0,
     .uses_eta = false,
     .stochastic = false,
     .min_steps = 2,
     .paper = "Lu et al. 2022, arXiv 2211.01095"},
    {.name = "ddpm",
     .aliases = "DDPMScheduler",
     .run = sample_ddpm,
     .default_spacing = "ddpm",
     .default_eta = 1,
     .uses_eta = false,
     .stochastic = true,
     .min_steps = 1,
     .paper = "Ho et al. 2020, arXiv 2006.11239",
     .uses_clip_denoised = true},
    {.name = "euler",
     .aliases = "k_euler,EulerDiscreteScheduler",
     .run = sample_euler,
     .default_spacing = "default",
     .default_eta = 0,
     .uses_eta = false,
     .stochastic = false,
     .min_steps = 1,
     .paper = "Karras et al. 2022, arXiv 2206.00364"},
    {.name = "euler_a",
     .aliases = "euler_ancestral,k_euler_a,k_euler_ancestral,EulerAncestralDiscreteScheduler",
     .run = sample_euler_ancestral,
     .default_spacing = "default",
     .default_eta = 1,
     .uses_eta = true,
     .stochastic = true,
     .min_steps = 1,
     .paper = "Karras et al. 2022, arXiv 2206.00364; k-diffusion"},
    {.name = "heun",
     .aliases = "k_heun,HeunDiscreteScheduler",
     .run = sample_heun,
     .default_spacing = "default",
     .default_eta = 0,
     .uses_eta = false,
     .stochastic = false,
     .min_steps = 1,
     .paper = "Karras et al. 2022, arXiv 2206.00364"},
    {.name = "dpmpp_2m",
     .aliases = "k_dpmpp_2m,dpm_2m++,dpm_multistep,DPMSolverMultistepScheduler",
     .run = sample_dpmpp_2m,
     .default_spacing = "default",
     .default_eta = 0,
     .uses_eta = false,
     .stochastic = false,
     .min_steps = 1,
     .paper = "Lu et al. 2022, arXiv 2211.01095"},
    {.name = "euler_karras",
     .aliases = "k_euler_karras,euler_k",
     .run = sample_euler,
     .default_spacing = "karras",
     .default_eta = 0,
     .uses_eta = false,
     .stochastic = false,
     .min_steps = 1,
     .paper = "Karras et al. 2022, arXiv 2206.00364"},
    {.name = "euler_a_karras",
     .aliases = "euler_ancestral_karras,k_euler_a_karras",
     .run = sample_euler_ancestral,
     .default_spacing = "karras",
     .default_eta = 1,
     .uses_eta = true,
     .stochastic = true,
     .min_steps = 1,
     .paper = "Karras et al. 2022, arXiv 2206.00364; k-diffusion"},
    {.name = "dpmpp_2m_karras",
     .aliases = "k_dpmpp_2m_karras,dpmpp_2m_k",
     .run = sample_dpmpp_2m,
     .default_spacing = "karras",
     .default_eta = 0,
     .uses_eta = false,
     .stochastic = false,
     .min_steps = 1,
     .paper = "Lu et al. 2022, arXiv 2211.01095"},
}};

}  // namespace

std::span<const SamplerInfo> samplers() { return kSamplers; }

const SamplerInfo& find_sampler(std::string_view name) {
  return find_by_name("sampler", name, samplers());
}

void check_sampler_options(const SamplerInfo& sampler, const SamplerOptions& options,
                           int64_t steps) {
  const double eta = options.eta;
  if (!(eta >= 0 && eta <= 1)) fail_usage("eta is {}; it must be 0 to 1", eta);
  if (!sampler.uses_eta && eta != 0 && eta != sampler.default_eta) {
    fail_usage("eta is {}, but the sampler '{}' has none; leave it out, or take ddim or euler_a",
               eta, sampler.name);
  }
  if (options.clip_denoised && !sampler.uses_clip_denoised) {
    fail_usage("the sampler '{}' does not clip its estimate; leave clip_denoised out, or take ddpm",
               sampler.name);
  }
  if (steps < sampler.min_steps) {
    fail_usage("the number of steps is {}; the sampler '{}' needs at least {}", steps, sampler.name,
               sampler.min_steps);
  }
}

}  // namespace easel
