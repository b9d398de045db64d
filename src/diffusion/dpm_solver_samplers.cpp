#include "dpm_solver_samplers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

#include "dpm_solver_options.h"
#include "step.h"

namespace easel {
namespace {

using dpm::Algorithm;
using dpm::Level;
using dpm::Method;
using dpm::Value;

std::vector<Level> levels_of(std::span<const double> sigmas) {
  std::vector<Level> levels;
  for (const double sigma : sigmas) levels.push_back(dpm::level_of(sigma));
  return levels;
}

void check(const DpmSolverOptions& options, const dpm::Settings& settings,
           std::span<const double> sigmas) {
  if (settings.method != Method::Multistep && settings.method != Method::Singlestep) {
    fail_usage(
        "method {} chooses its own levels; along a list of levels take multistep or singlestep",
        options.method);
  }
  const DpmSolverOptions defaults;
  if (options.skip_type != defaults.skip_type || options.t_start || options.t_end ||
      options.denoise_to_zero) {
    fail_usage(
        "skip_type, t_start, t_end and denoise_to_zero choose levels; along a list of levels leave "
        "them out");
  }
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    if (!(sigmas[i] > 0 && sigmas[i + 1] <= sigmas[i] && sigmas[i + 1] >= 0)) {
      fail_usage(
          "the noise levels go from {} to {}; they must not rise, and only the last may be 0",
          sigmas[i], sigmas[i + 1]);
    }
  }
}

bool differ(std::span<const Level> levels) {
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    if (levels[i].sigma == levels[i + 1].sigma) return false;
  }
  return true;
}

}  // namespace

Tensor sample_dpm_solver_along(const Denoiser& denoiser, Tensor x_BCHW,
                               std::span<const double> sigmas, const DpmSolverOptions& options,
                               const StepCallback& callback) {
  const int64_t steps = num_steps(sigmas);
  // No steps leave x as it is, as in the other samplers.
  if (steps == 0) return x_BCHW;
  const dpm::Settings settings = dpm::resolve(options, steps);
  check(options, settings, sigmas);
  const auto levels = levels_of(sigmas);
  size_t evaluations = 0;
  const dpm::Predict predict = [&](const Tensor& x, const Level& level) {
    const Tensor raw_BCHW = denoiser(x, level.sigma);
    const Tensor denoised_BCHW = dpm::threshold(raw_BCHW, options);
    report_step(callback, sigmas, evaluations++, denoised_BCHW);
    if (settings.algorithm == Algorithm::Data) return denoised_BCHW;
    return (x - denoised_BCHW) / level.sigma;
  };
  Tensor x = std::move(x_BCHW);
  if (settings.method == Method::Multistep) {
    std::vector<Value> values;
    for (int64_t step = 1; step <= steps; ++step) {
      const Level& s = levels[static_cast<size_t>(step) - 1];
      values.push_back({s, predict(x, s)});
      if (values.size() > 3) values.erase(values.begin());
      const auto order = static_cast<size_t>(dpm::multistep_order(options, step, steps));
      x = dpm::multistep_update(settings.algorithm, settings.form, x, std::span(values).last(order),
                                levels[static_cast<size_t>(step)]);
    }
    return x;
  }
  // The higher orders have no step to level 0: it is a step of its own.
  const bool to_zero = sigmas.back() == 0;
  std::vector<int64_t> orders;
  if (steps > (to_zero ? 1 : 0)) {
    orders = dpm::singlestep_orders(steps - (to_zero ? 1 : 0), options.order);
  }
  if (to_zero) orders.push_back(1);
  size_t at = 0;
  for (const int64_t order : orders) {
    const auto group = std::span(levels).subspan(at, static_cast<size_t>(order) + 1);
    at += static_cast<size_t>(order);
    const size_t stride = differ(group) ? group.size() - 1 : 1;
    for (size_t i = 0; i + 1 < group.size(); i += stride) {
      const auto step = group.subspan(i, stride + 1);
      const auto values = dpm::singlestep_values(predict, settings.algorithm, x, step);
      x = dpm::singlestep_update(settings.algorithm, settings.form, x, values, step.back());
    }
  }
  return x;
}

Tensor sample_dpm_solver_variant(DpmSolverOptions variant, const Denoiser& denoiser, Tensor x_BCHW,
                                 std::span<const double> sigmas, const SamplerOptions& options,
                                 const StepCallback& callback) {
  const int64_t steps = num_steps(sigmas);
  if (options.order != 0) variant.order = options.order;
  if (!options.solver.empty()) variant.solver_type = std::string(options.solver);
  if (variant.method != "adaptive") {
    // What is left of a run may be shorter than the order.
    variant.order = std::clamp<int64_t>(steps, 1, variant.order);
    return sample_dpm_solver_along(denoiser, std::move(x_BCHW), sigmas, variant, callback);
  }
  variant.rtol = options.rtol;
  variant.atol = options.atol;
  const dpm::Settings settings = dpm::resolve(variant, steps);
  // The controller steps in lambda. It wants a time beside it to see the end coming: any will do.
  const VpSchedule clock = linear_vp_schedule();
  const auto with_time = [&](double sigma) {
    Level level = dpm::level_of(sigma);
    level.t = clock.inverse_lambda(level.lambda);
    return level;
  };
  const Level start = with_time(sigmas.front());
  const Level end = with_time(lowest_level(sigmas));
  if (!(end.lambda > start.lambda)) return x_BCHW;
  const RunOne run = [&](const Denoiser& of_picture, Tensor x_1CHW, const ShareCallback& report) {
    Tensor denoised_1CHW;
    const dpm::Predict predict = [&](const Tensor& x, const Level& level) {
      denoised_1CHW = of_picture(x, level.sigma);
      if (settings.algorithm == Algorithm::Data) return denoised_1CHW;
      return (x - denoised_1CHW) / level.sigma;
    };
    Level from = start;
    const auto stepped = [&](const Tensor&, const Level& to) {
      const double share = (to.lambda - start.lambda) / (end.lambda - start.lambda);
      report(share, std::exchange(from, to).sigma, denoised_1CHW);
    };
    return dpm::run_adaptive(predict, clock, std::move(x_1CHW), start, end, settings, variant,
                             stepped)
        .x_BCHW;
  };
  return run_one_by_one(run, denoiser, std::move(x_BCHW), steps, callback);
}

}  // namespace easel
