// From a network that predicts eps, v or x0 at a timestep to a function that estimates the clean
// latents at a noise level, with classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598).
#pragma once

#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/diffusion/noise_schedule.h>

namespace easel {

// What a network is conditioned on; undefined tensors are absent. Each holds one row per picture.
struct Conditioning {
  Tensor context_BTD;    // cross-attention ("crossattn")
  Tensor concat_BCHW;    // stacked on the latents' channels ("concat", "hybrid")
  Tensor class_label_B;  // int64 classes ("adm")
};

// Stacks two conditionings along the batch. Both must hold the same parts, else it throws Error.
Conditioning concatenate(const Conditioning& first, const Conditioning& second);

// The network's raw prediction for scaled latents x_BCHW (unit variance) at timesteps t_B (float32,
// fractional between grid points), of x_BCHW's shape; any floating-point type.
using Network = std::function<Tensor(const Tensor& x_BCHW, const Tensor& t_B,
                                     const Conditioning& conditioning)>;

// Two estimates of the clean latents for one x.
struct Estimates {
  Tensor guided_BCHW;
  Tensor unconditional_BCHW;  // undefined where it was not asked for
};

// The estimate of the clean latents, given x = x0 + sigma * noise. Float32 in, float32 out. Any
// function of (x, sigma) is one; its unconditional estimate is its only one.
class Denoiser {
 public:
  using Evaluate =
      std::function<Estimates(const Tensor& x_BCHW, double sigma, bool wants_unconditional)>;

  explicit Denoiser(Evaluate evaluate) : evaluate_(std::move(evaluate)) {}
  template <class Function>
  requires std::is_invocable_r_v<Tensor, const Function&, const Tensor&, double> &&
      (!std::is_same_v<Function, Denoiser>)Denoiser(Function estimate)
      : evaluate_([estimate = std::move(estimate)](const Tensor& x_BCHW, double sigma, bool) {
          const Tensor clean_BCHW = estimate(x_BCHW, sigma);
          return Estimates{clean_BCHW, clean_BCHW};
        }) {}

  Tensor operator()(const Tensor& x_BCHW, double sigma) const {
    return evaluate_(x_BCHW, sigma, false).guided_BCHW;
  }
  // Both, for samplers that step along the unconditional estimate (CFG++).
  Estimates estimates(const Tensor& x_BCHW, double sigma) const {
    return evaluate_(x_BCHW, sigma, true);
  }

 private:
  Evaluate evaluate_;
};

// What the network predicts: CompVis's `parameterization`. With x_t = sqrt(abar) x0 + sqrt(1-abar)
// eps, v = sqrt(abar) eps - sqrt(1-abar) x0 (Salimans and Ho 2022, arXiv 2202.00512).
enum class Parameterization { Eps, V, X0 };

// "eps", "v", "x0" (CompVis), "epsilon", "v_prediction", "sample" (diffusers). Throws Error
// (Usage).
Parameterization parameterization_from_name(std::string_view name);

// A guidance scale for the evaluations at `sigma` and below, down to the next one's.
struct ScaleFrom {
  double sigma;
  double scale;
};

// A row of the conditional where a picture has several (AND in A1111's prompts).
struct ComposedRow {
  int64_t picture;
  double weight;
};

// What takes the place of Guidance's conditional and unconditional from an evaluation on.
struct ConditionsFrom {
  int64_t evaluation;  // of the denoiser, from 0
  Conditioning conditional;
  Conditioning unconditional;
};

struct Guidance {
  double scale = 7.5;          // exactly 1: the unconditional half is evaluated only if asked for
  Conditioning conditional;    // may be empty: an unconditional model, evaluated once a call
  Conditioning unconditional;  // may be empty when scale is 1, else the same parts as `conditional`

  // Phi of Lin et al. 2023 (arXiv 2305.08891, section 3.4), 0 to 1: how far the guided output is
  // brought back to the conditional one's standard deviation, picture by picture, on the network's
  // own output (diffusers' guidance_rescale).
  double rescale = 0;
  // Guidance acts where interval_low < sigma <= interval_high (Kynkaanniemi et al. 2024, arXiv
  // 2404.07724); elsewhere the conditional half alone is evaluated. A low end of 0 is no low end.
  double interval_low = 0;
  double interval_high = std::numeric_limits<double>::infinity();
  // Takes the place of `scale` where it is not empty; strictly falling sigmas. Above the first one
  // its scale holds too.
  std::vector<ScaleFrom> scales{};

  // Composition (Liu et al. 2022, arXiv 2206.01714): row k of `conditional` is one of picture
  // rows[k].picture's, and guided = u + scale * sum_k weight_k (c_k - u), at every scale and
  // outside the interval with scale 1. Empty: one row a picture, of weight 1.
  std::vector<ComposedRow> rows{};
  // Rising evaluations, each with the parts and rows that the two above have. A denoiser with any
  // counts its evaluations: it is for one run.
  std::vector<ConditionsFrom> changes{};
};

// One scale a step for a plan's levels, which are one more than the scales; a step's scale holds
// for every evaluation from its level down to above the next one. Where levels repeat, the later
// step's counts. Throws Error (Usage) where the numbers differ.
std::vector<ScaleFrom> per_step_scales(std::span<const double> scales,
                                       std::span<const double> sigmas);

// The level at which the fraction (0 to 1) of the timesteps is done, from the last one: for an
// interval given as a part of the run, as ComfyUI's start and end percent. 0 is infinity, 1 is 0.
// Throws Error (Usage) outside.
double sigma_at_fraction(const NoiseSchedule& schedule, double fraction);

// One batch [unconditional, conditional] a call, or [conditional] where the scale is exactly 1 or
// sigma lies outside the interval; guided = u + scale * (c - u), as CompVis computes it, in float32
// and on the network's own output. Outside the interval the unconditional estimate is the
// conditional one. The network sees x / sqrt(1 + sigma^2) at schedule.t(sigma). The
// schedule is copied. Throws Error (Usage) on a scale that is not finite and on other values out of
// range.
Denoiser make_denoiser(Network network, const NoiseSchedule& schedule,
                       Parameterization parameterization, Guidance guidance);

}  // namespace easel
