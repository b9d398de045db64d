// Samplers: plain functions from noise to latents along a list of noise levels, in one table.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/diffusion/denoiser.h>
#include <easel/diffusion/noise.h>
#include <easel/diffusion/noise_schedule.h>

namespace easel {

// The noise levels of a run, from noisy to clean, and what makes the latents of unit-variance
// noise.
//
//   schedule.interpolation = plan.interpolation;
//   x = sampler.run(make_denoiser(network, schedule, ...), plan.initial_scale * noise, plan.sigmas,
//   ...); latents = plan.final_scale * x;
struct SigmaPlan {
  std::vector<double> sigmas;  // one more than the steps; never rising, the last may be 0
  double initial_scale = 1;    // x = initial_scale * noise
  double final_scale = 1;  // latents = final_scale * x: CompVis's samplers end at abar[0], not at 1
  Interpolation interpolation = Interpolation::LogSigma;
  int64_t steps() const { return static_cast<int64_t>(sigmas.size()) - 1; }
};

// How the levels are chosen. Throws Error (Usage) where `steps` is not 1 to schedule.timesteps().
// plan.steps() may differ from `steps`: CompVis's uniform spacing takes 31 steps for 30.
using Spacing = SigmaPlan (*)(const NoiseSchedule& schedule, int64_t steps);

struct SpacingInfo {
  std::string_view name;
  Spacing plan;
  std::string_view description;
  std::string_view aliases;  // other programs' spellings, comma-separated
};

// One table: the command line, the help and the tests read it.
std::span<const SpacingInfo> spacings();
// By name or alias; '-', '_', ' ' and case do not matter. Throws Error (Usage), nearest names
// first.
const SpacingInfo& find_spacing(std::string_view name);

struct SamplerOptions {
  double eta = 0;  // DDIM's and the ancestral samplers' share of fresh noise, 0 to 1
  bool clip_denoised =
      false;  // ddpm: clamp the estimate to [-1, 1] (models of pixels, not latents)
};

struct StepInfo {
  int64_t step;  // 1 .. steps, after the step is done
  int64_t steps;
  double sigma;            // the level the step started from
  const Tensor& denoised;  // the current estimate of the clean latents, [B, C, H, W]
};
// May throw to cancel the run (ErrorKind::Interrupted by convention).
using StepCallback = std::function<void(const StepInfo&)>;

// x_BCHW holds noise at level sigmas[0], float32; returns x at level sigmas.back(). x is not
// written to. `noise` is drawn on the CPU and moved to x's device. The callback may be empty; it is
// called once for each step.
using Sampler = Tensor (*)(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions& options,
                           const StepCallback& callback);

struct SamplerInfo {
  std::string_view name;
  std::string_view aliases;  // other programs' spellings, comma-separated
  Sampler run;
  std::string_view default_spacing;  // a name in spacings()
  double default_eta;
  bool uses_eta;    // eta other than the default or 0 is an error where false
  bool stochastic;  // draws fresh noise at its default eta
  int64_t min_steps;
  std::string_view paper;
  bool uses_clip_denoised = false;
};

std::span<const SamplerInfo> samplers();
// By name or alias; '-', '_', ' ' and case do not matter, '+' is 'p'. Throws Error (Usage), nearest
// names first.
const SamplerInfo& find_sampler(std::string_view name);
// Throws Error (Usage) where the options or the number of steps do not fit the sampler.
void check_sampler_options(const SamplerInfo& sampler, const SamplerOptions& options,
                           int64_t steps);

}  // namespace easel
