// The params of a scheduler_config under CompVis's names.
#pragma once

#include <easel/train/lr_schedule.h>

#include "../checkpoint/config_map.h"

namespace easel {

// Fills `options.cycles` for `options.kind`: lists warm_up_steps, cycle_lengths, f_start, f_max and
// f_min of equal length, or for Cosine the numbers warm_up_steps, max_decay_steps, lr_start, lr_max
// and lr_min. Rejects, naming file, line and key, what is missing or out of range.
void read_lr_schedule_params(ConfigMap& params, LrScheduleOptions& options);

}  // namespace easel
