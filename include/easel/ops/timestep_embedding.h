// The sinusoidal embedding of diffusion timesteps (Vaswani et al. 2017; CompVis's order).
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops {

// t_B: timesteps, whole or not. Returns [B, dim] float32: cos(t f_i) for i in [0, dim/2), then the
// sines, f_i = exp(-ln(10000) i / (dim/2)); an odd dim ends with a zero.
Tensor timestep_embedding(const Tensor& t_B, int64_t dim);

// What a guidance-distilled UNet takes for the guidance scale w_B (Luo et al. 2023, arXiv
// 2310.04378, as diffusers has it): [B, dim] float32, sin(1000 w g_i), then the cosines, g_i =
// exp(-ln(10000) i / (dim/2 - 1)); an odd dim ends with a zero. dim >= 4.
Tensor guidance_embedding(const Tensor& w_B, int64_t dim);

}  // namespace easel::ops
