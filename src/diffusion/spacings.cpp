#include <array>
#include <cmath>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"
#include "find_by_name.h"
#include "level_list.h"
#include "spacing_functions.h"

namespace easel {
namespace spacing {

void check_steps(const NoiseSchedule& schedule, int64_t steps) {
  if (steps < 1 || steps > schedule.timesteps()) {
    fail_usage(
        "the number of steps is {}; it must be 1 to {}, the timesteps the model was trained on",
        steps, schedule.timesteps());
  }
}

NoiseSchedule with(NoiseSchedule schedule, Interpolation interpolation) {
  schedule.interpolation = interpolation;
  return schedule;
}

double ramp(int64_t i, int64_t count) {
  return count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0;
}

double unit_variance_scale(double sigma) { return std::sqrt(1 + sigma * sigma); }

}  // namespace spacing

namespace {

constexpr std::array<SpacingInfo, 21> kSpacings = {{
    {"compvis", spacing::compvis,
     "CompVis's DDIM and PLMS: every c-th timestep, c = timesteps / steps", "ddim,uniform_ddim"},
    {"compvis_quad", spacing::compvis_quad, "CompVis's 'quad': timesteps that grow as a square",
     "quad"},
    {"dpm_solver", spacing::dpm_solver, "CompVis's DPM-Solver: even times from 1 to 1/timesteps",
     "time_uniform"},
    {"ddpm", spacing::ddpm, "all timesteps or evenly chosen ones, then 0 (Ho et al. 2020)",
     "linspace"},
    {"leading", spacing::leading,
     "diffusers: the first of each of as many stretches as steps, one later; ends as compvis", ""},
    {"trailing", spacing::trailing,
     "diffusers: the last of each of as many stretches as steps (Lin et al. 2023); ends as compvis",
     ""},
    {"default", spacing::uniform,
     "k-diffusion and A1111: even timesteps from the last to 0, then 0", "uniform,normal,discrete"},
    {"karras", spacing::karras, "Karras et al. 2022, rho 7, then 0",
     "k,ka,get_sigmas_karras,use_karras_sigmas,KarrasScheduler"},
    {"exponential", spacing::exponential,
     "even in log sigma, then 0; k-diffusion's polyexponential with rho 1",
     "exp,polyexponential,get_sigmas_exponential,get_sigmas_polyexponential,use_exponential_sigmas,"
     "ExponentialScheduler,PolyexponentialScheduler"},
    {"sgm_uniform", spacing::sgm_uniform,
     "ComfyUI and A1111: even timesteps without timestep 0, then 0", "sgm"},
    {"simple", spacing::simple, "ComfyUI: every (timesteps / steps)-th level from the top, then 0",
     ""},
    {"ddim_uniform", spacing::ddim_uniform,
     "ComfyUI's ddim_uniform and A1111's DDIM: every c-th timestep from 1, then 0",
     "ddim_scheduler"},
    {"beta", spacing::beta,
     "ComfyUI: timesteps at a beta distribution's quantiles, repeats left out, then 0 (Lee et al. "
     "2024, arXiv 2407.12173)",
     "beta_scheduler"},
    {"beta_a1111", spacing::beta_a1111,
     "A1111 and diffusers: sigmas at a beta distribution's quantiles, then 0", "use_beta_sigmas"},
    {"kl_optimal", spacing::kl_optimal,
     "ComfyUI: even in atan(sigma), then 0 (Sabour et al. 2024, arXiv 2404.14507)", "kl"},
    {"kl_optimal_a1111", spacing::kl_optimal_a1111,
     "A1111: even in atan(sigma), ends at the smallest sigma", ""},
    {"lcm", spacing::lcm, "diffusers: of the 50 timesteps that LCM models are distilled on, then 0",
     ""},
    {"tcd", spacing::tcd, "diffusers: the same for TCD models; ends at timestep 0", ""},
    {"linear_quadratic", spacing::linear_quadratic,
     "ComfyUI: sigma falls slowly and linearly, then as a parabola to 0", ""},
    {"align_your_steps", spacing::align_your_steps,
     "ComfyUI and stable-diffusion.cpp: the published ten steps for SD 1, or log-linear between "
     "them (Sabour et al. 2024)",
     "ays,AlignYourStepsScheduler"},
    {"align_your_steps_a1111", spacing::align_your_steps_a1111,
     "A1111: the same list, rounded, with its last level kept before 0", ""},
}};

}  // namespace

std::span<const SpacingInfo> spacings() { return kSpacings; }

const SpacingInfo& find_spacing(std::string_view name) {
  return find_by_name("schedule", name, spacings());
}

SigmaPlan make_plan(std::string_view schedule, const NoiseSchedule& noise_schedule, int64_t steps) {
  if (is_level_list(schedule)) return plan_from_list(schedule, noise_schedule);
  return find_spacing(schedule).plan(noise_schedule, steps);
}

}  // namespace easel
