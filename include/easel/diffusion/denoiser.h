// From a network that predicts eps, v or x0 at a timestep to a function that estimates the clean
// latents at a noise level, with classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598).
#pragma once

#include <functional>
#include <string_view>

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

// The estimate of the clean latents, given x = x0 + sigma * noise. Float32 in, float32 out.
using Denoiser = std::function<Tensor(const Tensor& x_BCHW, double sigma)>;

// What the network predicts: CompVis's `parameterization`. With x_t = sqrt(abar) x0 + sqrt(1-abar)
// eps, v = sqrt(abar) eps - sqrt(1-abar) x0 (Salimans and Ho 2022, arXiv 2202.00512).
enum class Parameterization { Eps, V, X0 };

// "eps", "v", "x0" (CompVis), "epsilon", "v_prediction", "sample" (diffusers). Throws Error
// (Usage).
Parameterization parameterization_from_name(std::string_view name);

struct Guidance {
  double scale = 7.5;          // exactly 1: the unconditional half is not evaluated
  Conditioning conditional;    // may be empty: an unconditional model, evaluated once a call
  Conditioning unconditional;  // may be empty when scale is 1, else the same parts as `conditional`
};

// One batch [unconditional, conditional] a call; guided = u + scale * (c - u), as CompVis computes
// it, in float32 and on the network's own output. The network sees x / sqrt(1 + sigma^2) at
// schedule.t(sigma). The schedule is copied. Throws Error (Usage) on a scale that is not finite.
Denoiser make_denoiser(Network network, const NoiseSchedule& schedule,
                       Parameterization parameterization, Guidance guidance);

}  // namespace easel
