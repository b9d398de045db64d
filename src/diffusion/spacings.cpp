#include <algorithm>
#include <array>
#include <cmath>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"
#include "find_by_name.h"

namespace easel {
namespace {

void check_steps(const NoiseSchedule& schedule, int64_t steps) {
  if (steps < 1 || steps > schedule.timesteps()) {
    fail_usage(
        "the number of steps is {}; it must be 1 to {}, the timesteps the model was trained on",
        steps, schedule.timesteps());
  }
}

double unit_variance_scale(double sigma) { return std::sqrt(1 + sigma * sigma); }

// A copy that reads levels between timesteps as the spacing's own program does.
NoiseSchedule with(NoiseSchedule schedule, Interpolation interpolation) {
  schedule.interpolation = interpolation;
  return schedule;
}

// From 0 to 1 in `count` even parts, both ends included; one value is 0.
double ramp(int64_t i, int64_t count) {
  return count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0;
}

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

// The plans of k-diffusion's users: `steps` levels, then 0; x starts as noise * sigma_0.
template <class Level>
SigmaPlan k_diffusion_plan(const NoiseSchedule& trained, int64_t steps, Level level) {
  check_steps(trained, steps);
  const NoiseSchedule schedule = with(trained, Interpolation::LogSigma);
  SigmaPlan plan;
  for (int64_t i = 0; i < steps; ++i) plan.sigmas.push_back(level(schedule, i));
  plan.sigmas.push_back(0);
  plan.initial_scale = plan.sigmas.front();
  return plan;
}

SigmaPlan uniform(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    return schedule.sigma((1 - ramp(i, steps)) * static_cast<double>(schedule.timesteps() - 1));
  });
}

SigmaPlan sgm_uniform(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    return schedule.sigma((1 - ramp(i, steps + 1)) * static_cast<double>(schedule.timesteps() - 1));
  });
}

SigmaPlan simple(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    const auto count = static_cast<double>(schedule.timesteps());
    return schedule.sigma(
        count - 1 - std::floor(static_cast<double>(i) * (count / static_cast<double>(steps))));
  });
}

SigmaPlan karras(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    constexpr double kRho = 7;
    const double first = std::pow(schedule.sigma_max(), 1 / kRho);
    const double last = std::pow(schedule.sigma_min(), 1 / kRho);
    return std::pow(first + ramp(i, steps) * (last - first), kRho);
  });
}

SigmaPlan exponential(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    const double first = std::log(schedule.sigma_max());
    const double last = std::log(schedule.sigma_min());
    return std::exp(first + ramp(i, steps) * (last - first));
  });
}

constexpr std::array<SpacingInfo, 9> kSpacings = {{
    {"compvis", compvis, "CompVis's DDIM and PLMS: every c-th timestep, c = timesteps / steps",
     "ddim,uniform_ddim"},
    {"compvis_quad", compvis_quad, "CompVis's 'quad': timesteps that grow as a square", "quad"},
    {"dpm_solver", dpm_solver, "CompVis's DPM-Solver: even times from 1 to 1/timesteps",
     "time_uniform"},
    {"ddpm", ddpm, "all timesteps or evenly chosen ones, then 0 (Ho et al. 2020)", "linspace"},
    {"default", uniform, "k-diffusion and A1111: even timesteps from the last to 0, then 0",
     "uniform,normal,discrete"},
    {"karras", karras, "Karras et al. 2022, rho 7, then 0", ""},
    {"exponential", exponential, "even in log sigma, then 0", ""},
    {"sgm_uniform", sgm_uniform, "ComfyUI and A1111: even timesteps without timestep 0, then 0",
     "sgm"},
    {"simple", simple, "ComfyUI: every (timesteps / steps)-th level from the top, then 0", ""},
}};

}  // namespace

std::span<const SpacingInfo> spacings() { return kSpacings; }

const SpacingInfo& find_spacing(std::string_view name) {
  return find_by_name("schedule", name, spacings());
}

}  // namespace easel
