// The sinusoidal embedding of diffusion timesteps (Vaswani et al. 2017; CompVis's order).
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops {

// t_B: timesteps, whole or not. Returns [B, dim] float32: cos(t f_i) for i in [0, dim/2), then the
// sines, f_i = exp(-ln(10000) i / (dim/2)); an odd dim ends with a zero.
Tensor timestep_embedding(const Tensor& t_B, int64_t dim);

}  // namespace easel::ops
