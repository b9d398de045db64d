// Restart (Xu et al. 2023, arXiv 2306.14878): Heun's steps, which near the end go back up with
// fresh noise and down again. Where and how often is what A1111's sampler of the name chooses.
#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include "spacing_functions.h"
#include "step.h"

namespace easel {
namespace {

constexpr double kRestartFrom = 0.1;  // the nearest levels to these two
constexpr double kRestartTo = 2;
constexpr int64_t kFewestSteps = 20;  // below it there is no restart
constexpr int64_t kStepsForTwo = 36;

size_t nearest(std::span<const double> levels, double wanted) {
  const auto closer = [&](double a, double b) {
    return std::abs(a - wanted) < std::abs(b - wanted);
  };
  return static_cast<size_t>(std::min_element(levels.begin(), levels.end(), closer) -
                             levels.begin());
}

// The levels of the run in order; where one lies above the one before it, the run restarts.
std::vector<double> path_of(std::span<const double> sigmas) {
  const std::vector<double> given(sigmas.begin(), sigmas.end());
  const int64_t steps = num_steps(sigmas);
  if (steps < kFewestSteps) return given;
  const int64_t times = steps >= kStepsForTwo ? 2 : 1;
  const int64_t length = times == 2 ? steps / 4 : 9;
  const bool to_zero = sigmas.back() == 0;
  const int64_t main_steps = steps - length * times;
  std::vector<double> path =
      spacing::karras_levels(lowest_level(sigmas), sigmas.front(), main_steps + (to_zero ? 0 : 1));
  if (to_zero) path.push_back(0);
  const size_t low = nearest(path, kRestartFrom);
  const size_t high = nearest(path, kRestartTo);
  if (high >= low || path[low] == 0) return given;  // the run starts too low to go back up
  const std::vector<double> again = spacing::karras_levels(path[low], path[high], length + 1);
  for (int64_t i = 0; i < times; ++i) {
    path.insert(path.begin() + static_cast<std::ptrdiff_t>(low) + 1, again.begin(), again.end());
  }
  return path;
}

}  // namespace

Tensor sample_restart(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                      NoiseSource& noise, const SamplerOptions& options,
                      const StepCallback& callback) {
  const std::vector<double> path = path_of(sigmas);
  const int64_t steps = num_steps(sigmas);
  int64_t step = 0;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    const double from = path[i];
    const double to = path[i + 1];
    if (to > from) {
      const double up = std::sqrt(to * to - from * from);
      x_BCHW = x_BCHW + fresh_noise(noise, x_BCHW, up * options.s_noise);
      continue;
    }
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    x_BCHW = heun_step(denoiser, x_BCHW, denoised_BCHW, from, to);
    if (callback) callback({++step, steps, from, denoised_BCHW});
  }
  return x_BCHW;
}

}  // namespace easel
