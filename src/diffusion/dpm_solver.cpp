#include "easel/diffusion/dpm_solver.h"

#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

#include "dpm_solver_options.h"

namespace easel {
namespace {

using dpm::Algorithm;
using dpm::Level;
using dpm::Method;
using dpm::Skip;
using dpm::Value;

Level level_at_time(const VpSchedule& schedule, double t) {
  const double lambda = schedule.marginal_lambda(t);
  return {lambda, std::exp(-lambda), t};
}

// `count` steps from s to t, count + 1 levels.
std::vector<Level> levels_between(const VpSchedule& schedule, Skip skip, const Level& s,
                                  const Level& t, int64_t count) {
  std::vector<Level> levels = {s};
  for (int64_t i = 1; i < count; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count);
    const auto between = [share](double first, double last) {
      return first + share * (last - first);
    };
    if (skip == Skip::LogSnr) {
      const double lambda = between(s.lambda, t.lambda);
      levels.push_back({lambda, std::exp(-lambda), schedule.inverse_lambda(lambda)});
    } else if (skip == Skip::TimeUniform) {
      levels.push_back(level_at_time(schedule, between(s.t, t.t)));
    } else {
      const double root = between(std::sqrt(s.t), std::sqrt(t.t));
      levels.push_back(level_at_time(schedule, root * root));
    }
  }
  levels.push_back(t);
  return levels;
}

// The ends of a singlestep run's steps: every order-th of the evaluations' levels, but evenly
// spaced for logSNR, as in the paper.
std::vector<Level> outer_levels(const VpSchedule& schedule, const dpm::Settings& settings,
                                const Level& start, const Level& end, int64_t steps,
                                const std::vector<int64_t>& orders) {
  if (settings.skip == Skip::LogSnr || settings.method == Method::SinglestepFixed) {
    return levels_between(schedule, settings.skip, start, end, static_cast<int64_t>(orders.size()));
  }
  const auto all = levels_between(schedule, settings.skip, start, end, steps);
  std::vector<Level> outer = {all[0]};
  size_t at = 0;
  for (const int64_t order : orders) outer.push_back(all[at += static_cast<size_t>(order)]);
  return outer;
}

double end_or(const std::optional<double>& given, double otherwise, const VpSchedule& schedule,
              std::string_view name) {
  const double t = given.value_or(otherwise);
  const double lowest = schedule.kind == VpScheduleKind::Discrete ? schedule.t_min() : 0;
  if (!(t > 0 && t >= lowest && t <= schedule.t_max())) {
    fail_usage("{} is {}; it must be {} {} to {}", name, t, lowest > 0 ? "from" : "above", lowest,
               schedule.t_max());
  }
  return t;
}

}  // namespace

VpModel eps_model(VpModel model, const VpSchedule& schedule, Parameterization parameterization) {
  if (parameterization == Parameterization::Eps) return model;
  return [model = std::move(model), schedule, parameterization](const Tensor& x_BCHW, double t) {
    const double alpha = schedule.marginal_alpha(t);
    const double sigma = schedule.marginal_std(t);
    const Tensor output_BCHW = model(x_BCHW, t);
    if (parameterization == Parameterization::V) return alpha * output_BCHW + sigma * x_BCHW;
    return (x_BCHW - alpha * output_BCHW) / sigma;
  };
}

VpModel eps_model(Denoiser denoiser, const VpSchedule& schedule) {
  VpModel x0 = [denoiser = std::move(denoiser), schedule](const Tensor& x_BCHW, double t) {
    return denoiser(x_BCHW / schedule.marginal_alpha(t), std::exp(-schedule.marginal_lambda(t)));
  };
  return eps_model(std::move(x0), schedule, Parameterization::X0);
}

