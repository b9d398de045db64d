// Euler and Heun steps of the probability-flow ODE: Karras et al. 2022 (arXiv 2206.00364),
// algorithm 2, as k-diffusion runs them.
#include <ATen/ATen.h>

#include "step.h"

namespace easel {

Tensor sample_euler(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource& noise, const SamplerOptions& options,
                    const StepCallback& callback) {
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = churn(x_BCHW, sigmas, i, noise, options);
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    x_BCHW = euler_step(x_BCHW, denoised_BCHW, from, sigmas[i + 1]);
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

Tensor sample_heun(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options,
                   const StepCallback& callback) {
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = churn(x_BCHW, sigmas, i, noise, options);
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    x_BCHW = heun_step(denoiser, x_BCHW, denoised_BCHW, from, sigmas[i + 1]);
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace easel
