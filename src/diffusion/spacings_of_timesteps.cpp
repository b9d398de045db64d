#include <algorithm>
#include <cmath>

#include "spacing_functions.h"

namespace easel::spacing {
namespace {

// CompVis's make_ddim_sampling_parameters for rising timesteps: the run ends at the level of
// timestep 0. Where CompVis goes past the last timestep (and fails), the last one is taken.
SigmaPlan compvis_plan(const NoiseSchedule& schedule, const std::vector<int64_t>& timesteps) {
  SigmaPlan plan;
  for (auto t = timesteps.rbegin(); t != timesteps.rend(); ++t) {
    plan.sigmas.push_back(
        schedule.sigma(static_cast<double>(std::min(*t, schedule.timesteps() - 1))));
  }
  plan.sigmas.push_back(schedule.sigma_min());
  plan.initial_scale = unit_variance_scale(plan.sigmas.front());
  plan.final_scale = std::sqrt(schedule.alphas_cumprod.front());
  return plan;
}

}  // namespace

SigmaPlan compvis(const NoiseSchedule& schedule, int64_t steps) {
  check_steps(schedule, steps);
  std::vector<int64_t> timesteps;
  const int64_t stride = schedule.timesteps() / steps;
  for (int64_t t = 0; t < schedule.timesteps(); t += stride) timesteps.push_back(t + 1);
  return compvis_plan(schedule, timesteps);
}

SigmaPlan compvis_quad(const NoiseSchedule& schedule, int64_t steps) {
  check_steps(schedule, steps);
  const double last = std::sqrt(static_cast<double>(schedule.timesteps()) * 0.8);
  const double stride = steps > 1 ? last / static_cast<double>(steps - 1) : 0;
  std::vector<int64_t> timesteps;
  for (int64_t i = 0; i < steps; ++i) {
    const double root = i > 0 && i == steps - 1 ? last : static_cast<double>(i) * stride;
    timesteps.push_back(static_cast<int64_t>(root * root) + 1);
  }
  return compvis_plan(schedule, timesteps);
}

// Times from 1 to 1/N in even parts; time (i + 1) / N is timestep i.
SigmaPlan dpm_solver(const NoiseSchedule& trained, int64_t steps) {
  check_steps(trained, steps);
  const NoiseSchedule schedule = with(trained, Interpolation::LogAlpha);
  const auto last = static_cast<double>(schedule.timesteps() - 1);
  SigmaPlan plan;
  for (int64_t i = 0; i <= steps; ++i) {
    plan.sigmas.push_back(
        schedule.sigma(last * static_cast<double>(steps - i) / static_cast<double>(steps)));
  }
  plan.initial_scale = unit_variance_scale(plan.sigmas.front());
  plan.final_scale = std::sqrt(schedule.alphas_cumprod.front());
  plan.interpolation = Interpolation::LogAlpha;
  return plan;
}

SigmaPlan ddpm(const NoiseSchedule& schedule, int64_t steps) {
  check_steps(schedule, steps);
  const auto last = static_cast<double>(schedule.timesteps() - 1);
  SigmaPlan plan;
  for (int64_t i = steps - 1; i >= 0; --i) {
    const double share = steps > 1 ? ramp(i, steps) : 1;
    plan.sigmas.push_back(schedule.sigma(std::nearbyint(share * last)));
  }
  plan.sigmas.push_back(0);
  plan.initial_scale = unit_variance_scale(plan.sigmas.front());
  return plan;
}

// diffusers' DDIMScheduler as Stable Diffusion configures it (steps_offset 1, set_alpha_to_one
// false): the run ends at the level of timestep 0.
SigmaPlan leading(const NoiseSchedule& schedule, int64_t steps) {
  check_steps(schedule, steps);
  std::vector<int64_t> timesteps;
  const int64_t stride = schedule.timesteps() / steps;
  for (int64_t i = 0; i < steps; ++i) timesteps.push_back(i * stride + 1);
  return compvis_plan(schedule, timesteps);
}

SigmaPlan trailing(const NoiseSchedule& schedule, int64_t steps) {
  check_steps(schedule, steps);
  const auto count = static_cast<double>(schedule.timesteps());
  std::vector<int64_t> timesteps;
  for (int64_t i = steps - 1; i >= 0; --i) {
    const double stride = count / static_cast<double>(steps);
    timesteps.push_back(std::llrint(count - static_cast<double>(i) * stride) - 1);
  }
  return compvis_plan(schedule, timesteps);
}

}  // namespace easel::spacing
