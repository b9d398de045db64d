#include "level_list.h"

#include <charconv>
#include <cmath>
#include <string>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr std::string_view kTimestepsPrefix = "t:";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::vector<double> read_numbers(std::string_view text) {
  std::vector<double> numbers;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view word = trimmed(text.substr(0, comma));
    double number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) {
      fail_usage(
          "the schedule's value {} is '{}', which is no number; a schedule by hand is numbers "
          "between commas, as 14.6,7.2,2.5,0 or t:999,666,333",
          numbers.size() + 1, word);
    }
    numbers.push_back(number);
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

void check_levels(const std::vector<double>& levels, std::string_view what) {
  for (size_t i = 0; i < levels.size(); ++i) {
    if (!std::isfinite(levels[i]) || levels[i] < 0) {
      fail_usage("the schedule's value {} is {}; a {} is a number from 0 up", i + 1, levels[i],
                 what);
    }
    if (i > 0 && levels[i] >= levels[i - 1]) {
      fail_usage("the schedule goes from {} to {} at value {}; its values must fall, noisy first",
                 levels[i - 1], levels[i], i + 1);
    }
  }
}

}  // namespace

bool is_level_list(std::string_view schedule) {
  const std::string_view text = trimmed(schedule);
  return text.starts_with(kTimestepsPrefix) || text.find(',') != std::string_view::npos ||
         (!text.empty() &&
          std::string_view("0123456789.+-").find(text.front()) != std::string_view::npos);
}

SigmaPlan plan_from_sigmas(std::vector<double> sigmas, const NoiseSchedule& noise_schedule) {
  check_levels(sigmas, "sigma");
  // Published lists round the greatest level up: 14.615 for 14.61464.
  constexpr double kRounding = 1e-3;
  if (!sigmas.empty() && sigmas.front() > noise_schedule.sigma_max() * (1 + kRounding)) {
    fail_usage("the schedule starts at sigma {}; this model's greatest is {}", sigmas.front(),
               noise_schedule.sigma_max());
  }
  if (sigmas.empty() || sigmas.front() == 0) {
    fail_usage("the schedule has no sigma above 0; it needs one at least");
  }
  if (sigmas.back() > 0) sigmas.push_back(0);
  SigmaPlan plan;
  plan.initial_scale = sigmas.front();
  plan.sigmas = std::move(sigmas);
  return plan;
}

SigmaPlan plan_from_timesteps(std::vector<double> timesteps, const NoiseSchedule& noise_schedule) {
  check_levels(timesteps, "timestep");
  if (timesteps.empty()) fail_usage("the schedule has no timestep; it needs one at least");
  if (timesteps.front() > static_cast<double>(noise_schedule.timesteps() - 1)) {
    fail_usage("the schedule starts at timestep {}; this model's last is {}", timesteps.front(),
               noise_schedule.timesteps() - 1);
  }
  NoiseSchedule schedule = noise_schedule;
  schedule.interpolation = SigmaPlan{}.interpolation;
  for (double& level : timesteps) level = schedule.sigma(level);
  return plan_from_sigmas(std::move(timesteps), schedule);
}

SigmaPlan plan_from_list(std::string_view schedule, const NoiseSchedule& noise_schedule) {
  const std::string_view text = trimmed(schedule);
  if (text.starts_with(kTimestepsPrefix)) {
    return plan_from_timesteps(read_numbers(text.substr(kTimestepsPrefix.size())), noise_schedule);
  }
  return plan_from_sigmas(read_numbers(text), noise_schedule);
}

}  // namespace easel
