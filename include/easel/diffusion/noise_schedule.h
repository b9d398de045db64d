// The forward process: how much noise there is at each of the training timesteps.
//
// Samplers work in the variance-exploding form x = x0 + sigma * noise (Karras et al. 2022, arXiv
// 2206.00364); levels are doubles, so that a timestep found from a sigma on the grid is exact.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace easel {

// The `model.params` of a CompVis config that describe the schedule.
struct ScheduleConfig {
  std::string beta_schedule = "linear";  // CompVis's names: linear, cosine, sqrt_linear, sqrt
  double linear_start = 0.00085;         // first and last beta; "linear" is linear in sqrt(beta),
  double linear_end = 0.0120;            // "sqrt" takes the root of a linear ramp between them
  double cosine_s = 8e-3;                // "cosine": offset of the angle, > -1
  int64_t timesteps = 1000;              // 1 to 1,000,000
  // Rescaled so that the last timestep is noise alone (Lin et al. 2023, arXiv 2305.08891, algorithm
  // 1; diffusers' rescale_betas_zero_snr). Its abar is kZeroTerminalAbar in place of 0, as in
  // ComfyUI and A1111, so that its sigma is finite: 4518.7. For v models; from noise alone eps says
  // nothing about the picture.
  bool zero_terminal_snr = false;
};

inline constexpr double kZeroTerminalAbar = 4.8973451890853435e-08;

// How levels are interpolated between integer timesteps.
enum class Interpolation {
  LogSigma,  // k-diffusion's DiscreteSchedule, unquantised: linear in log sigma
  LogAlpha,  // DPM-Solver's NoiseScheduleVP('discrete'): linear in log sqrt(abar)
};

// Plain data; const use from several threads is safe.
struct NoiseSchedule {
  std::vector<double>
      alphas_cumprod;  // abar[t], t = 0 .. timesteps-1, strictly decreasing in (0, 1)
  Interpolation interpolation = Interpolation::LogSigma;

  // sqrt((1 - abar) / abar) at timestep t in [0, timesteps-1]; fractional t is interpolated,
  // t outside is clamped. Strictly increasing in t.
  double sigma(double t) const;
  // The inverse: the timestep at which the noise is `sigma`, clamped to the range. t(sigma(i)) is
  // exactly i for integer i.
  double t(double sigma) const;
  // The share of the clean latents' variance where the noise is `sigma`: 1 / (1 + sigma^2).
  static double alpha_cumprod(double sigma);
  double sigma_min() const { return sigma(0); }
  double sigma_max() const { return sigma(static_cast<double>(timesteps() - 1)); }
  int64_t timesteps() const { return static_cast<int64_t>(alphas_cumprod.size()); }
};

// Throws Error (Usage) on an unknown beta_schedule or values out of range. Source: CompVis
// ldm/modules/diffusionmodules/util.py, make_beta_schedule, in float64.
NoiseSchedule make_noise_schedule(const ScheduleConfig& config);

}  // namespace easel
