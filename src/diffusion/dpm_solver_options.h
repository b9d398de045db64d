// DpmSolverOptions with its names resolved and its combinations checked.
#pragma once

#include <functional>

#include "dpm_solver_update.h"
#include "easel/diffusion/dpm_solver.h"

namespace easel::dpm {

enum class Method { Singlestep, Multistep, SinglestepFixed, Adaptive };
enum class Skip { TimeUniform, TimeQuadratic, LogSnr };

struct Settings {
  Algorithm algorithm;
  Method method;
  Skip skip;
  Form form;
};

// Throws Error (Usage).
Settings resolve(const DpmSolverOptions& options, int64_t steps);

// The orders of a singlestep run that spends `steps` evaluations with orders up to `order`.
std::vector<int64_t> singlestep_orders(int64_t steps, int64_t order);
// The order of multistep step `step` (1 ..) of `steps`.
int64_t multistep_order(const DpmSolverOptions& options, int64_t step, int64_t steps);

// `x0_BCHW` after dynamic thresholding, where the options ask for it.
Tensor threshold(const Tensor& x0_BCHW, const DpmSolverOptions& options);

struct AdaptiveRun {
  Tensor x_BCHW;
  int64_t accepted = 0;
  int64_t rejected = 0;
};
// From s to `end`; x is x0 + sigma * noise, and so is the callback's.
AdaptiveRun run_adaptive(const Predict& predict, const VpSchedule& schedule, Tensor x_BCHW, Level s,
                         const Level& end, const Settings& settings,
                         const DpmSolverOptions& options,
                         const std::function<void(const Tensor& x_BCHW, const Level&)>& report);

// alpha at a level: 1 / sqrt(1 + sigma^2).
double alpha_at(const Level& level);

}  // namespace easel::dpm
