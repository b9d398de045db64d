#include "easel/ops/linear.h"

#include <ATen/ATen.h>

#include "cpu/float32.h"

namespace easel::ops {

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (cpu::serves_linear(x, weight, bias)) return cpu::linear(x, weight, bias);
  return at::linear(x, weight, bias);
}

Tensor conv2d(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias, int64_t stride,
              int64_t padding) {
  if (cpu::serves_winograd(x_BCHW, weight, bias, stride, padding)) {
    return cpu::winograd(x_BCHW, weight, bias);
  }
  if (cpu::serves(x_BCHW) && x_BCHW.dim() == 4) {
    // The hand-written operators have the channels last: so has what they are given.
    const Tensor x = x_BCHW.contiguous(at::MemoryFormat::ChannelsLast);
    const bool pointwise = weight.dim() == 4 && weight.size(2) == 1 && weight.size(3) == 1 &&
                           stride == 1 && padding == 0;
    const Tensor x_BHWC = x.permute({0, 2, 3, 1});
    if (pointwise && cpu::serves_linear(x_BHWC, weight, bias)) {
      return cpu::linear(x_BHWC, weight, bias).permute({0, 3, 1, 2});
    }
    return at::conv2d(x, weight, bias, {stride, stride}, {padding, padding});
  }
  return at::conv2d(x_BCHW, weight, bias, {stride, stride}, {padding, padding});
}

}  // namespace easel::ops
