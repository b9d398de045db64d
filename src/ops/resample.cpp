#include "easel/ops/resample.h"

#include <ATen/ATen.h>

namespace easel::ops {

Tensor upsample_nearest_2x(const Tensor& x_BCHW) {
  return upsample_nearest(x_BCHW, x_BCHW.size(2) * 2, x_BCHW.size(3) * 2);
}

Tensor upsample_nearest(const Tensor& x_BCHW, int64_t height, int64_t width) {
  return at::upsample_nearest2d(x_BCHW, {height, width});
}

Tensor average_pool_2x(const Tensor& x_BCHW) { return at::avg_pool2d(x_BCHW, {2, 2}, {2, 2}); }

Tensor pad_bottom_right(const Tensor& x_BCHW) { return at::constant_pad_nd(x_BCHW, {0, 1, 0, 1}); }

}  // namespace easel::ops
