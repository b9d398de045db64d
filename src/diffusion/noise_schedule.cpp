#include "easel/diffusion/noise_schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string_view>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr int64_t kMaxTimesteps = 1'000'000;

double grid_sigma(const NoiseSchedule& schedule, size_t i) {
  const double abar = schedule.alphas_cumprod[i];
  return std::sqrt((1 - abar) / abar);
}

double log_alpha_from_sigma(double sigma) { return -0.5 * std::log1p(sigma * sigma); }

double sigma_from_log_alpha(double log_alpha) { return std::sqrt(std::expm1(-2 * log_alpha)); }

// The quantity that is linear between timesteps, and its inverse.
double to_linear(Interpolation interpolation, double sigma) {
  return interpolation == Interpolation::LogSigma ? std::log(sigma) : log_alpha_from_sigma(sigma);
}

double from_linear(Interpolation interpolation, double value) {
  return interpolation == Interpolation::LogSigma ? std::exp(value) : sigma_from_log_alpha(value);
}

// `count` evenly spaced values with both ends exact; one value is `first`.
std::vector<double> linspace(double first, double last, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count), first);
  const double step = count > 1 ? (last - first) / static_cast<double>(count - 1) : 0;
  for (int64_t i = 1; i < count; ++i) {
    values[static_cast<size_t>(i)] = i < count / 2
                                         ? first + step * static_cast<double>(i)
                                         : last - step * static_cast<double>(count - 1 - i);
  }
  return values;
}

using Betas = std::vector<double> (*)(const ScheduleConfig&);

std::vector<double> linear_betas(const ScheduleConfig& c) {
  auto betas = linspace(std::sqrt(c.linear_start), std::sqrt(c.linear_end), c.timesteps);
  for (double& beta : betas) beta *= beta;
  return betas;
}

std::vector<double> cosine_betas(const ScheduleConfig& c) {
  const auto unscaled = [&](int64_t i) {
    const double time = static_cast<double>(i) / static_cast<double>(c.timesteps) + c.cosine_s;
    const double cosine = std::cos(time / (1 + c.cosine_s) * std::numbers::pi / 2);
    return cosine * cosine;
  };
  std::vector<double> betas;
  for (int64_t i = 0; i < c.timesteps; ++i) {
    betas.push_back(std::clamp(1 - unscaled(i + 1) / unscaled(i), 0.0, 0.999));
  }
  return betas;
}

std::vector<double> sqrt_linear_betas(const ScheduleConfig& c) {
  return linspace(c.linear_start, c.linear_end, c.timesteps);
}

std::vector<double> sqrt_betas(const ScheduleConfig& c) {
  auto betas = sqrt_linear_betas(c);
  for (double& beta : betas) beta = std::sqrt(beta);
  return betas;
}

// sqrt(abar) is moved down to 0 at the last timestep and stretched to stay what it was at the
// first.
void rescale_to_zero_terminal_snr(std::vector<double>& alphas_cumprod) {
  if (alphas_cumprod.size() < 2) {
    fail_usage("zero_terminal_snr moves the last timestep, not the first: it needs 2 timesteps");
  }
  const double first = std::sqrt(alphas_cumprod.front());
  const double last = std::sqrt(alphas_cumprod.back());
  for (double& abar : alphas_cumprod) {
    const double root = (std::sqrt(abar) - last) * (first / (first - last));
    abar = root * root;
  }
  const double before_last = alphas_cumprod[alphas_cumprod.size() - 2];
  if (!(before_last > kZeroTerminalAbar)) {
    fail_usage(
        "with zero_terminal_snr the timestep before the last has abar {}, not above {}, which "
        "stands for 0; use fewer timesteps",
        before_last, kZeroTerminalAbar);
  }
  alphas_cumprod.back() = kZeroTerminalAbar;
}

constexpr std::array<std::string_view, 4> kNames = {"linear", "cosine", "sqrt_linear", "sqrt"};
constexpr std::array<Betas, 4> kBetas = {linear_betas, cosine_betas, sqrt_linear_betas, sqrt_betas};

}  // namespace

double NoiseSchedule::sigma(double t) const {
  const double last = static_cast<double>(timesteps() - 1);
  const double clamped = std::clamp(t, 0.0, last);
  const double whole = std::floor(clamped);
  const auto low = static_cast<size_t>(whole);
  const double fraction = clamped - whole;
  if (fraction == 0) return grid_sigma(*this, low);
  const double value = (1 - fraction) * to_linear(interpolation, grid_sigma(*this, low)) +
                       fraction * to_linear(interpolation, grid_sigma(*this, low + 1));
  return from_linear(interpolation, value);
}

double NoiseSchedule::t(double sigma) const {
  if (!(sigma > sigma_min())) return 0;
  const size_t last = alphas_cumprod.size() - 1;
  if (sigma >= grid_sigma(*this, last)) return static_cast<double>(last);
  // The greatest grid point that is not above sigma.
  size_t low = 0;
  size_t high = last;
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    (grid_sigma(*this, middle) <= sigma ? low : high) = middle;
  }
  const double at_low = to_linear(interpolation, grid_sigma(*this, low));
  const double at_high = to_linear(interpolation, grid_sigma(*this, high));
  const double fraction = (to_linear(interpolation, sigma) - at_low) / (at_high - at_low);
  return static_cast<double>(low) + std::clamp(fraction, 0.0, 1.0);
}

double NoiseSchedule::alpha_cumprod(double sigma) { return 1 / (1 + sigma * sigma); }

NoiseSchedule make_noise_schedule(const ScheduleConfig& config) {
  const auto found = std::find(kNames.begin(), kNames.end(), config.beta_schedule);
  if (found == kNames.end()) {
    throw Error(unknown_name("beta_schedule", config.beta_schedule, kNames), ErrorKind::Usage);
  }
  if (config.timesteps < 1 || config.timesteps > kMaxTimesteps) {
    fail_usage("timesteps is {}; it must be 1 to {}", config.timesteps, kMaxTimesteps);
  }
  if (*found == "cosine") {
    if (!(config.cosine_s > -1 && std::isfinite(config.cosine_s))) {
      fail_usage("cosine_s is {}; it must be a number above -1, usually 0.008", config.cosine_s);
    }
  } else {
    for (const double beta : {config.linear_start, config.linear_end}) {
      if (!(beta > 0 && beta < 1)) {
        fail_usage("linear_start and linear_end are {} and {}; both must be above 0 and below 1",
                   config.linear_start, config.linear_end);
      }
    }
  }

  NoiseSchedule schedule;
  double abar = 1;
  for (const double beta : kBetas[static_cast<size_t>(found - kNames.begin())](config)) {
    const double before = abar;
    abar *= 1 - beta;
    if (!(abar > 0 && abar < before)) {
      fail_usage(
          "the noise schedule '{}' over {} timesteps does not fall strictly from 1 to above 0 (at "
          "timestep {} it goes from {} to {}); check timesteps, linear_start, linear_end and "
          "cosine_s",
          config.beta_schedule, config.timesteps, schedule.timesteps(), before, abar);
    }
    schedule.alphas_cumprod.push_back(abar);
  }
  if (config.zero_terminal_snr) rescale_to_zero_terminal_snr(schedule.alphas_cumprod);
  return schedule;
}

}  // namespace easel
