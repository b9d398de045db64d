// DPM-Solver++ for the reverse stochastic equation, with Brownian noise: k-diffusion's DPM++ SDE,
// 2M SDE and 3M SDE. Time is lambda = -log sigma; eta 1 is the equation of the forward process, eta
// 0 the probability flow.
#include <cmath>
#include <span>
#include <utility>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {
namespace {

Tensor noise_between(BrownianNoise& brownian, const Tensor& x_BCHW, double from, double to) {
  return brownian(from, to).to(x_BCHW.device());
}

// What the multistep samplers share: the first-order step with its noise, and the weight of the
// estimate's slope in lambda.
struct ExponentialStep {
  double h;      // in lambda
  double h_eta;  // h (1 + eta)
  double keep;   // the share of x
  double noise;  // deviation
};

ExponentialStep exponential_step(double from, double to, const SamplerOptions& options) {
  const double h = std::log(from / to);
  return {.h = h,
          .h_eta = h * (1 + options.eta),
          .keep = std::exp(-h * (1 + options.eta)),
          .noise = to * std::sqrt(-std::expm1(-2 * h * options.eta)) * options.s_noise};
}

Tensor first_order(const ExponentialStep& step, const Tensor& x_BCHW, const Tensor& denoised_BCHW) {
  return x_BCHW * step.keep - denoised_BCHW * std::expm1(-step.h_eta);
}

enum class Second { Midpoint, Heun };

Tensor run_2m(Second kind, const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
              NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback) {
  BrownianNoise brownian = noise.brownian(x_BCHW.sizes(), lowest_level(sigmas), sigmas.front());
  Tensor previous_BCHW;
  double previous_h = 0;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    if (to == 0) {
      x_BCHW = denoised_BCHW;
    } else if (to < from) {  // equal levels: nothing to do
      const ExponentialStep step = exponential_step(from, to, options);
      x_BCHW = first_order(step, x_BCHW, denoised_BCHW);
      if (previous_BCHW.defined()) {
        const double total = -std::expm1(-step.h_eta);
        const double weight = kind == Second::Heun ? 1 - total / step.h_eta : total / 2;
        x_BCHW = x_BCHW + (denoised_BCHW - previous_BCHW) * (weight * step.h / previous_h);
      }
      if (options.eta > 0) {
        x_BCHW = x_BCHW + noise_between(brownian, x_BCHW, from, to) * step.noise;
      }
      previous_BCHW = denoised_BCHW;
      previous_h = step.h;
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace

Tensor sample_dpmpp_sde(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                        NoiseSource& noise, const SamplerOptions& options,
                        const StepCallback& callback) {
  BrownianNoise brownian = noise.brownian(x_BCHW.sizes(), lowest_level(sigmas), sigmas.front());
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    if (to == 0) {
      x_BCHW = denoised_BCHW;
    } else if (to < from) {  // equal levels: nothing to do
      const auto advance = [&](const Tensor& estimate_BCHW, double level) {
        const auto [down, up] = ancestral_step(from, level, options.eta);
        Tensor y_BCHW = euler_step(x_BCHW, estimate_BCHW, from, down);
        if (options.eta == 0) return y_BCHW;
        return y_BCHW + noise_between(brownian, x_BCHW, from, level) * (options.s_noise * up);
      };
      const double middle = std::sqrt(from * to);
      const Tensor middle_BCHW = advance(denoised_BCHW, middle);
      x_BCHW = advance(denoiser(middle_BCHW, middle), to);
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

Tensor sample_dpmpp_2m_sde(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions& options,
                           const StepCallback& callback) {
  const Second kind = options.solver == "heun" ? Second::Heun : Second::Midpoint;
  return run_2m(kind, denoiser, std::move(x_BCHW), sigmas, noise, options, callback);
}

Tensor sample_dpmpp_2m_sde_heun(const Denoiser& denoiser, Tensor x_BCHW,
                                std::span<const double> sigmas, NoiseSource& noise,
                                const SamplerOptions& options, const StepCallback& callback) {
  return run_2m(Second::Heun, denoiser, std::move(x_BCHW), sigmas, noise, options, callback);
}

Tensor sample_dpmpp_3m_sde(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions& options,
                           const StepCallback& callback) {
  BrownianNoise brownian = noise.brownian(x_BCHW.sizes(), lowest_level(sigmas), sigmas.front());
  Tensor last_BCHW;  // the estimates one and two steps ago
  Tensor older_BCHW;
  double last_h = 0;
  double older_h = 0;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    if (to == 0) {
      x_BCHW = denoised_BCHW;
    } else if (to < from) {  // equal levels: nothing to do
      const ExponentialStep step = exponential_step(from, to, options);
      x_BCHW = first_order(step, x_BCHW, denoised_BCHW);
      const double phi_2 = std::expm1(-step.h_eta) / step.h_eta + 1;
      if (older_BCHW.defined()) {
        const double r_0 = last_h / step.h;
        const double r_1 = older_h / step.h;
        const Tensor slope_0_BCHW = (denoised_BCHW - last_BCHW) / r_0;
        const Tensor slope_1_BCHW = (last_BCHW - older_BCHW) / r_1;
        const Tensor bend_BCHW = (slope_0_BCHW - slope_1_BCHW) / (r_0 + r_1);
        const double phi_3 = phi_2 / step.h_eta - 0.5;
        x_BCHW = x_BCHW + (slope_0_BCHW + bend_BCHW * r_0) * phi_2 - bend_BCHW * phi_3;
      } else if (last_BCHW.defined()) {
        x_BCHW = x_BCHW + (denoised_BCHW - last_BCHW) * (phi_2 * step.h / last_h);
      }
      if (options.eta > 0) {
        x_BCHW = x_BCHW + noise_between(brownian, x_BCHW, from, to) * step.noise;
      }
      older_BCHW = std::exchange(last_BCHW, denoised_BCHW);
      older_h = std::exchange(last_h, step.h);
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace easel
