#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"
#include "find_by_name.h"
#include "step.h"

namespace easel {
namespace {

constexpr std::string_view kKarras2022 = "Karras et al. 2022, arXiv 2206.00364";
constexpr std::string_view kDpmSolver = "Lu et al. 2022, arXiv 2206.00927";
constexpr std::string_view kDpmSolverPp = "Lu et al. 2022, arXiv 2211.01095";

// A row under another name and with another spacing.
constexpr SamplerInfo variant(SamplerInfo row, std::string_view name, std::string_view aliases,
                              std::string_view spacing) {
  row.name = name;
  row.aliases = aliases;
  row.default_spacing = spacing;
  return row;
}

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
    variant(kEuler, "euler_karras", "k_euler_karras,euler_k", "karras"),
    variant(kEulerA, "euler_a_karras", "euler_ancestral_karras,k_euler_a_karras", "karras"),
    variant(kHeun, "heun_karras", "k_heun_karras", "karras"),
    variant(kDpm2, "dpm_2_karras", "dpm2_karras,k_dpm_2_karras,k_dpm_2_ka", "karras"),
    variant(kDpm2A, "dpm_2_a_karras",
            "dpm2_a_karras,dpm_2_ancestral_karras,k_dpm_2_a_karras,k_dpm_2_a_ka", "karras"),
    variant(kLms, "lms_karras", "k_lms_karras,k_lms_ka", "karras"),
    variant(kDpmpp2sA, "dpmpp_2s_a_karras",
            "dpmpp_2s_ancestral_karras,k_dpmpp_2s_a_karras,k_dpmpp_2s_a_ka", "karras"),
    variant(kDpmppSde, "dpmpp_sde_karras", "k_dpmpp_sde_karras,k_dpmpp_sde_ka", "karras"),
    variant(kDpmpp2m, "dpmpp_2m_karras", "k_dpmpp_2m_karras,dpmpp_2m_k,k_dpmpp_2m_ka", "karras"),
    variant(kDpmpp2mSde, "dpmpp_2m_sde_karras", "k_dpmpp_2m_sde_karras,k_dpmpp_2m_sde_ka",
            "karras"),
    variant(kDpmpp2mSde, "dpmpp_2m_sde_exponential", "k_dpmpp_2m_sde_exp", "exponential"),
    variant(kDpmpp2mSdeHeun, "dpmpp_2m_sde_heun_karras", "k_dpmpp_2m_sde_heun_ka", "karras"),
    variant(kDpmpp2mSdeHeun, "dpmpp_2m_sde_heun_exponential", "k_dpmpp_2m_sde_heun_exp",
            "exponential"),
    variant(kDpmpp3mSde, "dpmpp_3m_sde_karras", "k_dpmpp_3m_sde_karras,k_dpmpp_3m_sde_ka",
            "karras"),
    variant(kDpmpp3mSde, "dpmpp_3m_sde_exponential", "k_dpmpp_3m_sde_exp", "exponential"),
});

