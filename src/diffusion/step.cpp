#include "step.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

namespace easel {

Tensor euler_step(const Tensor& x_BCHW, const Tensor& denoised_BCHW, double from, double to) {
  return denoised_BCHW + (x_BCHW - denoised_BCHW) * (to / from);
}

Tensor heun_step(const Denoiser& denoiser, const Tensor& x_BCHW, const Tensor& denoised_BCHW,
                 double from, double to) {
  const Tensor predicted_BCHW = euler_step(x_BCHW, denoised_BCHW, from, to);
  if (to == 0) return predicted_BCHW;
  const Tensor first_BCHW = (x_BCHW - denoised_BCHW) / from;
  const Tensor second_BCHW = (predicted_BCHW - denoiser(predicted_BCHW, to)) / to;
  return x_BCHW + (first_BCHW + second_BCHW) * ((to - from) / 2);
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

Tensor run_one_by_one(const RunOne& run, const Denoiser& denoiser, Tensor x_BCHW, int64_t steps,
                      const StepCallback& callback) {
  const int64_t batch = x_BCHW.size(0);
  x_BCHW = x_BCHW.clone();
  Tensor shown_BCHW = x_BCHW.clone();
  for (int64_t k = 0; k < batch; ++k) {
    const Denoiser of_picture = [&](const Tensor& y_1CHW, double sigma) {
      if (batch == 1) return denoiser(y_1CHW, sigma);
      Tensor y_BCHW = x_BCHW.clone();  // the denoiser knows its conditioning for all rows at once
      y_BCHW.slice(0, k, k + 1).copy_(y_1CHW);
      return denoiser(y_BCHW, sigma).slice(0, k, k + 1);
    };
    const auto report = [&](double share, double sigma, const Tensor& denoised_1CHW) {
      if (!callback) return;
      shown_BCHW = shown_BCHW.clone();
      shown_BCHW.slice(0, k, k + 1).copy_(denoised_1CHW);
      const double done = (static_cast<double>(k) + share) / static_cast<double>(batch);
      const auto step = static_cast<int64_t>(std::floor(done * static_cast<double>(steps) + 1e-6));
      callback({std::clamp<int64_t>(step, 1, steps), steps, sigma, shown_BCHW});
    };
    Tensor row_1CHW = x_BCHW.slice(0, k, k + 1);
    row_1CHW.copy_(run(of_picture, row_1CHW.clone(), report));
  }
  return x_BCHW;
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
