#include <algorithm>
#include <array>
#include <cmath>

#include <easel/base/error.h>

#include "beta_quantile.h"
#include "spacing_functions.h"

namespace easel::spacing {
namespace {

// The plans of k-diffusion's users: `steps` levels, then 0; x starts as noise * sigma_0.
template <class Level>
SigmaPlan k_diffusion_plan(const NoiseSchedule& trained, int64_t steps, Level level) {
  check_steps(trained, steps);
  const NoiseSchedule schedule = with(trained, Interpolation::LogSigma);
  SigmaPlan plan;
  for (int64_t i = 0; i < steps; ++i) plan.sigmas.push_back(level(schedule, i));
  plan.sigmas.push_back(0);
  plan.initial_scale = plan.sigmas.front();
  return plan;
}

// The levels of a falling list of timesteps, then 0.
SigmaPlan timesteps_plan(const NoiseSchedule& trained, const std::vector<int64_t>& timesteps) {
  SigmaPlan plan;
  for (const int64_t t : timesteps) plan.sigmas.push_back(trained.sigma(static_cast<double>(t)));
  plan.sigmas.push_back(0);
  plan.initial_scale = plan.sigmas.front();
  return plan;
}

// Even in atan(sigma), from the model's greatest level to its smallest.
double kl_optimal_level(const NoiseSchedule& schedule, double share) {
  return std::tan(share * std::atan(schedule.sigma_min()) +
                  (1 - share) * std::atan(schedule.sigma_max()));
}

constexpr double kBetaShape = 0.6;  // both parameters (Lee et al. 2024)

// Sabour et al.'s ten steps for Stable Diffusion 1.5; A1111 rounds them.
using AlignedLevels = std::array<double, 11>;
constexpr AlignedLevels kAligned = {14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520,
                                    1.8841921177,  1.3943805092, 0.9642583904, 0.6523686016,
                                    0.3977456272,  0.1515232662, 0.0291671582};
constexpr AlignedLevels kAlignedRounded = {14.615, 6.475, 3.861, 2.697, 1.886, 1.396,
                                           0.963,  0.652, 0.399, 0.152, 0.029};

// Level i of `count` that run over the whole list, linear in log sigma between its entries.
double aligned_level(const AlignedLevels& levels, int64_t i, int64_t count) {
  const double place = ramp(i, count) * static_cast<double>(levels.size() - 1);
  const auto low = std::min(static_cast<size_t>(place), levels.size() - 2);
  const double fraction = place - static_cast<double>(low);
  return std::exp((1 - fraction) * std::log(levels[low]) + fraction * std::log(levels[low + 1]));
}

void check_aligned(const NoiseSchedule& trained) {
  const auto near = [](double a, double b) { return std::abs(a / b - 1) < 0.01; };
  if (near(trained.sigma_min(), kAligned.back()) && near(trained.sigma_max(), kAligned.front())) {
    return;
  }
  fail_usage(
      "Align Your Steps is a list for Stable Diffusion 1's noise, sigma {:.4g} to {:.4g}; this "
      "model's goes from {:.4g} to {:.4g}: take karras, or kl_optimal, which fits any model",
      kAligned.back(), kAligned.front(), trained.sigma_min(), trained.sigma_max());
}

}  // namespace

SigmaPlan uniform(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    return schedule.sigma((1 - ramp(i, steps)) * static_cast<double>(schedule.timesteps() - 1));
  });
}

SigmaPlan sgm_uniform(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    return schedule.sigma((1 - ramp(i, steps + 1)) * static_cast<double>(schedule.timesteps() - 1));
  });
}

SigmaPlan simple(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    const auto count = static_cast<double>(schedule.timesteps());
    return schedule.sigma(
        count - 1 - std::floor(static_cast<double>(i) * (count / static_cast<double>(steps))));
  });
}

std::vector<double> karras_levels(double low, double high, int64_t count) {
  constexpr double kRho = 7;
  const double first = std::pow(high, 1 / kRho);
  const double last = std::pow(low, 1 / kRho);
  std::vector<double> levels;
  for (int64_t i = 0; i < count; ++i) {
    levels.push_back(std::pow(first + ramp(i, count) * (last - first), kRho));
  }
  return levels;
}

// diffusers' LCMScheduler and TCDScheduler: evenly chosen ones of the 50 timesteps that such models
// are distilled on, or of as many as the steps where those are more.
SigmaPlan lcm(const NoiseSchedule& trained, int64_t steps) {
  check_steps(trained, steps);
  constexpr int64_t kDistilledOn = 50;
  const int64_t known = std::min(std::max(kDistilledOn, steps), trained.timesteps());
  const int64_t stride = trained.timesteps() / known;
  std::vector<int64_t> timesteps;
  for (int64_t i = 0; i < steps; ++i) timesteps.push_back((known - i * known / steps) * stride - 1);
  SigmaPlan plan = timesteps_plan(trained, timesteps);
  plan.initial_scale = unit_variance_scale(plan.sigmas.front());
  return plan;
}

