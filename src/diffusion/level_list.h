// Schedules written out by hand.
#pragma once

#include <string_view>

#include "easel/diffusion/sampler.h"

namespace easel {

// From the text that is_level_list() knows. Throws Error (Usage).
SigmaPlan plan_from_list(std::string_view schedule, const NoiseSchedule& noise_schedule);

}  // namespace easel
