#include <array>

#include "dpm_solver_samplers.h"
#include "easel/diffusion/sampler.h"
#include "step.h"

namespace easel {
namespace {

constexpr std::string_view kKarras2022 = "Karras et al. 2022, arXiv 2206.00364";
constexpr std::string_view kDpmSolver = "Lu et al. 2022, arXiv 2206.00927";
constexpr std::string_view kCfgPp = "Chung et al. 2024, arXiv 2406.08070; ComfyUI (scales 0 to 2)";
constexpr std::string_view kDpmSolverPp = "Lu et al. 2022, arXiv 2211.01095";

constexpr SamplerInfo kDdim = {.name = "ddim",
                               .aliases = "k_ddim,ddim_compvis,DDIMScheduler",
                               .run = sample_ddim,
                               .default_spacing = "compvis",
                               .takes = kTakesEta,
                               .paper = "Song et al. 2021, arXiv 2010.02502",
                               .recommended_steps = 50};

constexpr SamplerInfo kPlms = {.name = "plms",
                               .aliases = "pndm,PNDMScheduler",
                               .run = sample_plms,
                               .default_spacing = "compvis",
                               .paper = "Liu et al. 2022, arXiv 2202.09778",
                               .order = 4,
                               .recommended_steps = 50};

constexpr SamplerInfo kDpmSolverMultistep = {.name = "dpm_solver",
                                             .aliases = "dpm_solver++",
                                             .run = sample_dpm_solver,
                                             .default_spacing = "dpm_solver",
                                             .min_steps = 2,
                                             .paper = kDpmSolverPp,
                                             .order = 2};

constexpr SamplerInfo kDdpm = {.name = "ddpm",
                               .aliases = "DDPMScheduler",
                               .run = sample_ddpm,
                               .default_spacing = "ddpm",
                               .default_eta = 1,
                               .takes = kTakesClipDenoised,
                               .stochastic = true,
                               .paper = "Ho et al. 2020, arXiv 2006.11239",
                               .recommended_steps = 1000};

constexpr SamplerInfo kEuler = {.name = "euler",
                                .aliases = "k_euler,sample_euler,EulerDiscreteScheduler",
                                .run = sample_euler,
                                .default_spacing = "default",
                                .takes = kTakesChurn | kTakesSNoise,
                                .paper = kKarras2022,
                                .recommended_steps = 30};

constexpr SamplerInfo kEulerA = {.name = "euler_a",
                                 .aliases =
                                     "euler_ancestral,k_euler_a,k_euler_ancestral,sample_euler_"
                                     "ancestral,EulerAncestralDiscreteScheduler",
                                 .run = sample_euler_ancestral,
                                 .default_spacing = "default",
                                 .default_eta = 1,
                                 .takes = kTakesEta | kTakesSNoise,
                                 .stochastic = true,
                                 .paper = "Karras et al. 2022, arXiv 2206.00364; k-diffusion",
                                 .recommended_steps = 30};

constexpr SamplerInfo kHeun = {.name = "heun",
                               .aliases = "k_heun,sample_heun,HeunDiscreteScheduler",
                               .run = sample_heun,
                               .default_spacing = "default",
                               .takes = kTakesChurn | kTakesSNoise,
                               .paper = kKarras2022,
                               .order = 2,
                               .evaluations = 2};

constexpr SamplerInfo kDpm2 = {.name = "dpm_2",
                               .aliases = "dpm2,k_dpm_2,sample_dpm_2,KDPM2DiscreteScheduler",
                               .run = sample_dpm_2,
                               .default_spacing = "default",
                               .takes = kTakesChurn | kTakesSNoise,
                               .paper = "Karras et al. 2022, arXiv 2206.00364; k-diffusion",
                               .order = 2,
                               .evaluations = 2,
                               .discards_penultimate = true};

constexpr SamplerInfo kDpm2A = {
    .name = "dpm_2_a",
    .aliases =
        "dpm_2_ancestral,dpm2_a,dpm2_ancestral,k_dpm_2_a,k_dpm_2_ancestral,sample_dpm_2_ancestral,"
        "KDPM2AncestralDiscreteScheduler",
    .run = sample_dpm_2_ancestral,
    .default_spacing = "default",
    .default_eta = 1,
    .takes = kTakesEta | kTakesSNoise,
    .stochastic = true,
    .paper = "Karras et al. 2022, arXiv 2206.00364; k-diffusion",
    .order = 2,
    .evaluations = 2,
    .discards_penultimate = true};

constexpr SamplerInfo kLms = {.name = "lms",
                              .aliases = "k_lms,sample_lms,LMSDiscreteScheduler",
                              .run = sample_lms,
                              .default_spacing = "default",
                              .takes = kTakesOrder,
                              .paper = "Adams-Bashforth, uneven steps; k-diffusion",
                              .order = 4,
                              .recommended_steps = 30};

constexpr SamplerInfo kDpmFast = {.name = "dpm_fast",
                                  .aliases = "k_dpm_fast,sample_dpm_fast",
                                  .run = sample_dpm_fast,
                                  .default_spacing = "default",
                                  .takes = kTakesEta | kTakesSNoise,
                                  .min_steps = 2,
                                  .paper = kDpmSolver,
                                  .order = 3,
                                  .recommended_steps = 30,
                                  .levels = Levels::Between};

constexpr SamplerInfo kDpmAdaptive = {
    .name = "dpm_adaptive",
    .aliases = "dpm_ad,k_dpm_ad,k_dpm_adaptive,sample_dpm_adaptive",
    .run = sample_dpm_adaptive,
    .default_spacing = "default",
    .takes = kTakesOrder | kTakesTolerance,
    .min_steps = 2,
    .paper = kDpmSolver,
    .order = 3,
    .min_order = 2,
    .evaluations = 0,
    .levels = Levels::Between};

constexpr SamplerInfo kDpmpp2sA = {
    .name = "dpmpp_2s_a",
    .aliases =
        "dpmpp_2s_ancestral,k_dpmpp_2s_a,k_dpmpp_2s_ancestral,dpmpp2s_a,sample_dpmpp_2s_ancestral",
    .run = sample_dpmpp_2s_ancestral,
    .default_spacing = "default",
    .default_eta = 1,
    .takes = kTakesEta | kTakesSNoise,
    .stochastic = true,
    .paper = kDpmSolverPp,
    .order = 2,
    .evaluations = 2};

constexpr SamplerInfo kDpmppSde = {
    .name = "dpmpp_sde",
    .aliases = "k_dpmpp_sde,dpmpp_sde_gpu,sample_dpmpp_sde,DPMSolverSDEScheduler",
    .run = sample_dpmpp_sde,
    .default_spacing = "default",
    .default_eta = 1,
    .takes = kTakesEta | kTakesSNoise,
    .stochastic = true,
    .paper = "Lu et al. 2022, arXiv 2211.01095; k-diffusion",
    .order = 2,
    .evaluations = 2};

constexpr SamplerInfo kDpmpp2m = {
    .name = "dpmpp_2m",
    .aliases = "k_dpmpp_2m,dpm_2m++,dpm_multistep,sample_dpmpp_2m,DPMSolverMultistepScheduler",
    .run = sample_dpmpp_2m,
    .default_spacing = "default",
    .paper = kDpmSolverPp,
    .order = 2};

constexpr SamplerInfo kDpmpp2mSde = {
    .name = "dpmpp_2m_sde",
    .aliases = "k_dpmpp_2m_sde,dpmpp_2m_sde_gpu,dpmpp_2m_sde_midpoint,sample_dpmpp_2m_sde",
    .run = sample_dpmpp_2m_sde,
    .default_spacing = "default",
    .default_eta = 1,
    .takes = kTakesEta | kTakesSNoise | kTakesSolver,
    .stochastic = true,
    .paper = "Lu et al. 2022, arXiv 2211.01095; k-diffusion",
    .order = 2,
    .recommended_steps = 30,
    .solvers = "midpoint,heun"};

constexpr SamplerInfo kDpmpp2mSdeHeun = {.name = "dpmpp_2m_sde_heun",
                                         .aliases = "k_dpmpp_2m_sde_heun,dpmpp_2m_sde_heun_gpu",
                                         .run = sample_dpmpp_2m_sde_heun,
                                         .default_spacing = "default",
                                         .default_eta = 1,
                                         .takes = kTakesEta | kTakesSNoise,
                                         .stochastic = true,
                                         .paper = "Lu et al. 2022, arXiv 2211.01095; k-diffusion",
                                         .order = 2,
                                         .recommended_steps = 30};

// Its third order swells where steps lengthen, as the default levels' last ones do: A1111 too runs
// it on exponential levels.
constexpr SamplerInfo kDpmpp3mSde = {
    .name = "dpmpp_3m_sde",
    .aliases = "k_dpmpp_3m_sde,dpmpp_3m_sde_gpu,sample_dpmpp_3m_sde",
    .run = sample_dpmpp_3m_sde,
    .default_spacing = "exponential",
    .default_eta = 1,
    .takes = kTakesEta | kTakesSNoise,
    .stochastic = true,
    .paper = "Lu et al. 2022, arXiv 2211.01095; k-diffusion",
    .order = 3,
    .recommended_steps = 30};

using dpm::Algorithm;
using Method = DpmSolverMethod;

// Lu et al.'s solver in all its forms, along any levels; "dpm_solver" is the one that CompVis
// calls.
template <Algorithm kAlgorithm, Method kMethod>
constexpr SamplerInfo dpm_solver_row(std::string_view name, std::string_view aliases) {
  constexpr bool kAdaptive = kMethod == Method::Adaptive;
  return {.name = name,
          .aliases = aliases,
          .run = sample_dpm_solver_as<kAlgorithm, kMethod>,
          .default_spacing = "dpm_solver",
          .takes = kTakesOrder | kTakesSolver | (kAdaptive ? kTakesTolerance : 0),
          .min_steps = 2,
          .paper = kAlgorithm == Algorithm::Noise ? kDpmSolver : kDpmSolverPp,
          .order = 3,
          .min_order = kAdaptive ? 2 : 1,
          .evaluations = kAdaptive ? 0 : 1,
          .solvers = "dpmsolver,taylor",
          .levels = kAdaptive ? Levels::Between : Levels::Each};
}

constexpr auto kDpmSolverSinglestep = dpm_solver_row<Algorithm::Noise, Method::Singlestep>(
    "dpm_solver_singlestep", "dpmsolver_singlestep");
constexpr auto kDpmSolverMulti = dpm_solver_row<Algorithm::Noise, Method::Multistep>(
    "dpm_solver_multistep", "dpmsolver_multistep");
constexpr auto kDpmSolverAdaptive =
    dpm_solver_row<Algorithm::Noise, Method::Adaptive>("dpm_solver_adaptive", "dpmsolver_adaptive");
constexpr auto kDpmppSinglestep = dpm_solver_row<Algorithm::Data, Method::Singlestep>(
    "dpmpp_singlestep",
    "dpm_solver++_singlestep,dpmsolver++_singlestep,dpmpp_2s,DPMSolverSinglestepScheduler");
constexpr auto kDpmppMultistep = dpm_solver_row<Algorithm::Data, Method::Multistep>(
    "dpmpp_multistep", "dpm_solver++_multistep,dpmsolver++_multistep");
constexpr auto kDpmppAdaptive = dpm_solver_row<Algorithm::Data, Method::Adaptive>(
    "dpmpp_adaptive", "dpm_solver++_adaptive,dpmsolver++_adaptive");

// The authors', A1111's and ComfyUI's: bh1 of order 3.
constexpr SamplerInfo kUnipc = {.name = "unipc",
                                .aliases = "uni_pc,k_uni_pc",
                                .run = sample_unipc,
                                .default_spacing = "default",
                                .takes = kTakesOrder | kTakesSolver,
                                .min_steps = 2,
                                .paper = "Zhao et al. 2023, arXiv 2302.04867",
                                .order = 3,
                                .solvers = "bh1,bh2"};

// diffusers': bh2 of order 2.
constexpr SamplerInfo kUnipcBh2 = {.name = "unipc_bh2",
                                   .aliases = "uni_pc_bh2,UniPCMultistepScheduler",
                                   .run = sample_unipc_bh2,
                                   .default_spacing = "default",
                                   .takes = kTakesOrder,
                                   .min_steps = 2,
                                   .paper = "Zhao et al. 2023, arXiv 2302.04867",
                                   .order = 3};

constexpr SamplerInfo kDeis = {.name = "deis",
                               .aliases = "k_deis,DEISMultistepScheduler",
                               .run = sample_deis,
                               .default_spacing = "default",
                               .takes = kTakesOrder,
                               .min_steps = 2,
                               .paper = "Zhang and Chen 2023, arXiv 2204.13902",
                               .order = 4};

constexpr SamplerInfo kIpndm = {.name = "ipndm",
                                .aliases = "k_ipndm,IPNDMScheduler",
                                .run = sample_ipndm,
                                .default_spacing = "default",
                                .takes = kTakesOrder,
                                .min_steps = 2,
                                .paper = "Zhang and Chen 2023, arXiv 2204.13902",
                                .order = 4,
                                .recommended_steps = 30};

constexpr SamplerInfo kRestart = {.name = "restart",
                                  .aliases = "restart_sampler",
                                  .run = sample_restart,
                                  .default_spacing = "karras",
                                  .takes = kTakesSNoise,
                                  .stochastic = true,
                                  .paper = "Xu et al. 2023, arXiv 2306.14878; A1111",
                                  .order = 2,
                                  .evaluations = 2,
                                  .recommended_steps = 36,
                                  .levels = Levels::Between};

constexpr SamplerInfo kLcm = {.name = "lcm",
                              .aliases = "k_lcm,LCMScheduler",
                              .run = sample_lcm,
                              .default_spacing = "lcm",
                              .takes = kTakesSNoise,
                              .stochastic = true,
                              .paper = "Luo et al. 2023, arXiv 2310.04378 (for LCM models)",
                              .recommended_steps = 4};

constexpr SamplerInfo kTcd = {.name = "tcd",
                              .aliases = "k_tcd,TCDScheduler",
                              .run = sample_tcd,
                              .default_spacing = "tcd",
                              .default_eta = 0.3,
                              .takes = kTakesEta | kTakesSNoise,
                              .stochastic = true,
                              .paper = "Zheng et al. 2024, arXiv 2402.19159 (for TCD models)",
                              .recommended_steps = 4};

constexpr SamplerInfo kEulerCfgPp = {.name = "euler_cfg_pp",
                                     .aliases = "k_euler_cfg_pp,sample_euler_cfg_pp",
                                     .run = sample_euler_cfg_pp,
                                     .default_spacing = "default",
                                     .paper = kCfgPp,
                                     .recommended_steps = 30,
                                     .uses_unconditional = true};

constexpr SamplerInfo kEulerACfgPp = {
    .name = "euler_a_cfg_pp",
    .aliases = "euler_ancestral_cfg_pp,k_euler_a_cfg_pp,sample_euler_ancestral_cfg_pp",
    .run = sample_euler_ancestral_cfg_pp,
    .default_spacing = "default",
    .default_eta = 1,
    .takes = kTakesEta | kTakesSNoise,
    .stochastic = true,
    .paper = kCfgPp,
    .recommended_steps = 30,
    .uses_unconditional = true};

constexpr SamplerInfo kDpmpp2mCfgPp = {.name = "dpmpp_2m_cfg_pp",
                                       .aliases = "k_dpmpp_2m_cfg_pp,sample_dpmpp_2m_cfg_pp",
                                       .run = sample_dpmpp_2m_cfg_pp,
                                       .default_spacing = "default",
                                       .paper = kCfgPp,
                                       .order = 2,
                                       .uses_unconditional = true};

constexpr auto kSamplers = std::to_array<SamplerInfo>({
    kDdim,
    kPlms,
    kDpmSolverMultistep,
    kDdpm,
    kEuler,
    kEulerA,
    kHeun,
    kDpm2,
    kDpm2A,
    kLms,
    kDpmFast,
    kDpmAdaptive,
    kDpmpp2sA,
    kDpmppSde,
    kDpmpp2m,
    kDpmpp2mSde,
    kDpmpp2mSdeHeun,
    kDpmpp3mSde,
    kDpmSolverSinglestep,
    kDpmSolverMulti,
    kDpmSolverAdaptive,
    kDpmppSinglestep,
    kDpmppMultistep,
    kDpmppAdaptive,
    kUnipc,
    kUnipcBh2,
    kDeis,
    kIpndm,
    kRestart,
    kLcm,
    kTcd,
    kEulerCfgPp,
    kEulerACfgPp,
    kDpmpp2mCfgPp,
});

}  // namespace

std::span<const SamplerInfo> samplers() { return kSamplers; }

}  // namespace easel