// TCDScheduler's timesteps are LCM's; its last step ends at timestep 0 and not at noise 0.
SigmaPlan tcd(const NoiseSchedule& trained, int64_t steps) {
  SigmaPlan plan = lcm(trained, steps);
  plan.sigmas.back() = trained.sigma(0);
  plan.final_scale = std::sqrt(trained.alphas_cumprod.front());
  return plan;
}

SigmaPlan karras(const NoiseSchedule& trained, int64_t steps) {
  check_steps(trained, steps);
  SigmaPlan plan;
  plan.sigmas = karras_levels(trained.sigma_min(), trained.sigma_max(), steps);
  plan.sigmas.push_back(0);
  plan.initial_scale = plan.sigmas.front();
  return plan;
}

SigmaPlan exponential(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    const double first = std::log(schedule.sigma_max());
    const double last = std::log(schedule.sigma_min());
    return std::exp(first + ramp(i, steps) * (last - first));
  });
}

SigmaPlan ddim_uniform(const NoiseSchedule& trained, int64_t steps) {
  check_steps(trained, steps);
  const int64_t stride = trained.timesteps() / steps;
  std::vector<int64_t> timesteps;
  for (int64_t t = 1; t < trained.timesteps(); t += stride) timesteps.push_back(t);
  if (timesteps.empty()) timesteps.push_back(0);  // a model of a single timestep
  std::reverse(timesteps.begin(), timesteps.end());
  return timesteps_plan(trained, timesteps);
}

SigmaPlan beta(const NoiseSchedule& trained, int64_t steps) {
  check_steps(trained, steps);
  const auto last = static_cast<double>(trained.timesteps() - 1);
  std::vector<int64_t> timesteps;
  for (int64_t i = 0; i < steps; ++i) {
    const double share = 1 - static_cast<double>(i) / static_cast<double>(steps);
    const int64_t t = std::llrint(beta_quantile(share, kBetaShape, kBetaShape) * last);
    if (timesteps.empty() || t != timesteps.back()) timesteps.push_back(t);
  }
  return timesteps_plan(trained, timesteps);
}

SigmaPlan beta_a1111(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    const double share = beta_quantile(1 - ramp(i, steps), kBetaShape, kBetaShape);
    return schedule.sigma_min() + share * (schedule.sigma_max() - schedule.sigma_min());
  });
}

SigmaPlan kl_optimal(const NoiseSchedule& trained, int64_t steps) {
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
    return kl_optimal_level(schedule, ramp(i, steps));
  });
}

SigmaPlan kl_optimal_a1111(const NoiseSchedule& trained, int64_t steps) {
  SigmaPlan plan =
      k_diffusion_plan(trained, steps, [steps](const NoiseSchedule& schedule, int64_t i) {
        return kl_optimal_level(schedule, ramp(i, steps + 1));
      });
  plan.sigmas.back() = trained.sigma_min();
  return plan;
}

// The share of the noise that is gone grows linearly to 0.025 in the first half of the steps, then
// as the parabola that goes on from there with the same slope and ends at 1.
SigmaPlan linear_quadratic(const NoiseSchedule& trained, int64_t steps) {
  constexpr double kThreshold = 0.025;
  const int64_t num_linear = steps / 2;
  return k_diffusion_plan(trained, steps, [=](const NoiseSchedule& schedule, int64_t i) {
    if (i == 0) return schedule.sigma_max();
    const double slope = kThreshold / static_cast<double>(num_linear);
    const auto past = static_cast<double>(std::max<int64_t>(i - num_linear, 0));
    const auto num_quadratic = static_cast<double>(steps - num_linear);
    const double bend = (1 - slope * static_cast<double>(steps)) / (num_quadratic * num_quadratic);
    return schedule.sigma_max() * (1 - slope * static_cast<double>(i) - bend * past * past);
  });
}

SigmaPlan align_your_steps(const NoiseSchedule& trained, int64_t steps) {
  check_aligned(trained);
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule&, int64_t i) {
    return aligned_level(kAligned, i, steps + 1);
  });
}

SigmaPlan align_your_steps_a1111(const NoiseSchedule& trained, int64_t steps) {
  check_aligned(trained);
  return k_diffusion_plan(trained, steps, [steps](const NoiseSchedule&, int64_t i) {
    // numpy's linspace of one value is its first, and A1111 interpolates the reversed list.
    return steps == 1 ? kAlignedRounded.back() : aligned_level(kAlignedRounded, i, steps);
  });
}

}  // namespace easel::spacing
