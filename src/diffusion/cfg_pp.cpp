// CFG++ (Chung et al. 2024, arXiv 2406.08070): the guided estimate is noised again with the
// unconditional prediction, as ComfyUI's samplers of these names do. Guidance scales are small: 0
// to 1 in the paper, up to about 2 in use.
#include <cmath>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {
namespace {

Tensor run_euler(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                 NoiseSource& noise, double eta, double s_noise, const StepCallback& callback) {
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const auto [denoised_BCHW, unconditional_BCHW] = denoiser.estimates(x_BCHW, from);
    const auto [down, up] = ancestral_step(from, to, eta);
    x_BCHW = denoised_BCHW + (x_BCHW - unconditional_BCHW) * (down / from);
    if (eta > 0 && to > 0) x_BCHW = x_BCHW + fresh_noise(noise, x_BCHW, s_noise * up);
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace

Tensor sample_euler_cfg_pp(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions&,
                           const StepCallback& callback) {
  return run_euler(denoiser, std::move(x_BCHW), sigmas, noise, 0, 1, callback);
}

Tensor sample_euler_ancestral_cfg_pp(const Denoiser& denoiser, Tensor x_BCHW,
                                     std::span<const double> sigmas, NoiseSource& noise,
                                     const SamplerOptions& options, const StepCallback& callback) {
  return run_euler(denoiser, std::move(x_BCHW), sigmas, noise, options.eta, options.s_noise,
                   callback);
}

Tensor sample_dpmpp_2m_cfg_pp(const Denoiser& denoiser, Tensor x_BCHW,
                              std::span<const double> sigmas, NoiseSource&, const SamplerOptions&,
                              const StepCallback& callback) {
  Tensor previous_BCHW;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const auto [denoised_BCHW, unconditional_BCHW] = denoiser.estimates(x_BCHW, from);
    Tensor target_BCHW = denoised_BCHW;
    // Equal levels tell nothing about the slope: no extrapolation from them.
    if (i > 0 && to > 0 && sigmas[i - 1] > from) {
      const double ratio = std::log(from / to) / std::log(sigmas[i - 1] / from);
      target_BCHW = denoised_BCHW + (denoised_BCHW - previous_BCHW) * ((1 - to / from) * ratio / 2);
    }
    x_BCHW = target_BCHW + (x_BCHW - unconditional_BCHW) * (to / from);
    previous_BCHW = unconditional_BCHW;
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace easel
