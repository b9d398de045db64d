#include "step.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

namespace easel {

Tensor euler_step(const Tensor& x_BCHW, const Tensor& denoised_BCHW, double from, double to) {
  return denoised_BCHW + (x_BCHW - denoised_BCHW) * (to / from);
}

AncestralStep ancestral_step(double from, double to, double eta) {
  const double up = std::min(to, eta * to * std::sqrt(1 - (to / from) * (to / from)));
  return {std::sqrt(to * to - up * up), up};
}

Tensor fresh_noise(NoiseSource& noise, const Tensor& x_BCHW, double scale) {
  return noise.draw(x_BCHW.sizes()).to(x_BCHW.device()) * scale;
}

double churn(Tensor& x_BCHW, std::span<const double> sigmas, size_t i, NoiseSource& noise,
             const SamplerOptions& options) {
  const double sigma = sigmas[i];
  if (options.s_churn == 0) return sigma;
  // k-diffusion draws at every step, used or not.
  const Tensor noise_BCHW = fresh_noise(noise, x_BCHW, options.s_noise);
  if (sigma < options.s_tmin || sigma > options.s_tmax) return sigma;
  const double gamma =
      std::min(options.s_churn / static_cast<double>(num_steps(sigmas)), std::sqrt(2) - 1);
  const double raised = sigma * (gamma + 1);
  x_BCHW = x_BCHW + noise_BCHW * std::sqrt(raised * raised - sigma * sigma);
  return raised;
}

double lowest_level(std::span<const double> sigmas) {
  return sigmas.back() > 0 || sigmas.size() == 1 ? sigmas.back() : sigmas[sigmas.size() - 2];
}

void report_step(const StepCallback& callback, std::span<const double> sigmas, size_t i,
                 const Tensor& denoised_BCHW) {
  if (callback) {
    callback({static_cast<int64_t>(i) + 1, num_steps(sigmas), sigmas[i], denoised_BCHW});
  }
}

}  // namespace easel