// Which samplers take an option, for messages: those that are not another's variant.
std::string takers(uint32_t option) {
  std::string names;
  std::vector<Sampler> seen;
  for (const SamplerInfo& row : kSamplers) {
    if (!row.accepts(option) || std::find(seen.begin(), seen.end(), row.run) != seen.end())
      continue;
    seen.push_back(row.run);
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

void refuse(const SamplerInfo& sampler, std::string_view name, const std::string& value,
            uint32_t option) {
  fail_usage("{} is {}, but the sampler '{}' has none; leave it out, or take one of: {}", name,
             value, sampler.name, takers(option));
}

// `usual`: the value that stands for not being given.
void check_number(const SamplerInfo& sampler, std::string_view name, double value, double usual,
                  bool in_range, std::string_view range, uint32_t option) {
  if (!in_range) fail_usage("{} is {}; it must be {}", name, value, range);
  if (!sampler.accepts(option) && value != usual) {
    refuse(sampler, name, fmt::format("{}", value), option);
  }
}

bool lists(std::string_view names, std::string_view wanted) {
  while (!names.empty()) {
    const size_t comma = names.find(',');
    if (names.substr(0, comma) == wanted) return true;
    names = comma == std::string_view::npos ? "" : names.substr(comma + 1);
  }
  return false;
}

}  // namespace

std::span<const SamplerInfo> samplers() { return kSamplers; }

const SamplerInfo& find_sampler(std::string_view name) {
  return find_by_name("sampler", name, samplers());
}

SigmaPlan make_plan(const SamplerInfo& sampler, const SpacingInfo& spacing,
                    const NoiseSchedule& schedule, int64_t steps) {
  if (!sampler.discards_penultimate || steps < 1) return spacing.plan(schedule, steps);
  if (steps >= schedule.timesteps()) {
    fail_usage("the number of steps is {}; the sampler '{}' takes up to {} of this model", steps,
               sampler.name, schedule.timesteps() - 1);
  }
  SigmaPlan plan = spacing.plan(schedule, steps + 1);
  if (plan.sigmas.back() > 0) return spacing.plan(schedule, steps);
  plan.sigmas.erase(plan.sigmas.end() - 2);
  return plan;
}

void check_sampler_options(const SamplerInfo& sampler, const SamplerOptions& options,
                           int64_t steps) {
  const SamplerOptions usual;
  const double eta = options.eta;
  if (!(eta >= 0 && eta <= 1)) fail_usage("eta is {}; it must be 0 to 1", eta);
  if (!sampler.uses_eta() && eta != 0 && eta != sampler.default_eta) {
    refuse(sampler, "eta", fmt::format("{}", eta), kTakesEta);
  }
  if (options.clip_denoised && !sampler.accepts(kTakesClipDenoised)) {
    fail_usage("the sampler '{}' does not clip its estimate; leave clip_denoised out, or take {}",
               sampler.name, takers(kTakesClipDenoised));
  }
  const auto number = [&](std::string_view name, double value, double usual_value, bool in_range,
                          std::string_view range, uint32_t option) {
    check_number(sampler, name, value, usual_value, in_range, range, option);
  };
  const auto positive = [](double value) { return value > 0 && std::isfinite(value); };
  number("s_churn", options.s_churn, usual.s_churn,
         options.s_churn >= 0 && std::isfinite(options.s_churn), "0 or more", kTakesChurn);
  number("s_tmin", options.s_tmin, usual.s_tmin,
         options.s_tmin >= 0 && std::isfinite(options.s_tmin), "0 or more", kTakesChurn);
  number("s_tmax", options.s_tmax, usual.s_tmax, options.s_tmax >= options.s_tmin, "s_tmin or more",
         kTakesChurn);
  number("s_noise", options.s_noise, usual.s_noise, positive(options.s_noise), "above 0",
         kTakesSNoise);
  number("rtol", options.rtol, usual.rtol, positive(options.rtol), "above 0", kTakesTolerance);
  number("atol", options.atol, usual.atol, positive(options.atol), "above 0", kTakesTolerance);
  if (options.order != 0) {
    if (!sampler.accepts(kTakesOrder)) {
      refuse(sampler, "order", fmt::format("{}", options.order), kTakesOrder);
    }
    if (options.order < sampler.min_order || options.order > sampler.order) {
      fail_usage("order is {}; the sampler '{}' has orders {} to {}", options.order, sampler.name,
                 sampler.min_order, sampler.order);
    }
  }
  if (!options.solver.empty()) {
    const std::string solver(options.solver);
    if (!sampler.accepts(kTakesSolver)) refuse(sampler, "solver", solver, kTakesSolver);
    if (!lists(sampler.solvers, options.solver)) {
      fail_usage("solver is '{}'; the sampler '{}' has: {}", solver, sampler.name, sampler.solvers);
    }
  }
  if (steps < sampler.min_steps) {
    fail_usage("the number of steps is {}; the sampler '{}' needs at least {}", steps, sampler.name,
               sampler.min_steps);
  }
}

}  // namespace easel
