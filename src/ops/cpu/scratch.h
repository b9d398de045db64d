// Memory for intermediate results.
#pragma once

#include <cstdint>

#include <easel/base/tensor.h>

namespace easel::ops::cpu {

// [num_floats], not filled, aligned for vectors; in large pages where the system has them.
Tensor scratch(int64_t num_floats);

}  // namespace easel::ops::cpu
