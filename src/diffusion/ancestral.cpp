// The samplers that step down to a lower level than the next one and add fresh noise up to it.
//
// In sigma space they are one formula: DDIM(eta) (Song et al. 2021, arXiv 2010.02502) is the
// ancestral Euler step, and DDPM's posterior (Ho et al. 2020, arXiv 2006.11239) is DDIM at eta = 1:
// CompVis's eta sqrt((1-a')/(1-a) (1-a/a')) / sqrt(a') equals eta sqrt(s'^2 (s^2-s'^2) / s^2).
#include <utility>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {
namespace {

enum class UnusedNoise {
  Discard,  // the reference program draws at every update, needed or not
  Leave,
};

Tensor run(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
           NoiseSource& noise, double eta, double s_noise, bool clip_denoised, UnusedNoise unused,
           const StepCallback& callback) {
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    Tensor denoised_BCHW = denoiser(x_BCHW, sigmas[i]);
    if (clip_denoised) denoised_BCHW = denoised_BCHW.clamp(-1, 1);
    const double next = sigmas[i + 1];
    const auto [down, up] = ancestral_step(sigmas[i], next, eta);
    x_BCHW = euler_step(x_BCHW, denoised_BCHW, sigmas[i], down);
    if (eta > 0 && next > 0) {
      x_BCHW = x_BCHW + fresh_noise(noise, x_BCHW, s_noise * up);
    } else if (unused == UnusedNoise::Discard) {
      noise.discard(x_BCHW.sizes());
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace

Tensor sample_ddim(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options,
                   const StepCallback& callback) {
  return run(denoiser, std::move(x_BCHW), sigmas, noise, options.eta, 1, false,
             UnusedNoise::Discard, callback);
}

Tensor sample_ddpm(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options,
                   const StepCallback& callback) {
  return run(denoiser, std::move(x_BCHW), sigmas, noise, 1, 1, options.clip_denoised,
             UnusedNoise::Discard, callback);
}

Tensor sample_euler_ancestral(const Denoiser& denoiser, Tensor x_BCHW,
                              std::span<const double> sigmas, NoiseSource& noise,
                              const SamplerOptions& options, const StepCallback& callback) {
  return run(denoiser, std::move(x_BCHW), sigmas, noise, options.eta, options.s_noise, false,
             UnusedNoise::Leave, callback);
}

}  // namespace easel
