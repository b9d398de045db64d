// Samplers for models that were distilled to jump to clean latents in one step, and go back up with
// fresh noise: LCM (Luo et al. 2023, arXiv 2310.04378) and TCD (Zheng et al. 2024, arXiv
// 2402.19159), as diffusers' LCMScheduler and TCDScheduler run them.
#include <cmath>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {

// diffusers mixes in a share of x that makes the estimate exact at timestep 0 and is below 1e-5 at
// the levels that these models know; it is left out, as in ComfyUI.
Tensor sample_lcm(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                  NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback) {
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, sigmas[i]);
    x_BCHW = denoised_BCHW;
    if (to > 0) x_BCHW = x_BCHW + fresh_noise(noise, x_BCHW, to * options.s_noise);
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

Tensor sample_tcd(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                  NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback) {
  const NoiseSchedule schedule =
      options.schedule != nullptr ? *options.schedule : make_noise_schedule({});
  // Down to a share of the next timestep, then up to it with fresh noise; the last step stays down.
  const auto down_from = [&](double to) {
    if (to == 0 || options.eta == 0) return to;
    // Timesteps are read off levels and may lie below their own by rounding.
    const double t = (1 - options.eta) * schedule.t(to);
    return std::min(to, schedule.sigma(std::floor(t + 1e-6)));
  };
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double to = sigmas[i + 1];
    const bool last = i + 2 == sigmas.size();
    const double down = last ? to : down_from(to);
    const Tensor denoised_BCHW = denoiser(x_BCHW, sigmas[i]);
    x_BCHW = euler_step(x_BCHW, denoised_BCHW, sigmas[i], down);
    if (down < to) {
      const double up = std::sqrt(to * to - down * down);
      x_BCHW = x_BCHW + fresh_noise(noise, x_BCHW, up * options.s_noise);
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace easel
