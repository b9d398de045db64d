// Samplers: plain functions from noise to latents along a list of noise levels, in one table.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
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

// Levels by hand, noisy first and strictly falling, in the model's range; a last 0 is appended
// where it is missing. x starts as noise * sigma_0. Throws Error (Usage).
SigmaPlan plan_from_sigmas(std::vector<double> sigmas, const NoiseSchedule& noise_schedule);
// The same from timesteps, fractional ones too: 0 is the smallest level, and level 0 comes after.
SigmaPlan plan_from_timesteps(std::vector<double> timesteps, const NoiseSchedule& noise_schedule);
// Whether the text is a list of levels ("14.6,7.2,2.5,0"; timesteps: "t:999,666,333") rather than
// a name.
bool is_level_list(std::string_view schedule);
// From a name in spacings(), which `steps` belongs to, or from a list, which counts its own steps.
// Throws Error (Usage).
SigmaPlan make_plan(std::string_view schedule, const NoiseSchedule& noise_schedule, int64_t steps);

struct SamplerOptions {
  // DDIM's and the ancestral samplers' share of fresh noise, 0 to 1; tcd's gamma.
  double eta = 0;
  bool clip_denoised =
      false;  // ddpm: clamp the estimate to [-1, 1] (models of pixels, not latents)
  // Karras et al. 2022, algorithm 2: where s_tmin <= sigma <= s_tmax, noise is added up to sigma *
  // (1 + min(s_churn / steps, sqrt(2) - 1)) before the step. 0: none.
  double s_churn = 0;
  double s_tmin = 0;
  double s_tmax = std::numeric_limits<double>::infinity();
  double s_noise = 1;            // the standard deviation of all fresh noise; above 0
  int64_t order = 0;             // 0: the sampler's own
  std::string_view solver = {};  // empty: the sampler's own; else one of SamplerInfo::solvers
  // The error allowed in a step that the sampler chooses itself, relative and absolute.
  double rtol = 0.05;
  double atol = 0.0078;
  // The model's, for tcd, which goes by timesteps; nullptr: Stable Diffusion's.
  const NoiseSchedule* schedule = nullptr;
};

// Options that a sampler takes: the bits of SamplerInfo::takes.
inline constexpr uint32_t kTakesEta = 1;
inline constexpr uint32_t kTakesClipDenoised = 2;
inline constexpr uint32_t kTakesChurn = 4;  // s_churn, s_tmin and s_tmax
inline constexpr uint32_t kTakesSNoise = 8;
inline constexpr uint32_t kTakesOrder = 16;
inline constexpr uint32_t kTakesSolver = 32;
inline constexpr uint32_t kTakesTolerance = 64;  // rtol and atol

struct StepInfo {
  // 1 .. steps, after the step is done. A sampler with steps of its own reports how far it has come
  // in `steps`, dpm_fast in fewer of its own.
  int64_t step;
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

// How a sampler uses the levels it is given.
enum class Levels {
  Each,     // one step between each two
  Between,  // steps of its own between the first and the last above 0
};

struct SamplerInfo {
  std::string_view name;
  std::string_view aliases;  // other programs' spellings, comma-separated
  Sampler run;
  std::string_view default_spacing;  // a name in spacings()
  double default_eta = 0;
  uint32_t takes = 0;  // the options it takes; any other that is not at its default is an error
  bool stochastic = false;  // draws fresh noise at its default eta
  int64_t min_steps = 1;
  std::string_view paper;
  int64_t order = 1;  // of convergence; with kTakesOrder the highest
  int64_t min_order = 1;
  // Of the network, a step; a step to level 0 may take fewer. 0: as many as it needs.
  int64_t evaluations = 1;
  int64_t recommended_steps = 20;
  std::string_view solvers = {};  // comma-separated, its own first
  Levels levels = Levels::Each;
  // Plans are made of one step more and lose the level before the last, as A1111 plans DPM2.
  bool discards_penultimate = false;
  // Steps along the unconditional estimate (CFG++): it is evaluated at a guidance scale of 1 too.
  bool uses_unconditional = false;

  bool accepts(uint32_t option) const { return (takes & option) != 0; }
  bool uses_eta() const { return accepts(kTakesEta); }
};

std::span<const SamplerInfo> samplers();

struct NamedSampler {
  const SamplerInfo& sampler;
  std::string_view spacing;  // a name in spacings(): the one named, else the sampler's own
};
// By name or alias, or either followed by a spacing's name or alias, as A1111 combines them ("DPM++
// 2M Karras"); '-', '_', ' ' and case do not matter, '+' is 'p'. Throws Error (Usage), nearest
// names first.
NamedSampler find_sampler_and_spacing(std::string_view name);
// Its sampler.
const SamplerInfo& find_sampler(std::string_view name);
// The levels of a run of `sampler`. Throws Error (Usage) as the spacing does.
SigmaPlan make_plan(const SamplerInfo& sampler, const SpacingInfo& spacing,
                    const NoiseSchedule& schedule, int64_t steps);
// Throws Error (Usage) where the options or the number of steps do not fit the sampler.
void check_sampler_options(const SamplerInfo& sampler, const SamplerOptions& options,
                           int64_t steps);

}  // namespace easel