DpmSolverResult run_dpm_solver(const VpModel& model, const VpSchedule& schedule, Tensor x_BCHW,
                               int64_t steps, const DpmSolverOptions& options,
                               const DpmSolverCallback& callback) {
  const dpm::Settings settings = dpm::resolve(options, steps);
  if (!x_BCHW.defined() || x_BCHW.dim() < 2 ||
      (x_BCHW.scalar_type() != at::kFloat && x_BCHW.scalar_type() != at::kDouble)) {
    fail("DPM-Solver's x must be a float32 or float64 tensor of rows, with two dimensions or more");
  }
  const double t_start = end_or(options.t_start, schedule.t_max(), schedule, "t_start");
  const double t_end = end_or(options.t_end, schedule.t_min(), schedule, "t_end");
  const bool adaptive = settings.method == Method::Adaptive;
  if (t_start == t_end || (adaptive && t_start < t_end)) {
    fail_usage(
        "t_start and t_end are {} and {}; they must differ{}", t_start, t_end,
        adaptive ? ", and the adaptive solver only runs from the greater to the smaller" : "");
  }
  const Level start = level_at_time(schedule, t_start);
  const Level end = level_at_time(schedule, t_end);

  DpmSolverResult result;
  const auto noise = [&](const Tensor& x, const Level& level) {
    ++result.evaluations;
    Tensor eps = model(x * dpm::alpha_at(level), level.t);
    TORCH_CHECK(eps.sizes() == x.sizes(), "the model returned ", eps.sizes(), " for x ", x.sizes());
    return eps;
  };
  const auto data = [&](const Tensor& x, const Level& level) {
    return dpm::threshold(x - level.sigma * noise(x, level), options);
  };
  const dpm::Predict predict =
      settings.algorithm == Algorithm::Data ? dpm::Predict(data) : dpm::Predict(noise);
  int64_t planned = 0;
  const auto report = [&](const Tensor& x, const Level& level) {
    ++result.accepted;
    if (callback) callback({result.accepted, planned, level.t, x * dpm::alpha_at(level)});
  };
  const int64_t denoise = options.denoise_to_zero ? 1 : 0;

  // From here on x = x0 + sigma * noise.
  Tensor x = x_BCHW / dpm::alpha_at(start);
  if (adaptive) {
    auto run = dpm::run_adaptive(predict, schedule, x, start, end, settings, options, report);
    x = std::move(run.x_BCHW);
    result.rejected = run.rejected;
  } else if (settings.method == Method::Multistep) {
    planned = steps + denoise;
    const auto levels = levels_between(schedule, settings.skip, start, end, steps);
    std::vector<Value> values;
    for (int64_t step = 1; step <= steps; ++step) {
      const Level& s = levels[static_cast<size_t>(step) - 1];
      const Level& t = levels[static_cast<size_t>(step)];
      values.push_back({s, predict(x, s)});
      if (values.size() > 3) values.erase(values.begin());
      const auto order = static_cast<size_t>(dpm::multistep_order(options, step, steps));
      x = dpm::multistep_update(settings.algorithm, settings.form, x, std::span(values).last(order),
                                t);
      report(x, t);
    }
  } else {
    const auto orders =
        settings.method == Method::Singlestep
            ? dpm::singlestep_orders(steps, options.order)
            : std::vector<int64_t>(static_cast<size_t>(steps / options.order), options.order);
    planned = static_cast<int64_t>(orders.size()) + denoise;
    const auto outer = outer_levels(schedule, settings, start, end, steps, orders);
    for (size_t i = 0; i < orders.size(); ++i) {
      const auto levels =
          levels_between(schedule, settings.skip, outer[i], outer[i + 1], orders[i]);
      const auto values = dpm::singlestep_values(predict, settings.algorithm, x, levels);
      x = dpm::singlestep_update(settings.algorithm, settings.form, x, values, outer[i + 1]);
      report(x, outer[i + 1]);
    }
  }
  if (options.denoise_to_zero) {
    x = data(x, end);
    const Level zero{INFINITY, 0, 0};
    report(x, zero);
    result.x_BCHW = x;
  } else {
    result.x_BCHW = x * dpm::alpha_at(end);
  }
  return result;
}

}  // namespace easel
