// PLMS: Adams-Bashforth on the predicted noise (Liu et al. 2022, arXiv 2202.09778), as CompVis's
// PLMSSampler runs it: orders 2, 3, 4 in turn after a first step of improved Euler. iPNDM (Zhang
// and Chen 2023, arXiv 2204.13902) starts with a step of Euler instead.
#include <cmath>
#include <deque>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {
namespace {

// Adams-Bashforth of order past.size() + 1; past[0] is the latest.
Tensor extrapolate(const Tensor& eps, const std::deque<Tensor>& past) {
  switch (past.size()) {
    case 0:
      return eps;
    case 1:
      return (3 * eps - past[0]) / 2;
    case 2:
      return (23 * eps - 16 * past[0] + 5 * past[1]) / 12;
    default:
      return (55 * eps - 59 * past[0] + 37 * past[1] - 9 * past[2]) / 24;
  }
}

double unit_variance_scale(double sigma) { return std::sqrt(1 + sigma * sigma); }

}  // namespace

Tensor sample_plms(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions&, const StepCallback& callback) {
  std::deque<Tensor> past;
  const auto predict_eps = [&](const Tensor& at_BCHW, double sigma) {
    return (at_BCHW - denoiser(at_BCHW, sigma)) / sigma;
  };
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double sigma = sigmas[i];
    const Tensor eps = predict_eps(x_BCHW, sigma);
    Tensor direction;
    if (past.empty()) {
      const Tensor next_BCHW = x_BCHW + eps * (sigmas[i + 1] - sigma);
      noise.discard(x_BCHW.sizes());  // CompVis draws in each update, the first step has two
      // The last step has no timestep after it: CompVis evaluates the same latents (of unit
      // variance) at the step's own timestep again.
      const double rescale = unit_variance_scale(sigma) / unit_variance_scale(sigmas[i + 1]);
      const bool last = i + 2 == sigmas.size();
      const Tensor eps_next =
          last ? predict_eps(next_BCHW * rescale, sigma) : predict_eps(next_BCHW, sigmas[i + 1]);
      direction = (eps + eps_next) / 2;
    } else {
      direction = extrapolate(eps, past);
    }
    const Tensor denoised_BCHW = x_BCHW - direction * sigma;
    x_BCHW = x_BCHW + direction * (sigmas[i + 1] - sigma);
    noise.discard(x_BCHW.sizes());
    past.push_front(eps);
    if (past.size() > 3) past.pop_back();
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

Tensor sample_ipndm(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource&, const SamplerOptions& options, const StepCallback& callback) {
  const size_t order = order_or(options, 4);
  std::deque<Tensor> past;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    if (to == 0) {
      x_BCHW = denoised_BCHW;
    } else if (to < from) {  // equal levels: nothing to do, and nothing learnt of the slope
      const Tensor eps = (x_BCHW - denoised_BCHW) / from;
      x_BCHW = x_BCHW + extrapolate(eps, past) * (to - from);
      past.push_front(eps);
      if (past.size() > order - 1) past.pop_back();
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace easel
