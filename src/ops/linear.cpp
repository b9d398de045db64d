#include "easel/ops/linear.h"

#include <ATen/ATen.h>

namespace easel::ops {

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return at::linear(x, weight, bias);
}

Tensor conv2d(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias, int64_t stride,
              int64_t padding) {
  return at::conv2d(x_BCHW, weight, bias, {stride, stride}, {padding, padding});
}

}  // namespace easel::ops
