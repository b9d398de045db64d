// DPM-Solver-12 and DPM-Solver-23 (Lu et al. 2022, arXiv 2206.00927, appendix C), with the step
// size control of Jolicoeur-Martineau et al. 2021, arXiv 2105.14080.
#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

#include "dpm_solver_options.h"

namespace easel::dpm {
namespace {

constexpr double kFirstStep = 0.05;      // in lambda
constexpr double kSafety = 0.9;          // share of the step that the error allows
constexpr double kTimeTolerance = 1e-5;  // this close to the end is the end
constexpr double kSmallestStep = 1e-9;   // in lambda; below it no tolerance can be met

Level level_at(const VpSchedule& schedule, double lambda) {
  return {lambda, std::exp(-lambda), schedule.inverse_lambda(lambda)};
}

// The error of the worst row in units of what is allowed.
double error_share(const Tensor& lower, const Tensor& higher, const Tensor& previous,
                   const DpmSolverOptions& options) {
  const Tensor allowed =
      at::maximum(lower.abs(), previous.abs()).mul(options.rtol).clamp_min(options.atol);
  return ((higher - lower) / allowed).flatten(1).square().mean(1).sqrt().max().item<double>();
}

}  // namespace

AdaptiveRun run_adaptive(const Predict& predict, const VpSchedule& schedule, Tensor x_BCHW, Level s,
                         const Level& end, const Settings& settings,
                         const DpmSolverOptions& options,
                         const std::function<void(const Tensor& x_BCHW, const Level&)>& report) {
  const std::vector<double> inner =
      options.order == 2 ? std::vector<double>{0.5} : std::vector<double>{1.0 / 3, 2.0 / 3};
  AdaptiveRun run{std::move(x_BCHW)};
  // Errors are measured on the variance-preserving x.
  Tensor previous = run.x_BCHW * alpha_at(s);
  double h = std::min(kFirstStep, end.lambda - s.lambda);
  while (std::abs(s.t - end.t) > kTimeTolerance) {
    if (!(h > kSmallestStep)) {
      fail(
          "adaptive DPM-Solver cannot meet atol {} and rtol {} at t = {}: its step has shrunk to "
          "{}; allow a greater error, or run in float64",
          options.atol, options.rtol, s.t, h);
    }
    std::vector<Level> levels = {s};
    for (const double share : inner) levels.push_back(level_at(schedule, s.lambda + share * h));
    levels.push_back(level_at(schedule, s.lambda + h));
    const Level& t = levels.back();
    const auto values = singlestep_values(predict, settings.algorithm, run.x_BCHW, levels);
    const auto update = [&](std::span<const Value> known) {
      return singlestep_update(settings.algorithm, settings.form, run.x_BCHW, known, t);
    };
    Tensor higher = update(values);
    const Tensor lower = update(std::span(values).first(values.size() - 1)) * alpha_at(t);
    const double share = error_share(lower, higher * alpha_at(t), previous, options);
    if (!std::isfinite(share)) {
      fail("adaptive DPM-Solver met values that are not finite between t = {} and {}", s.t, t.t);
    }
    if (share <= 1) {
      run.x_BCHW = std::move(higher);
      previous = lower;
      s = t;
      ++run.accepted;
      report(run.x_BCHW, s);
    } else {
      ++run.rejected;
    }
    const double factor = kSafety * std::pow(share, -1 / static_cast<double>(options.order));
    h = std::min(factor * h, end.lambda - s.lambda);
  }
  return run;
}

}  // namespace easel::dpm
