// The forward process q and the reverse process p of a diffusion model at whole timesteps, under
// the names of Ho et al. 2020 (arXiv 2006.11239) and of CompVis's DDPM class.
//
//   q(x_t | x_0)          = N(sqrt(abar_t) x_0, 1 - abar_t)
//   q(x_t-1 | x_t, x_0)   = q_posterior
//   p(x_t-1 | x_t)        = q_posterior with the network's estimate in place of x_0
//
// Tensors are [B, ...] of any floating-point type and on any device; the results have the type and
// the device of the tensor x_... that is given. Timesteps t_B are int64, one for each row, in [0,
// timesteps); t = 0 is the first step of noise. They are best kept on the CPU: from a GPU they are
// fetched, which waits for it. A variance is [B, 1, ...], as many dimensions as x. Gradients flow
// through all functions but p_sample and p_sample_loop. Wrong shapes, types and timesteps throw
// Error.
#pragma once

#include <cstdint>
#include <functional>

#include <easel/base/tensor.h>
#include <easel/diffusion/denoiser.h>
#include <easel/diffusion/noise.h>
#include <easel/diffusion/noise_schedule.h>

namespace easel {

// Coefficients for each timestep under CompVis's names: [timesteps], float64, on the CPU. Made by
// make_diffusion_process; const use from several threads is safe.
struct DiffusionProcess {
  Parameterization parameterization;  // what the network predicts
  Tensor betas;
  Tensor alphas_cumprod;
  Tensor alphas_cumprod_prev;  // shifted by one: 1 at t = 0
  Tensor sqrt_alphas_cumprod;
  Tensor sqrt_one_minus_alphas_cumprod;
  Tensor log_one_minus_alphas_cumprod;
  Tensor sqrt_recip_alphas_cumprod;
  Tensor sqrt_recipm1_alphas_cumprod;
  Tensor posterior_variance;
  Tensor posterior_log_variance_clipped;  // the variance is at least 1e-20 here: it is 0 at t = 0
  Tensor posterior_mean_coef1;            // of x_0
  Tensor posterior_mean_coef2;            // of x_t
  // Weights of the per-example loss in the variational bound; the first equals the second, where
  // eps' own would be infinite. For x0 CompVis divides by 2 - abar; for v they are 1 (Stability).
  Tensor lvlb_weights;

  int64_t timesteps() const { return betas.size(0); }
};

struct DiffusionProcessOptions {
  Parameterization parameterization = Parameterization::Eps;
  // The reverse variance: (1 - v_posterior) * beta_tilde + v_posterior * beta, 0 to 1.
  double v_posterior = 0;
};

// Throws Error (Usage) where v_posterior is out of range or the schedule has fewer than two
// timesteps: the bound's first weight is that of the second.
DiffusionProcess make_diffusion_process(const NoiseSchedule& schedule,
                                        const DiffusionProcessOptions& options = {});

struct DiagonalGaussian {
  Tensor mean;
  Tensor variance;
  Tensor log_variance;
};

// q(x_t | x_0).
DiagonalGaussian q_mean_variance(const DiffusionProcess& process, const Tensor& x_start,
                                 const Tensor& t_B);
// A sample of it: sqrt(abar) x_0 + sqrt(1 - abar) noise.
Tensor q_sample(const DiffusionProcess& process, const Tensor& x_start, const Tensor& t_B,
                const Tensor& noise);
// q(x_t-1 | x_t, x_0), with the clipped log variance.
DiagonalGaussian q_posterior(const DiffusionProcess& process, const Tensor& x_start,
                             const Tensor& x_t, const Tensor& t_B);

// sqrt(abar) noise - sqrt(1 - abar) x_0 (Salimans and Ho 2022, arXiv 2202.00512).
Tensor get_v(const DiffusionProcess& process, const Tensor& x_start, const Tensor& noise,
             const Tensor& t_B);
// x_0 from x_t and one of the three predictions, and the noise from x_t and x_0 or v.
Tensor predict_start_from_noise(const DiffusionProcess& process, const Tensor& x_t,
                                const Tensor& t_B, const Tensor& noise);
Tensor predict_start_from_v(const DiffusionProcess& process, const Tensor& x_t, const Tensor& t_B,
                            const Tensor& v);
Tensor predict_noise_from_start(const DiffusionProcess& process, const Tensor& x_t,
                                const Tensor& t_B, const Tensor& x_start);
Tensor predict_noise_from_v(const DiffusionProcess& process, const Tensor& x_t, const Tensor& t_B,
                            const Tensor& v);

// What the network is asked for, by process.parameterization: the noise, v or x_0.
Tensor training_target(const DiffusionProcess& process, const Tensor& x_start, const Tensor& noise,
                       const Tensor& t_B);
// The inverse: x_0 from what the network gave.
Tensor predict_start(const DiffusionProcess& process, const Tensor& x_t, const Tensor& t_B,
                     const Tensor& network_output);
// The network's output for x_t, in float32 at least. Throws Error where its shape is not x_t's.
Tensor apply_network(const Network& network, const Tensor& x_t, const Tensor& t_B,
                     const Conditioning& conditioning);

struct ReverseStep {
  DiagonalGaussian x_previous;  // p(x_t-1 | x_t)
  Tensor x_start;               // the estimate of x_0, clamped if asked for
};

// `clip_denoised` clamps the estimate of x_0 to [-1, 1]: for models of pixels, not of latents.
ReverseStep p_mean_variance(const DiffusionProcess& process, const Network& network,
                            const Tensor& x_t, const Tensor& t_B, const Conditioning& conditioning,
                            bool clip_denoised);

// A sample of p(x_t-1 | x_t) with this noise of x_t's shape; the mean where t = 0. Without
// gradient.
Tensor p_sample(const DiffusionProcess& process, const Network& network, const Tensor& x_t,
                const Tensor& t_B, const Conditioning& conditioning, const Tensor& noise,
                bool clip_denoised = false);
// The same, with the next noise of the source.
Tensor p_sample(const DiffusionProcess& process, const Network& network, const Tensor& x_t,
                const Tensor& t_B, const Conditioning& conditioning, NoiseSource& noise,
                bool clip_denoised = false);

struct ReverseProgress {
  int64_t t;              // the timestep just done: timesteps-1 down to 0
  const Tensor& x;        // x_t-1
  const Tensor& x_start;  // the estimate of x_0 it was made with
};
// May throw to end the run.
using ReverseCallback = std::function<void(const ReverseProgress&)>;

// All timesteps, from x_T (noise of unit variance) to x_0. Noise is drawn in CompVis's order. The
// callback may be empty. Without gradient.
Tensor p_sample_loop(const DiffusionProcess& process, const Network& network, Tensor x_T,
                     const Conditioning& conditioning, NoiseSource& noise,
                     bool clip_denoised = false, const ReverseCallback& callback = {});

}  // namespace easel
