// DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095), data prediction, multistep, order 2. In sigma
// space lambda is -log sigma; k-diffusion's DPM++ 2M is the same update with other choices of when
// to fall back to order 1.
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {
namespace {

// `lower_order_final`: the last step is of order 1. A step to level 0 always is.
Tensor run(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
           bool lower_order_final, const StepCallback& callback) {
  Tensor previous_BCHW;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    Tensor target_BCHW = denoised_BCHW;
    const bool last = i + 2 == sigmas.size();
    const bool second_order = i > 0 && to > 0 && !(last && lower_order_final);
    // Equal levels tell nothing about the slope: no extrapolation from them.
    if (second_order && sigmas[i - 1] > from) {
      const double ratio = std::log(from / to) / std::log(sigmas[i - 1] / from);
      target_BCHW = denoised_BCHW + (denoised_BCHW - previous_BCHW) * (ratio / 2);
    }
    x_BCHW = euler_step(x_BCHW, target_BCHW, from, to);
    previous_BCHW = denoised_BCHW;
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace

Tensor sample_dpm_solver(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                         NoiseSource&, const SamplerOptions&, const StepCallback& callback) {
  return run(denoiser, std::move(x_BCHW), sigmas, num_steps(sigmas) < 15, callback);
}

Tensor sample_dpmpp_2m(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                       NoiseSource&, const SamplerOptions&, const StepCallback& callback) {
  return run(denoiser, std::move(x_BCHW), sigmas, false, callback);
}

}  // namespace easel
