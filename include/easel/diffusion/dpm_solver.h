// DPM-Solver and DPM-Solver++ whole: noise and data prediction, orders 1 to 3, singlestep,
// multistep and adaptive (Lu et al. 2022, arXiv 2206.00927 and 2211.01095). Reference program:
// LuChengTHU/dpm-solver, dpm_solver_pytorch.py.
//
// Variance-preserving: x_t = alpha(t) x0 + sigma(t) noise, t continuous in (0, T]. In terms of
// lambda = log(alpha / sigma) and of x / alpha the same formulas hold for the samplers' form
// x0 + noise * exp(-lambda); sample_dpm_solver_along is that.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/diffusion/sampler.h>

namespace easel {

enum class VpScheduleKind { Discrete, Linear, Cosine };

// The reference program's NoiseScheduleVP, in double. Plain data, made by the functions below;
// const use from several threads is safe.
struct VpSchedule {
  VpScheduleKind kind = VpScheduleKind::Linear;
  // Discrete: log alpha at t = (i + 1) / count, linear in between, continued beyond both ends.
  std::vector<double> log_alphas;
  double beta_0 = 0.1;      // linear: log alpha = -(beta_1 - beta_0) t^2 / 4 - beta_0 t / 2
  double beta_1 = 20;       //
  double cosine_s = 0.008;  // cosine: alpha = cos((t + s) / (1 + s) pi / 2) / its value at t = 0

  double marginal_log_mean_coeff(double t) const;  // log alpha
  double marginal_alpha(double t) const;
  double marginal_std(double t) const;     // sigma = sqrt(1 - alpha^2)
  double marginal_lambda(double t) const;  // log alpha - log sigma, falling in t
  double inverse_lambda(double lambda) const;
  double t_max() const;  // T: 1; 0.9946 for cosine, whose log alpha has no bound at 1
  double t_min() const;  // where runs end by default: 1 / count, 1e-3 for continuous schedules
  // What a network trained on integer timesteps sees for t: t * count - 1, as the reference program
  // has it for 1000 timesteps; continuous schedules give t itself.
  double network_time(double t) const;
};

// From abar, strictly falling in (0, 1), at least two. As in the reference program, levels with
// lambda below -5.1 at the noisy end are left out. Throws Error (Usage).
VpSchedule discrete_vp_schedule(std::span<const double> alphas_cumprod);
// 0 < beta_0 < beta_1. Throws Error (Usage).
VpSchedule linear_vp_schedule(double beta_0 = 0.1, double beta_1 = 20);
// s > 0. Throws Error (Usage).
VpSchedule cosine_vp_schedule(double s = 0.008);

// A prediction for variance-preserving x_BCHW at time t, of x_BCHW's shape and type.
using VpModel = std::function<Tensor(const Tensor& x_BCHW, double t)>;

// The noise (eps) that a solver needs, from a model that predicts eps, v or x0.
VpModel eps_model(VpModel model, const VpSchedule& schedule, Parameterization parameterization);
// The same from a Denoiser: x / alpha at level sigma / alpha.
VpModel eps_model(Denoiser denoiser, const VpSchedule& schedule);

struct DpmSolverOptions {
  std::string algorithm = "dpmsolver++";  // "dpmsolver": noise prediction, "dpmsolver++": data
  // multistep: one evaluation a step; singlestep: steps of up to `order` evaluations, lower orders
  // at the end, so that all are used; singlestep_fixed: steps / order steps of exactly `order`;
  // adaptive: orders (order - 1, order), steps chosen by atol and rtol, the number given unused.
  std::string method = "multistep";
  std::string skip_type = "time_uniform";  // time_uniform, time_quadratic, logSNR
  // "dpmsolver" or "taylor". Order 1 and the multistep order 3 have one form only.
  std::string solver_type = "dpmsolver";
  // 1 to 3; adaptive: 2 or 3. Multistep's order 3 is the reference program's, which takes half of
  // the second derivative and starts with a step of order 1: its error falls as the square of the
  // step.
  int64_t order = 2;
  // multistep: lower orders at the end of runs of fewer than `lower_order_final_below` steps (10 in
  // the reference program, 15 in the copy of it in CompVis's).
  bool lower_order_final = true;
  int64_t lower_order_final_below = 10;
  // One more evaluation at t_end, whose estimate of the clean x is the result.
  bool denoise_to_zero = false;
  // dpmsolver++ only (Saharia et al. 2022, arXiv 2205.11487): each row's estimate of the clean x is
  // clamped to its quantile of |x| and divided by it, where that is above thresholding_max. For
  // models of pixels.
  bool dynamic_thresholding = false;
  double thresholding_ratio = 0.995;  // 0 to 1
  double thresholding_max = 1;        // above 0
  double atol = 0.0078;               // adaptive: error allowed, absolute; the worst row counts
  double rtol = 0.05;                 // adaptive: error allowed, relative to |x|
  // In (0, T]; default T and t_min(). t_start below t_end runs backwards, from clean to noisy
  // (inversion); not adaptive.
  std::optional<double> t_start = {};
  std::optional<double> t_end = {};
};

struct DpmSolverStep {
  int64_t step;          // 1 ..; denoise_to_zero is a step
  int64_t steps;         // how many there will be; 0 where unknown (adaptive)
  double t;              // the time reached; 0 after denoise_to_zero
  const Tensor& x_BCHW;  // variance-preserving, at t
};
// May throw to cancel the run.
using DpmSolverCallback = std::function<void(const DpmSolverStep&)>;

struct DpmSolverResult {
  Tensor x_BCHW;
  int64_t evaluations = 0;  // of the model
  int64_t accepted = 0;     // steps taken; adaptive: rejected ones stand apart
  int64_t rejected = 0;
};

// Carries x_BCHW (variance-preserving, float32 or float64, which the run keeps) from t_start to
// t_end with `model` predicting eps. `steps` counts evaluations (without denoise_to_zero's).
// Throws Error: Usage where the options do not fit together, Runtime where the adaptive solver
// meets values that are not finite or cannot reach its tolerance.
DpmSolverResult run_dpm_solver(const VpModel& model, const VpSchedule& schedule, Tensor x_BCHW,
                               int64_t steps, const DpmSolverOptions& options,
                               const DpmSolverCallback& callback = {});

// The same along levels that a SigmaPlan gives, with a Denoiser alone: x = x0 + sigma * noise in,
// and out. Methods multistep and singlestep (whose inner evaluations stand on the levels in
// between); skip_type, t_start, t_end and denoise_to_zero are the plan's business. One evaluation
// and one callback for each level but the last. A step to level 0 is of order 1. Along the spacing
// "dpm_solver" it is run_dpm_solver with time_uniform.
Tensor sample_dpm_solver_along(const Denoiser& denoiser, Tensor x_BCHW,
                               std::span<const double> sigmas, const DpmSolverOptions& options,
                               const StepCallback& callback = {});

}  // namespace easel
