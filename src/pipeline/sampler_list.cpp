// The tables of samplers and schedules as text.
#include <array>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <easel/base/fields.h>
#include <easel/diffusion/sampler.h>
#include <easel/pipeline/sampler_names.h>
#include <easel/pipeline/settings.h>

namespace easel {
namespace {

std::string order_text(const SamplerInfo& sampler) {
  if (!sampler.accepts(kTakesOrder)) return fmt::format("{}", sampler.order);
  return fmt::format("{}-{}", sampler.min_order, sampler.order);
}

std::string evaluations_text(const SamplerInfo& sampler) {
  return sampler.evaluations == 0 ? "any" : fmt::format("{}", sampler.evaluations);
}

// The options that a sampler takes, as the command line spells them.
std::string options_text(const SamplerInfo& sampler) {
  constexpr std::array<std::pair<uint32_t, std::string_view>, 7> kOptions = {{
      {kTakesEta, "eta"},
      {kTakesClipDenoised, "clip-denoised"},
      {kTakesChurn, "s-churn, s-tmin, s-tmax"},
      {kTakesSNoise, "s-noise"},
      {kTakesOrder, "sampler-order"},
      {kTakesSolver, "solver"},
      {kTakesTolerance, "rtol, atol"},
  }};
  std::string text;
  for (const auto& [option, name] : kOptions) {
    if (!sampler.accepts(option)) continue;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
    if (option == kTakesEta) text += fmt::format(" ({})", sampler.default_eta);
    if (option == kTakesSolver) {
      text += fmt::format(" ({})", fmt::join(split_list(sampler.solvers), ", "));
    }
  }
  return text;
}

std::string spaced(std::string_view list) {
  return fmt::format("{}", fmt::join(split_list(list), ", "));
}

}  // namespace

std::vector<std::string_view> sampler_names() {
  std::vector<std::string_view> names;
  for (const SamplerInfo& sampler : samplers()) names.push_back(sampler.name);
  return names;
}

std::vector<std::string_view> schedule_names() {
  std::vector<std::string_view> names;
  for (const SpacingInfo& spacing : spacings()) names.push_back(spacing.name);
  return names;
}

std::string sampler_table() {
  std::string text =
      "Samplers. order: of convergence; evals: of the network, a step; noise: whether fresh noise "
      "is "
      "drawn;\nsteps: recommended.\n\n";
  text += fmt::format("  {:<22}{:<7}{:<7}{:<7}{:<7}{:<13}{}\n", "name", "order", "evals", "noise",
                      "steps", "schedule", "paper");
  for (const SamplerInfo& sampler : samplers()) {
    text += fmt::format("  {:<22}{:<7}{:<7}{:<7}{:<7}{:<13}{}\n", sampler.name, order_text(sampler),
                        evaluations_text(sampler), sampler.stochastic ? "yes" : "no",
                        sampler.recommended_steps, sampler.default_spacing, sampler.paper);
    if (!sampler.aliases.empty()) text += fmt::format("      also: {}\n", spaced(sampler.aliases));
    if (sampler.takes != 0) text += fmt::format("      takes: {}\n", options_text(sampler));
    if (sampler.min_steps > 1) {
      text += fmt::format("      needs {} steps or more\n", sampler.min_steps);
    }
  }
  text +=
      "\nSchedules. A sampler's name may be followed by one of these: \"DPM++ 2M Karras\", "
      "euler_a_beta.\n";
  for (const SpacingInfo& spacing : spacings()) {
    text += fmt::format("  {:<24}{}\n", spacing.name, spacing.description);
    if (!spacing.aliases.empty()) text += fmt::format("      also: {}\n", spaced(spacing.aliases));
  }
  text +=
      "  Or noise levels by hand: 14.6,7.2,2.5,0, or timesteps: t:999,666,333.\n"
      "\nLetter case, '-', '_' and spaces do not matter in names, and '+' is 'p'.\n";
  return text;
}

}  // namespace easel
