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

// A step from `from` to `to` that goes lower, to `down`, and adds noise of deviation `up`.
struct AncestralStep {
  double down;
  double up;
};
AncestralStep ancestral_step(double from, double to, double eta);

// Noise of deviation `scale` on x's device.
Tensor fresh_noise(NoiseSource& noise, const Tensor& x_BCHW, double scale);

// Adds churn for step i to x_BCHW; returns the level it then holds.
double churn(Tensor& x_BCHW, std::span<const double> sigmas, size_t i, NoiseSource& noise,
             const SamplerOptions& options);

// A step of Heun's method; to level 0 one of Euler's, as the slope is not defined there.
Tensor heun_step(const Denoiser& denoiser, const Tensor& x_BCHW, const Tensor& denoised_BCHW,
                 double from, double to);

// The order asked for, or the sampler's own.
inline size_t order_or(const SamplerOptions& options, size_t own) {
  return options.order == 0 ? own : static_cast<size_t>(options.order);
}

// Runs that choose their steps by the error would choose other ones in another batch. Here `run`
// carries one picture after the other, with a denoiser of it alone, and reports what share of its
// way it has come.
using ShareCallback = std::function<void(double share, double sigma, const Tensor& denoised_1CHW)>;
using RunOne =
    std::function<Tensor(const Denoiser& denoiser, Tensor x_1CHW, const ShareCallback& report)>;
Tensor run_one_by_one(const RunOne& run, const Denoiser& denoiser, Tensor x_BCHW, int64_t steps,
                      const StepCallback& callback);

// The lowest level above 0.
double lowest_level(std::span<const double> sigmas);

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
Tensor sample_dpm_2(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource& noise, const SamplerOptions& options,
                    const StepCallback& callback);
Tensor sample_dpm_2_ancestral(const Denoiser& denoiser, Tensor x_BCHW,
                              std::span<const double> sigmas, NoiseSource& noise,
                              const SamplerOptions& options, const StepCallback& callback);
Tensor sample_dpmpp_2s_ancestral(const Denoiser& denoiser, Tensor x_BCHW,
                                 std::span<const double> sigmas, NoiseSource& noise,
                                 const SamplerOptions& options, const StepCallback& callback);
Tensor sample_lms(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                  NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_dpmpp_sde(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                        NoiseSource& noise, const SamplerOptions& options,
                        const StepCallback& callback);
Tensor sample_dpmpp_2m_sde(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions& options,
                           const StepCallback& callback);
Tensor sample_dpmpp_2m_sde_heun(const Denoiser& denoiser, Tensor x_BCHW,
                                std::span<const double> sigmas, NoiseSource& noise,
                                const SamplerOptions& options, const StepCallback& callback);
Tensor sample_dpmpp_3m_sde(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions& options,
                           const StepCallback& callback);
Tensor sample_dpm_fast(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                       NoiseSource& noise, const SamplerOptions& options,
                       const StepCallback& callback);
Tensor sample_dpm_adaptive(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions& options,
                           const StepCallback& callback);
Tensor sample_unipc(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource& noise, const SamplerOptions& options,
                    const StepCallback& callback);
Tensor sample_unipc_bh2(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                        NoiseSource& noise, const SamplerOptions& options,
                        const StepCallback& callback);
Tensor sample_deis(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_ipndm(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource& noise, const SamplerOptions& options,
                    const StepCallback& callback);
Tensor sample_lcm(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                  NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_tcd(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                  NoiseSource& noise, const SamplerOptions& options, const StepCallback& callback);
Tensor sample_euler_cfg_pp(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                           NoiseSource& noise, const SamplerOptions& options,
                           const StepCallback& callback);
Tensor sample_euler_ancestral_cfg_pp(const Denoiser& denoiser, Tensor x_BCHW,
                                     std::span<const double> sigmas, NoiseSource& noise,
                                     const SamplerOptions& options, const StepCallback& callback);
Tensor sample_dpmpp_2m_cfg_pp(const Denoiser& denoiser, Tensor x_BCHW,
                              std::span<const double> sigmas, NoiseSource& noise,
                              const SamplerOptions& options, const StepCallback& callback);
Tensor sample_restart(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                      NoiseSource& noise, const SamplerOptions& options,
                      const StepCallback& callback);

}  // namespace easel
