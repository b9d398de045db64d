#include "easel/diffusion/process.h"

#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>

#include "timesteps.h"

namespace easel {
namespace {

// Half precision is too coarse for sums of nearly equal terms.
at::ScalarType working_type(const Tensor& x) {
  return at::promote_types(x.scalar_type(), at::kFloat);
}

void check_same_shape(const Tensor& tensor, const Tensor& x, const char* what) {
  if (!tensor.defined() || tensor.sizes() != x.sizes()) {
    fail("{} has shape {}; expected {}, that of the tensor it belongs to", what,
         tensor.defined() ? shape_text(tensor.sizes()) : "none", shape_text(x.sizes()));
  }
}

// a_t * x + b_t * y, of x's type.
Tensor combine(const Tensor& a_T, const Tensor& x, const Tensor& b_T, const Tensor& y,
               const Tensor& t_B, const char* what_is_y) {
  check_same_shape(y, x, what_is_y);
  const Tensor x_part = at_timesteps(a_T, t_B, x) * x;
  const Tensor y_part = at_timesteps(b_T, t_B, x) * y.to(working_type(x));
  return (x_part + y_part).to(x.scalar_type());
}

DiagonalGaussian gaussian(Tensor mean, const Tensor& variance_T, const Tensor& log_variance_T,
                          const Tensor& t_B) {
  Tensor variance = at_timesteps(variance_T, t_B, mean).to(mean.scalar_type());
  Tensor log_variance = at_timesteps(log_variance_T, t_B, mean).to(mean.scalar_type());
  return {std::move(mean), std::move(variance), std::move(log_variance)};
}

Tensor lvlb_weights(const DiffusionProcess& process) {
  const Tensor& abar = process.alphas_cumprod;
  Tensor weights;
  switch (process.parameterization) {
    case Parameterization::Eps:
      weights = process.betas.square() /
                (2 * process.posterior_variance * (1 - process.betas) * (1 - abar));
      break;
    case Parameterization::V:
      weights = at::ones_like(abar);
      break;
    case Parameterization::X0:
      weights = 0.5 * abar.sqrt() / (2 - abar);
      break;
  }
  weights[0] = weights[1];
  return weights;
}

// x_t-1 = mean + noise, none where t = 0.
Tensor add_noise(const DiagonalGaussian& step, const Tensor& t_B, const Tensor& noise) {
  const Tensor& x = step.mean;
  check_same_shape(noise, x, "the noise of a reverse step");
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[0] = x.size(0);
  const Tensor is_noisy = t_B.ne(0).reshape(shape).to(x.device(), x.scalar_type());
  return x + is_noisy * (0.5 * step.log_variance).exp() * noise.to(x.device(), x.scalar_type());
}

}  // namespace

Tensor at_timesteps(const Tensor& values_T, const Tensor& t_B, const Tensor& x) {
  if (!x.defined() || x.dim() < 1 || !at::isFloatingType(x.scalar_type())) {
    fail("diffusion process: x is {}; expected a floating-point tensor with one row an example",
         x.defined() ? fmt::format("{} {}", dtype_name(x.scalar_type()), shape_text(x.sizes()))
                     : "undefined");
  }
  if (!t_B.defined() || t_B.scalar_type() != at::kLong || t_B.dim() != 1 ||
      t_B.size(0) != x.size(0)) {
    fail("diffusion process: the timesteps are {} for x {}; expected int64 [{}], one a row",
         t_B.defined()
             ? fmt::format("{} {}", dtype_name(t_B.scalar_type()), shape_text(t_B.sizes()))
             : "undefined",
         shape_text(x.sizes()), x.size(0));
  }
  const Tensor t = t_B.to(at::kCPU);
  for (const int64_t step : at::ArrayRef<int64_t>(t.contiguous().const_data_ptr<int64_t>(),
                                                  static_cast<size_t>(t.numel()))) {
    if (step < 0 || step >= values_T.size(0)) {
      fail("diffusion process: timestep {} was asked of a schedule of {}; expected 0 to {}", step,
           values_T.size(0), values_T.size(0) - 1);
    }
  }
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[0] = x.size(0);
  return values_T.index_select(0, t).reshape(shape).to(x.device(), working_type(x));
}

DiffusionProcess make_diffusion_process(const NoiseSchedule& schedule,
                                        const DiffusionProcessOptions& options) {
  const double v = options.v_posterior;
  if (!(v >= 0 && v <= 1)) fail_usage("v_posterior is {}; it must be from 0 to 1", v);
  if (schedule.timesteps() < 2) {
    fail_usage("the noise schedule has {} timesteps; training needs at least 2",
               schedule.timesteps());
  }
  DiffusionProcess p;
  p.parameterization = options.parameterization;
  p.alphas_cumprod = at::tensor(at::ArrayRef<double>(schedule.alphas_cumprod));
  p.alphas_cumprod_prev =
      at::cat({at::ones({1}, at::kDouble), p.alphas_cumprod.slice(0, 0, schedule.timesteps() - 1)});
  const Tensor& abar = p.alphas_cumprod;
  const Tensor& abar_prev = p.alphas_cumprod_prev;
  const Tensor alphas = abar / abar_prev;
  p.betas = 1 - alphas;
  p.sqrt_alphas_cumprod = abar.sqrt();
  p.sqrt_one_minus_alphas_cumprod = (1 - abar).sqrt();
  p.log_one_minus_alphas_cumprod = (1 - abar).log();
  p.sqrt_recip_alphas_cumprod = (1 / abar).sqrt();
  p.sqrt_recipm1_alphas_cumprod = (1 / abar - 1).sqrt();
  p.posterior_variance = (1 - v) * p.betas * (1 - abar_prev) / (1 - abar) + v * p.betas;
  p.posterior_log_variance_clipped = p.posterior_variance.clamp_min(1e-20).log();
  p.posterior_mean_coef1 = p.betas * abar_prev.sqrt() / (1 - abar);
  p.posterior_mean_coef2 = (1 - abar_prev) * alphas.sqrt() / (1 - abar);
  p.lvlb_weights = lvlb_weights(p);
  return p;
}

DiagonalGaussian q_mean_variance(const DiffusionProcess& process, const Tensor& x_start,
                                 const Tensor& t_B) {
  const Tensor mean = at_timesteps(process.sqrt_alphas_cumprod, t_B, x_start) * x_start;
  return gaussian(mean.to(x_start.scalar_type()), 1 - process.alphas_cumprod,
                  process.log_one_minus_alphas_cumprod, t_B);
}

Tensor q_sample(const DiffusionProcess& process, const Tensor& x_start, const Tensor& t_B,
                const Tensor& noise) {
  return combine(process.sqrt_alphas_cumprod, x_start, process.sqrt_one_minus_alphas_cumprod, noise,
                 t_B, "the noise");
}

DiagonalGaussian q_posterior(const DiffusionProcess& process, const Tensor& x_start,
                             const Tensor& x_t, const Tensor& t_B) {
  return gaussian(combine(process.posterior_mean_coef2, x_t, process.posterior_mean_coef1, x_start,
                          t_B, "the clean x"),
                  process.posterior_variance, process.posterior_log_variance_clipped, t_B);
}

Tensor get_v(const DiffusionProcess& process, const Tensor& x_start, const Tensor& noise,
             const Tensor& t_B) {
  return combine(-process.sqrt_one_minus_alphas_cumprod, x_start, process.sqrt_alphas_cumprod,
                 noise, t_B, "the noise");
}

Tensor predict_start_from_noise(const DiffusionProcess& process, const Tensor& x_t,
                                const Tensor& t_B, const Tensor& noise) {
  return combine(process.sqrt_recip_alphas_cumprod, x_t, -process.sqrt_recipm1_alphas_cumprod,
                 noise, t_B, "the predicted noise");
}

Tensor predict_start_from_v(const DiffusionProcess& process, const Tensor& x_t, const Tensor& t_B,
                            const Tensor& v) {
  return combine(process.sqrt_alphas_cumprod, x_t, -process.sqrt_one_minus_alphas_cumprod, v, t_B,
                 "the predicted v");
}

Tensor predict_noise_from_start(const DiffusionProcess& process, const Tensor& x_t,
                                const Tensor& t_B, const Tensor& x_start) {
  const Tensor recipm1 = 1 / process.sqrt_recipm1_alphas_cumprod;
  return combine(process.sqrt_recip_alphas_cumprod * recipm1, x_t, -recipm1, x_start, t_B,
                 "the predicted clean x");
}

Tensor predict_noise_from_v(const DiffusionProcess& process, const Tensor& x_t, const Tensor& t_B,
                            const Tensor& v) {
  return combine(process.sqrt_one_minus_alphas_cumprod, x_t, process.sqrt_alphas_cumprod, v, t_B,
                 "the predicted v");
}

Tensor training_target(const DiffusionProcess& process, const Tensor& x_start, const Tensor& noise,
                       const Tensor& t_B) {
  check_same_shape(noise, x_start, "the noise");
  switch (process.parameterization) {
    case Parameterization::Eps:
      return noise;
    case Parameterization::V:
      return get_v(process, x_start, noise, t_B);
    case Parameterization::X0:
      return x_start;
  }
  fail("parameterization {} is none of eps, v, x0", static_cast<int>(process.parameterization));
}

Tensor predict_start(const DiffusionProcess& process, const Tensor& x_t, const Tensor& t_B,
                     const Tensor& network_output) {
  switch (process.parameterization) {
    case Parameterization::Eps:
      return predict_start_from_noise(process, x_t, t_B, network_output);
    case Parameterization::V:
      return predict_start_from_v(process, x_t, t_B, network_output);
    case Parameterization::X0:
      check_same_shape(network_output, x_t, "the predicted clean x");
      return network_output.to(x_t.scalar_type());
  }
  fail("parameterization {} is none of eps, v, x0", static_cast<int>(process.parameterization));
}

Tensor apply_network(const Network& network, const Tensor& x_t, const Tensor& t_B,
                     const Conditioning& conditioning) {
  const Tensor output = network(x_t, t_B.to(x_t.device(), at::kFloat), conditioning);
  check_same_shape(output, x_t, "the network's output");
  return output.to(working_type(output));
}

ReverseStep p_mean_variance(const DiffusionProcess& process, const Network& network,
                            const Tensor& x_t, const Tensor& t_B, const Conditioning& conditioning,
                            bool clip_denoised) {
  Tensor x_start = predict_start(process, x_t, t_B, apply_network(network, x_t, t_B, conditioning));
  if (clip_denoised) x_start = x_start.clamp(-1, 1);
  return {q_posterior(process, x_start, x_t, t_B), x_start};
}

Tensor p_sample(const DiffusionProcess& process, const Network& network, const Tensor& x_t,
                const Tensor& t_B, const Conditioning& conditioning, const Tensor& noise,
                bool clip_denoised) {
  const at::NoGradGuard no_grad;
  const ReverseStep step = p_mean_variance(process, network, x_t, t_B, conditioning, clip_denoised);
  return add_noise(step.x_previous, t_B, noise);
}

Tensor p_sample(const DiffusionProcess& process, const Network& network, const Tensor& x_t,
                const Tensor& t_B, const Conditioning& conditioning, NoiseSource& noise,
                bool clip_denoised) {
  return p_sample(process, network, x_t, t_B, conditioning, noise.draw(x_t.sizes()), clip_denoised);
}

Tensor p_sample_loop(const DiffusionProcess& process, const Network& network, Tensor x_T,
                     const Conditioning& conditioning, NoiseSource& noise, bool clip_denoised,
                     const ReverseCallback& callback) {
  const at::NoGradGuard no_grad;
  Tensor x = std::move(x_T);
  for (int64_t t = process.timesteps() - 1; t >= 0; --t) {
    const Tensor t_B = at::full({x.size(0)}, t, at::kLong);
    const ReverseStep step = p_mean_variance(process, network, x, t_B, conditioning, clip_denoised);
    if (t > 0) {
      x = add_noise(step.x_previous, t_B, noise.draw(x.sizes()));
    } else {
      noise.discard(x.sizes());
      x = step.x_previous.mean;
    }
    if (callback) callback({.t = t, .x = x, .x_start = step.x_start});
  }
  return x;
}

}  // namespace easel
