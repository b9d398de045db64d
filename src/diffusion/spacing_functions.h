// The functions behind the table in spacings.cpp, and what they share.
#pragma once

#include <cstdint>
#include <vector>

#include "easel/diffusion/sampler.h"

namespace easel::spacing {

// Throws Error (Usage) where `steps` is not 1 to schedule.timesteps().
void check_steps(const NoiseSchedule& schedule, int64_t steps);
// A copy that reads levels between timesteps as the spacing's own program does.
NoiseSchedule with(NoiseSchedule schedule, Interpolation interpolation);
// From 0 to 1 in `count` even parts, both ends included; one value is 0.
double ramp(int64_t i, int64_t count);
// Of the first latents, where a program starts from noise of variance 1 in the scaling of DDPM.
double unit_variance_scale(double sigma);

// spacings_of_timesteps.cpp
SigmaPlan compvis(const NoiseSchedule& schedule, int64_t steps);
SigmaPlan compvis_quad(const NoiseSchedule& schedule, int64_t steps);
SigmaPlan dpm_solver(const NoiseSchedule& trained, int64_t steps);
SigmaPlan ddpm(const NoiseSchedule& schedule, int64_t steps);
SigmaPlan leading(const NoiseSchedule& schedule, int64_t steps);
SigmaPlan trailing(const NoiseSchedule& schedule, int64_t steps);

// spacings_of_sigmas.cpp
SigmaPlan uniform(const NoiseSchedule& trained, int64_t steps);
SigmaPlan sgm_uniform(const NoiseSchedule& trained, int64_t steps);
SigmaPlan simple(const NoiseSchedule& trained, int64_t steps);
SigmaPlan ddim_uniform(const NoiseSchedule& trained, int64_t steps);
// `count` levels from high to low, both included.
std::vector<double> karras_levels(double low, double high, int64_t count);
SigmaPlan lcm(const NoiseSchedule& trained, int64_t steps);
SigmaPlan tcd(const NoiseSchedule& trained, int64_t steps);
SigmaPlan karras(const NoiseSchedule& trained, int64_t steps);
SigmaPlan exponential(const NoiseSchedule& trained, int64_t steps);
SigmaPlan beta(const NoiseSchedule& trained, int64_t steps);
SigmaPlan beta_a1111(const NoiseSchedule& trained, int64_t steps);
SigmaPlan kl_optimal(const NoiseSchedule& trained, int64_t steps);
SigmaPlan kl_optimal_a1111(const NoiseSchedule& trained, int64_t steps);
SigmaPlan linear_quadratic(const NoiseSchedule& trained, int64_t steps);
SigmaPlan align_your_steps(const NoiseSchedule& trained, int64_t steps);
SigmaPlan align_your_steps_a1111(const NoiseSchedule& trained, int64_t steps);

}  // namespace easel::spacing
