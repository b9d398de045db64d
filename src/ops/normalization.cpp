#include "easel/ops/normalization.h"

#include <ATen/ATen.h>

#include <easel/ops/activation.h>

#include "cpu/float32.h"

namespace easel::ops {

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps) {
  if (cpu::serves_group_norm(x, weight, bias)) {
    return cpu::group_norm(x, groups, weight, bias, eps, /*silu=*/false);
  }
  return at::group_norm(x, groups, weight, bias, eps);
}

Tensor group_norm_silu(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                       double eps) {
  if (cpu::serves_group_norm(x, weight, bias)) {
    return cpu::group_norm(x, groups, weight, bias, eps, /*silu=*/true);
  }
  return silu(group_norm(x, groups, weight, bias, eps));
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

}  // namespace easel::ops
