// Choosing a row of the table, and what fits it.
#include <cmath>
#include <string>

#include <fmt/format.h>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"
#include "find_by_name.h"

namespace easel {
namespace {

// Which samplers take an option, for messages.
std::string takers(uint32_t option) {
  std::string names;
  for (const SamplerInfo& row : samplers()) {
    if (!row.accepts(option)) continue;
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

NamedSampler find_sampler_and_spacing(std::string_view name) {
  const std::string folded = fold_name(name);
  if (const SamplerInfo* sampler = find_folded(folded, samplers())) {
    return {*sampler, sampler->default_spacing};
  }
  for (size_t length = folded.size(); length-- > 1;) {
    const SamplerInfo* sampler = find_folded(folded.substr(0, length), samplers());
    const SpacingInfo* spacing = find_folded(folded.substr(length), spacings());
    if (sampler != nullptr && spacing != nullptr) return {*sampler, spacing->name};
  }
  return {find_by_name("sampler", name, samplers()), {}};  // throws
}

const SamplerInfo& find_sampler(std::string_view name) {
  return find_sampler_and_spacing(name).sampler;
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
