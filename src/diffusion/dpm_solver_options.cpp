#include "dpm_solver_options.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

namespace easel::dpm {
namespace {

template <class T, size_t N>
T find(std::string_view what, std::string_view name,
       const std::array<std::pair<std::string_view, T>, N>& table) {
  std::array<std::string_view, N> known;
  for (size_t i = 0; i < N; ++i) {
    if (table[i].first == name) return table[i].second;
    known[i] = table[i].first;
  }
  throw Error(unknown_name(what, name, known), ErrorKind::Usage);
}

constexpr std::array<std::pair<std::string_view, Algorithm>, 2> kAlgorithms = {{
    {"dpmsolver", Algorithm::Noise},
    {"dpmsolver++", Algorithm::Data},
}};
constexpr std::array<std::pair<std::string_view, Method>, 4> kMethods = {{
    {"singlestep", Method::Singlestep},
    {"multistep", Method::Multistep},
    {"singlestep_fixed", Method::SinglestepFixed},
    {"adaptive", Method::Adaptive},
}};
constexpr std::array<std::pair<std::string_view, Skip>, 3> kSkips = {{
    {"time_uniform", Skip::TimeUniform},
    {"time_quadratic", Skip::TimeQuadratic},
    {"logSNR", Skip::LogSnr},
}};
constexpr std::array<std::pair<std::string_view, Form>, 2> kForms = {{
    {"dpmsolver", Form::DpmSolver},
    {"taylor", Form::Taylor},
}};

void check_steps(const DpmSolverOptions& options, const Settings& settings, int64_t steps) {
  const bool adaptive = settings.method == Method::Adaptive;
  const int64_t lowest = adaptive ? 2 : 1;
  if (options.order < lowest || options.order > 3) {
    fail_usage("DPM-Solver's order is {}; with method {} it must be {} to 3", options.order,
               options.method, lowest);
  }
  if (adaptive) return;
  const int64_t needed = settings.method == Method::Singlestep ? 1 : options.order;
  if (steps < needed) {
    fail_usage(
        "the number of steps is {}; DPM-Solver of order {} with method {} needs at least {}: take "
        "more steps, a lower order or method singlestep",
        steps, options.order, options.method, needed);
  }
}

}  // namespace

Settings resolve(const DpmSolverOptions& options, int64_t steps) {
  const Settings settings{find("algorithm", options.algorithm, kAlgorithms),
                          find("method", options.method, kMethods),
                          find("skip_type", options.skip_type, kSkips),
                          find("solver_type", options.solver_type, kForms)};
  check_steps(options, settings, steps);
  if (options.dynamic_thresholding) {
    if (settings.algorithm != Algorithm::Data) {
      fail_usage(
          "dynamic_thresholding works on the estimate of the clean picture, which algorithm {} "
          "does not use; take dpmsolver++ or leave thresholding out",
          options.algorithm);
    }
    if (!(options.thresholding_ratio >= 0 && options.thresholding_ratio <= 1)) {
      fail_usage("thresholding_ratio is {}; it must be 0 to 1", options.thresholding_ratio);
    }
    if (!(options.thresholding_max > 0 && std::isfinite(options.thresholding_max))) {
      fail_usage("thresholding_max is {}; it must be above 0", options.thresholding_max);
    }
  }
  if (settings.method == Method::Adaptive && !(options.atol > 0 && std::isfinite(options.atol) &&
                                               options.rtol >= 0 && std::isfinite(options.rtol))) {
    fail_usage("atol and rtol are {} and {}; atol must be above 0 and rtol not below it",
               options.atol, options.rtol);
  }
  return settings;
}

std::vector<int64_t> singlestep_orders(int64_t steps, int64_t order) {
  std::vector<int64_t> orders(static_cast<size_t>(steps / order), order);
  const int64_t rest = steps % order;
  if (order == 3 && rest == 0) {
    // The run ends in a step of order 1 or 2 in any case.
    orders.back() = 2;
    orders.push_back(1);
  } else if (rest > 0) {
    orders.push_back(rest);
  }
  return orders;
}

int64_t multistep_order(const DpmSolverOptions& options, int64_t step, int64_t steps) {
  if (step < options.order) return step;
  const bool lower = options.lower_order_final && steps < options.lower_order_final_below;
  return lower ? std::min(options.order, steps + 1 - step) : options.order;
}

Tensor threshold(const Tensor& x0_BCHW, const DpmSolverOptions& options) {
  if (!options.dynamic_thresholding) return x0_BCHW;
  std::vector<int64_t> per_row(static_cast<size_t>(x0_BCHW.dim()), 1);
  per_row[0] = x0_BCHW.size(0);
  const Tensor quantile_B = at::quantile(x0_BCHW.abs().flatten(1), options.thresholding_ratio, 1);
  const Tensor limit = quantile_B.clamp_min(options.thresholding_max).reshape(per_row);
  return at::minimum(at::maximum(x0_BCHW, -limit), limit) / limit;
}

double alpha_at(const Level& level) { return 1 / std::sqrt(1 + level.sigma * level.sigma); }

}  // namespace easel::dpm
