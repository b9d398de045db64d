// DPM-Solver's variants with the signature of the sampler table.
#pragma once

#include <utility>

#include "dpm_solver_update.h"
#include "easel/diffusion/dpm_solver.h"

namespace easel {

// Along the levels, or for method "adaptive" with steps of its own between the first and the last
// above 0. The options' order, solver and tolerances go before the variant's.
Tensor sample_dpm_solver_variant(DpmSolverOptions variant, const Denoiser& denoiser, Tensor x_BCHW,
                                 std::span<const double> sigmas, const SamplerOptions& options,
                                 const StepCallback& callback);

enum class DpmSolverMethod { Singlestep, Multistep, Adaptive };

template <dpm::Algorithm kAlgorithm, DpmSolverMethod kMethod>
Tensor sample_dpm_solver_as(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                            NoiseSource&, const SamplerOptions& options,
                            const StepCallback& callback) {
  constexpr bool kData = kAlgorithm == dpm::Algorithm::Data;
  constexpr const char* kName = kMethod == DpmSolverMethod::Singlestep  ? "singlestep"
                                : kMethod == DpmSolverMethod::Multistep ? "multistep"
                                                                        : "adaptive";
  return sample_dpm_solver_variant(
      {.algorithm = kData ? "dpmsolver++" : "dpmsolver", .method = kName}, denoiser,
      std::move(x_BCHW), sigmas, options, callback);
}

}  // namespace easel
