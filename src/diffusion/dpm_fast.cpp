// DPM-Solver with noise prediction, singlestep (Lu et al. 2022, arXiv 2206.00927), on steps of its
// own from the first level to the last above 0, as k-diffusion's sample_dpm_fast and
// sample_dpm_adaptive run it. Time is -log sigma.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include <easel/base/error.h>

#include "step.h"

namespace easel {
namespace {

double sigma_at(double t) { return std::exp(-t); }

// The updates of order 1 to 3 from one point, sharing their evaluations.
class SinglestepUpdate {
 public:
  SinglestepUpdate(const Denoiser& denoiser, Tensor x_BCHW, double t)
      : denoiser_(denoiser), x_BCHW_(std::move(x_BCHW)), t_(t) {
    denoised_BCHW_ = denoiser_(x_BCHW_, sigma_at(t_));
    eps_BCHW_ = (x_BCHW_ - denoised_BCHW_) / sigma_at(t_);
  }

  const Tensor& denoised() const { return denoised_BCHW_; }

  Tensor first(double to) const {
    return x_BCHW_ - eps_BCHW_ * (sigma_at(to) * std::expm1(to - t_));
  }

  // By way of the point at share r of the step.
  Tensor second(double to, double r) {
    const double weight = sigma_at(to) * std::expm1(to - t_) / (2 * r);
    return first(to) - (way_point(to, r) - eps_BCHW_) * weight;
  }

  Tensor third(double to) {
    constexpr double r_1 = 1.0 / 3;
    constexpr double r_2 = 2.0 / 3;
    const double h = to - t_;
    const double s_2 = t_ + r_2 * h;
    const Tensor difference_BCHW = way_point(to, r_1) - eps_BCHW_;
    const double bend = sigma_at(s_2) * (r_2 / r_1) * (std::expm1(r_2 * h) / (r_2 * h) - 1);
    const Tensor second_BCHW = eps(first(s_2) - difference_BCHW * bend, s_2);
    return first(to) - (second_BCHW - eps_BCHW_) * (sigma_at(to) / r_2 * (std::expm1(h) / h - 1));
  }

 private:
  Tensor eps(const Tensor& y_BCHW, double t) const {
    return (y_BCHW - denoiser_(y_BCHW, sigma_at(t))) / sigma_at(t);
  }

  // The noise predicted at share r of the step to `to`: evaluated once, whoever asks first.
  const Tensor& way_point(double to, double r) {
    if (!way_point_BCHW_.defined()) {
      const double s = t_ + r * (to - t_);
      way_point_BCHW_ = eps(first(s), s);
    }
    return way_point_BCHW_;
  }

  const Denoiser& denoiser_;
  Tensor x_BCHW_;
  double t_;
  Tensor denoised_BCHW_;
  Tensor eps_BCHW_;
  Tensor way_point_BCHW_;
};

// Orders that make `evaluations` evaluations.
std::vector<int> orders_for(int64_t evaluations) {
  std::vector<int> orders(static_cast<size_t>(evaluations / 3), 3);
  if (evaluations % 3 == 0) {
    orders.back() = 2;
    orders.push_back(1);
  } else {
    orders.push_back(static_cast<int>(evaluations % 3));
  }
  return orders;
}

// The root mean square of the error in units of what is allowed.
double scaled_error(const Tensor& low_CHW, const Tensor& high_CHW, const Tensor& previous_CHW,
                    const SamplerOptions& options) {
  const Tensor allowed_CHW =
      (at::maximum(low_CHW.abs(), previous_CHW.abs()) * options.rtol).clamp_min(options.atol);
  return ((low_CHW - high_CHW) / allowed_CHW).square().mean().sqrt().item<double>();
}

// One picture with steps of its own: x_1CHW at sigmas.front() to the last level above 0. The
// denoiser is given this picture alone.
Tensor adaptive(const Denoiser& denoiser, Tensor x_1CHW, std::span<const double> sigmas,
                const SamplerOptions& options, const ShareCallback& report) {
  constexpr double kLeastFactor = 0.81;  // a step that the controller shortens more is rejected
  const int64_t order = options.order == 0 ? 3 : options.order;
  const double start = -std::log(sigmas.front());
  const double end = -std::log(lowest_level(sigmas));
  double s = start;
  double h = 0.05;
  Tensor previous_1CHW = x_1CHW;
  while (s < end - 1e-5) {
    const double to = std::min(end, s + h);
    SinglestepUpdate update(denoiser, x_1CHW, s);
    const Tensor low_1CHW = order == 2 ? update.first(to) : update.second(to, 1.0 / 3);
    const Tensor high_1CHW = order == 2 ? update.second(to, 0.5) : update.third(to);
    const double error = scaled_error(low_1CHW, high_1CHW, previous_1CHW, options);
    if (!std::isfinite(error)) {
      fail("the estimate at level {} is not finite: dpm_adaptive finds no step", sigma_at(s));
    }
    const double wanted = std::pow(1 / (error + 1e-8), 1.0 / static_cast<double>(order));
    const double factor = 1 + std::atan(wanted - 1);
    h *= factor;
    const double sigma = sigma_at(s);
    if (factor >= kLeastFactor) {
      previous_1CHW = low_1CHW;
      x_1CHW = high_1CHW;
      s = to;
    }
    report((s - start) / (end - start), sigma, update.denoised());
  }
  return x_1CHW;
}

}  // namespace

Tensor sample_dpm_fast(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                       NoiseSource& noise, const SamplerOptions& options,
                       const StepCallback& callback) {
  const double start = -std::log(sigmas.front());
  const double end = -std::log(lowest_level(sigmas));
  if (!(end > start)) return x_BCHW;
  const std::vector<int> orders = orders_for(num_steps(sigmas));
  const auto num = static_cast<int64_t>(orders.size());
  for (int64_t i = 0; i < num; ++i) {
    const auto time = [&](int64_t k) {
      return start + (end - start) * static_cast<double>(k) / static_cast<double>(num);
    };
    const double from = sigma_at(time(i));
    const double next = sigma_at(time(i + 1));
    double to = time(i + 1);
    if (options.eta > 0)
      to = std::min(end, -std::log(ancestral_step(from, next, options.eta).down));
    SinglestepUpdate update(denoiser, x_BCHW, time(i));
    const int order = orders[static_cast<size_t>(i)];
    x_BCHW = order == 1 ? update.first(to) : order == 2 ? update.second(to, 0.5) : update.third(to);
    const double up = std::sqrt(std::max(0.0, next * next - sigma_at(to) * sigma_at(to)));
    if (options.eta > 0) x_BCHW = x_BCHW + fresh_noise(noise, x_BCHW, up * options.s_noise);
    if (callback) callback({i + 1, num, from, update.denoised()});
  }
  return x_BCHW;
}

Tensor sample_dpm_adaptive(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource&, const SamplerOptions& options,
                           const StepCallback& callback) {
  if (!(sigmas.front() > lowest_level(sigmas))) return x_BCHW;
  // k-diffusion controls the error of the whole batch.
  const RunOne run = [&](const Denoiser& of_picture, Tensor x_1CHW, const ShareCallback& report) {
    return adaptive(of_picture, std::move(x_1CHW), sigmas, options, report);
  };
  return run_one_by_one(run, denoiser, std::move(x_BCHW), num_steps(sigmas), callback);
}

}  // namespace easel
