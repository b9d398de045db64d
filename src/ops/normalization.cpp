#include "easel/ops/normalization.h"

#include <utility>

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

Tensor channel_sums(const Tensor& x_BCHW) {
  if (cpu::serves_channels(x_BCHW)) return cpu::channel_sums(x_BCHW);
  const Tensor x = x_BCHW.to(at::kDouble);
  return at::stack({x.sum({2, 3}), x.square().sum({2, 3})});
}

Tensor group_norm_rows(const Tensor& x_BCHW, const Tensor& sums_2BC, int64_t positions,
                       int64_t groups, const Tensor& weight, const Tensor& bias, double eps,
                       bool with_silu) {
  const int64_t batch = x_BCHW.size(0);
  const int64_t size = x_BCHW.size(1) / groups;
  const auto count = static_cast<double>(positions * size);
  const Tensor means_2BG1 = sums_2BC.view({2, batch, groups, size}).sum(3, true) / count;
  const Tensor variance_BG1 = (means_2BG1[1] - means_2BG1[0].square()).clamp_min(0);
  const at::ScalarType dtype = at::promote_types(x_BCHW.scalar_type(), at::kFloat);
  Tensor scale_BC = weight.to(at::kDouble).view({groups, size}) * (variance_BG1 + eps).rsqrt();
  Tensor shift_BC = bias.to(at::kDouble).view({groups, size}) - means_2BG1[0] * scale_BC;
  scale_BC = scale_BC.reshape({batch, -1}).to(dtype);
  shift_BC = shift_BC.reshape({batch, -1}).to(dtype);
  if (cpu::serves_channels(x_BCHW)) {
    return cpu::scale_channels(x_BCHW, scale_BC, shift_BC, with_silu);
  }
  const auto spread = [](const Tensor& x_BC) { return x_BC.unsqueeze(-1).unsqueeze(-1); };
  Tensor y = (x_BCHW * spread(scale_BC)).add_(spread(shift_BC));
  if (with_silu) y = silu(std::move(y));
  return y.to(x_BCHW.scalar_type());
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

}  // namespace easel::ops
