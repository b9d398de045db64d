// DPM-Solver's variants with the signature of the sampler table.
#pragma once

#include <utility>

#include "easel/diffusion/dpm_solver.h"

namespace easel {

enum class DpmSolverVariant { Noise1, Noise2M, Noise3M, Noise2S, Noise3S, Data3M, Data2S, Data3S };

DpmSolverOptions options_of(DpmSolverVariant variant);

template <DpmSolverVariant kVariant>
Tensor sample_dpm_solver_variant(const Denoiser& denoiser, Tensor x_BCHW,
                                 std::span<const double> sigmas, NoiseSource&,
                                 const SamplerOptions&, const StepCallback& callback) {
  return sample_dpm_solver_along(denoiser, std::move(x_BCHW), sigmas, options_of(kVariant),
                                 callback);
}

}  // namespace easel
