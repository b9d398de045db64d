#include "easel/train/lr_schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <easel/base/error.h>

namespace easel {
namespace {

struct Target {
  std::string_view name;
  LrScheduleKind kind;
};

constexpr std::array<Target, 3> kTargets = {{
    {"ldm.lr_scheduler.LambdaLinearScheduler", LrScheduleKind::Linear},
    {"ldm.lr_scheduler.LambdaWarmUpCosineScheduler", LrScheduleKind::Cosine},
    {"ldm.lr_scheduler.LambdaWarmUpCosineScheduler2", LrScheduleKind::CosineCycles},
}};

constexpr int64_t kMaxSteps = int64_t{1} << 60;

double line(const LrCycle& cycle, double step) {
  const auto length = static_cast<double>(cycle.cycle_length);
  return cycle.f_min + (cycle.f_max - cycle.f_min) * (length - step) / length;
}

double half_cosine(const LrCycle& cycle, double step) {
  const auto warm_up = static_cast<double>(cycle.warm_up_steps);
  const double length = static_cast<double>(cycle.cycle_length) - warm_up;
  const double t = std::min((step - warm_up) / length, 1.0);
  return cycle.f_min + 0.5 * (cycle.f_max - cycle.f_min) * (1 + std::cos(t * std::numbers::pi));
}

}  // namespace

LrScheduleKind lr_schedule_kind(std::string_view target) {
  std::vector<std::string_view> names;
  for (const Target& known : kTargets) {
    if (known.name == target) return known.kind;
    names.push_back(known.name);
  }
  fail_usage("{}", unknown_name("learning-rate schedule", target, names));
}

void check_lr_schedule(const LrScheduleOptions& options) {
  const bool cosine = options.kind == LrScheduleKind::Cosine;
  if (options.kind == LrScheduleKind::Constant) {
    if (!options.cycles.empty()) fail_usage("a constant learning rate has no cycles");
    return;
  }
  if (options.cycles.empty()) fail_usage("the learning-rate schedule needs at least one cycle");
  if (cosine && options.cycles.size() != 1) {
    fail_usage("LambdaWarmUpCosineScheduler has one cycle, not {}", options.cycles.size());
  }
  int64_t room = kMaxSteps;
  for (const LrCycle& cycle : options.cycles) {
    if (cycle.cycle_length < 1 || cycle.cycle_length > room) {
      fail_usage("the cycles of a learning-rate schedule have 1 to {} steps, together; got {}",
                 kMaxSteps, cycle.cycle_length);
    }
    room -= cycle.cycle_length;
    if (cycle.warm_up_steps < 0 || cycle.warm_up_steps > kMaxSteps) {
      fail_usage("warm_up_steps is a number from 0; got {}", cycle.warm_up_steps);
    }
    if (options.kind != LrScheduleKind::Linear && cycle.warm_up_steps >= cycle.cycle_length) {
      fail_usage("the warm-up of {} steps leaves nothing of a cosine's {} steps",
                 cycle.warm_up_steps, cycle.cycle_length);
    }
    for (const double f : {cycle.f_start, cycle.f_max, cycle.f_min}) {
      if (!std::isfinite(f) || f < 0) {
        fail_usage("a learning rate is multiplied with a number from 0; got {}", f);
      }
    }
  }
}

double lr_multiplier(const LrScheduleOptions& options, int64_t step) {
  if (options.kind == LrScheduleKind::Constant) return 1;
  size_t i = 0;
  while (i + 1 < options.cycles.size() && step > options.cycles[i].cycle_length) {
    step -= options.cycles[i++].cycle_length;
  }
  const LrCycle& cycle = options.cycles[i];
  const auto n = static_cast<double>(std::min(step, cycle.cycle_length));
  if (n < static_cast<double>(cycle.warm_up_steps)) {
    return (cycle.f_max - cycle.f_start) / static_cast<double>(cycle.warm_up_steps) * n +
           cycle.f_start;
  }
  return options.kind == LrScheduleKind::Linear ? line(cycle, n) : half_cosine(cycle, n);
}

}  // namespace easel
