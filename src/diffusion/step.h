// What the samplers' steps share. Samplers read sigmas[i] -> sigmas[i + 1].
#pragma once

#include <span>

#include "easel/diffusion/sampler.h"

namespace easel {

inline int64_t num_steps(std::span<const double> sigmas) {
  return sigmas.empty() ? 0 : static_cast<int64_t>(sigmas.size()) - 1;
}

// x carried from noise level `from` to `to` with its estimate of the clean latents held fixed: an
// Euler step, exact at to = 0.
Tensor euler_step(const Tensor& x_BCHW, const Tensor& denoised_BCHW, double from, double to);

// Calls `callback` where there is one, for 0-based step i.
void report_step(const StepCallback& callback, std::span<const double> sigmas, size_t i,
                 const Tensor& denoised_BCHW);

// One function per family; the table is in sampler_table.cpp.
Tensor sample_ddim(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_ddpm(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_euler(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource& noise, const SamplerOptions& options,
                    const StepCallback& callback);
Tensor sample_euler_ancestral(const Denoiser& denoiser, Tensor x_BCHW,
                              std::span<const double> sigmas, NoiseSource& noise,
                              const SamplerOptions& options, const StepCallback& callback);
Tensor sample_heun(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_plms(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_dpm_solver(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                         NoiseSource& noise, const SamplerOptions& options,
                         const StepCallback& callback);
Tensor sample_dpmpp_2m(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                       NoiseSource& noise, const SamplerOptions& options,
                       const StepCallback& callback);

}  // namespace easel
