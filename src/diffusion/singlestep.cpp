// Samplers that evaluate the network twice a step, at the step's start and at the geometric mean of
// its ends, as k-diffusion runs them: DPM2 (after DPM-Solver-2, Lu et al. 2022, arXiv 2206.00927)
// and DPM-Solver++(2S) (arXiv 2211.01095).
#include <cmath>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {
namespace {

// x from level `from` to `to` > 0 along the slope found half-way.
Tensor midpoint_step(const Denoiser& denoiser, const Tensor& x_BCHW, const Tensor& denoised_BCHW,
                     double from, double to) {
  const double middle = std::sqrt(from * to);
  const Tensor middle_BCHW = euler_step(x_BCHW, denoised_BCHW, from, middle);
  const Tensor slope_BCHW = (middle_BCHW - denoiser(middle_BCHW, middle)) / middle;
  return x_BCHW + slope_BCHW * (to - from);
}

// The same with the estimate found half-way.
Tensor second_order_data_step(const Denoiser& denoiser, const Tensor& x_BCHW,
                              const Tensor& denoised_BCHW, double from, double to) {
  const double middle = std::sqrt(from * to);
  const Tensor middle_BCHW = euler_step(x_BCHW, denoised_BCHW, from, middle);
  return euler_step(x_BCHW, denoiser(middle_BCHW, middle), from, to);
}

using Step = Tensor (*)(const Denoiser& denoiser, const Tensor& x_BCHW, const Tensor& denoised_BCHW,
                        double from, double to);

Tensor run_ancestral(Step step, const Denoiser& denoiser, Tensor x_BCHW,
                     std::span<const double> sigmas, NoiseSource& noise,
                     const SamplerOptions& options, const StepCallback& callback) {
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const Tensor denoised_BCHW = denoiser(x_BCHW, sigmas[i]);
    const auto [down, up] = ancestral_step(sigmas[i], sigmas[i + 1], options.eta);
    x_BCHW = down > 0 ? step(denoiser, x_BCHW, denoised_BCHW, sigmas[i], down)
                      : euler_step(x_BCHW, denoised_BCHW, sigmas[i], down);
    if (options.eta > 0 && sigmas[i + 1] > 0) {
      x_BCHW = x_BCHW + fresh_noise(noise, x_BCHW, options.s_noise * up);
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace

Tensor sample_dpm_2(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource& noise, const SamplerOptions& options,
                    const StepCallback& callback) {
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = churn(x_BCHW, sigmas, i, noise, options);
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    x_BCHW = to > 0 ? midpoint_step(denoiser, x_BCHW, denoised_BCHW, from, to)
                    : euler_step(x_BCHW, denoised_BCHW, from, to);
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

Tensor sample_dpm_2_ancestral(const Denoiser& denoiser, Tensor x_BCHW,
                              std::span<const double> sigmas, NoiseSource& noise,
                              const SamplerOptions& options, const StepCallback& callback) {
  return run_ancestral(midpoint_step, denoiser, std::move(x_BCHW), sigmas, noise, options,
                       callback);
}

Tensor sample_dpmpp_2s_ancestral(const Denoiser& denoiser, Tensor x_BCHW,
                                 std::span<const double> sigmas, NoiseSource& noise,
                                 const SamplerOptions& options, const StepCallback& callback) {
  return run_ancestral(second_order_data_step, denoiser, std::move(x_BCHW), sigmas, noise, options,
                       callback);
}

}  // namespace easel
