// Values of a schedule for the rows of a batch.
#pragma once

#include <easel/base/tensor.h>

namespace easel {

// values_T at the timesteps t_B (int64), as [B, 1, ...] with the dimensions and the device of x, in
// x's type but float32 at least. Throws Error where t_B does not fit x or the schedule.
Tensor at_timesteps(const Tensor& values_T, const Tensor& t_B, const Tensor& x);

}  // namespace easel
