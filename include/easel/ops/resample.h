// Resampling without parameters.
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops {

// [B, C, H, W] -> [B, C, 2 H, 2 W]: every value becomes a 2 x 2 square.
Tensor upsample_nearest_2x(const Tensor& x_BCHW);

// [B, C, H, W] -> [B, C, height, width]: every value is that of the nearest position before it.
Tensor upsample_nearest(const Tensor& x_BCHW, int64_t height, int64_t width);

// [B, C, H, W] -> [B, C, H / 2, W / 2]: the mean of every 2 x 2 square.
Tensor average_pool_2x(const Tensor& x_BCHW);

// One row and one column of zeros after the last ones: [B, C, H + 1, W + 1].
Tensor pad_bottom_right(const Tensor& x_BCHW);

}  // namespace easel::ops
