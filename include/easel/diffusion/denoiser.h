// From a network that predicts eps, v or x0 at a timestep to a function that estimates the clean
// latents at a noise level, with classifier-free guidance (Ho and Salimans 2022).
#pragma once

#include <functional>
#include <string_view>

#include <easel/base/tensor.h>
#include <easel/diffusion/noise_schedule.h>

namespace easel {

// What a network is conditioned on; undefined tensors are absent.
struct Conditioning {
  Tensor context_BTD;    // cross-attention ("crossattn")
  Tensor concat_BCHW;    // stacked on the latents' channels ("concat", "hybrid")
  Tensor class_label_B;  // int64 classes ("adm")
};

// Stacks two conditionings along the batch. Both must hold the same parts.
Conditioning concatenate(const Conditioning& first, const Conditioning& second);

// The network's raw prediction for scaled latents x_BCHW (unit variance) at timesteps t_B (float32).
using Network =
    std::function<Tensor(const Tensor& x_BCHW, const Tensor& t_B, const Conditioning& conditioning)>;

// The estimate of the clean latents, given x = x0 + sigma * noise.
using Denoiser = std::function<Tensor(const Tensor& x_BCHW, double sigma)>;

// What the network predicts: CompVis's `parameterization`.
enum class Parameterization { Eps, V, X0 };

// "eps", "v", "x0" (CompVis), "epsilon", "v_prediction", "sample" (diffusers). Throws Error (Usage).
Parameterization parameterization_from_name(std::string_view name);

struct Guidance {
  double scale = 7.5;          // 1: the unconditional half is not evaluated
  Conditioning conditional;
  Conditioning unconditional;  // may be empty when scale is 1
};

// One batch [unconditional, conditional] a call; guided = u + scale * (c - u), as CompVis computes it.
// The network sees x / sqrt(1 + sigma^2) at schedule.t(sigma). The schedule is copied.
Denoiser make_denoiser(Network network, const NoiseSchedule& schedule,
                       Parameterization parameterization, Guidance guidance);

}  // namespace easel
