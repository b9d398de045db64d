// What the base learning rate is multiplied with at each step: the schedules of CompVis's
// ldm/lr_scheduler.py.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace easel {

enum class LrScheduleKind {
  Constant,  // 1
  Linear,    // LambdaLinearScheduler: warm-up, then a line from f_max to f_min; cycles repeat it
  Cosine,    // LambdaWarmUpCosineScheduler: warm-up, then half a cosine, then f_min for good
  CosineCycles,  // LambdaWarmUpCosineScheduler2: the same in cycles
};

// One cycle: from f_start at its step 0 in a line to f_max at warm_up_steps, from there to f_min at
// cycle_length. (The line of Linear is the one from f_max at step 0, which warm-up cuts short.)
struct LrCycle {
  int64_t warm_up_steps = 0;  // from 0
  int64_t cycle_length = 1;   // steps, from 1; Cosine: more than warm_up_steps
  double f_start = 0;
  double f_max = 1;
  double f_min = 0;
};

struct LrScheduleOptions {
  LrScheduleKind kind = LrScheduleKind::Constant;
  std::vector<LrCycle> cycles;  // none for Constant, one for Cosine
};

// The schedule that a config's `target:` names ("ldm.lr_scheduler.LambdaLinearScheduler"); any
// other is an Error that lists the known ones.
LrScheduleKind lr_schedule_kind(std::string_view target);

// Throws Error (Usage) where a number is out of range or there are too many cycles or too few.
void check_lr_schedule(const LrScheduleOptions& options);

// The multiplier for the step after `step` finished ones, from 0. The last step of a cycle is the
// first of none but its own; after the last cycle its end is kept (where CompVis's code stops with
// a TypeError). `options` has passed check_lr_schedule.
double lr_multiplier(const LrScheduleOptions& options, int64_t step);

}  // namespace easel
