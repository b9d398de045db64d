#include "easel/nn/layers.h"

#include <ATen/ATen.h>

#include <easel/ops/linear.h>
#include <easel/ops/normalization.h>

namespace easel::nn {

Linear::Linear(int64_t in, int64_t out, bool with_bias) : weight(parameter({out, in})) {
  if (with_bias) bias = parameter({out});
}

Tensor Linear::forward(const Tensor& x) const { return ops::linear(x, weight, bias); }

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, int64_t stride_, int64_t padding_,
               bool with_bias)
    : weight(parameter({out, in, kernel, kernel})), stride(stride_), padding(padding_) {
  if (with_bias) bias = parameter({out});
}

Tensor Conv2d::forward(const Tensor& x_BCHW) const {
  return ops::conv2d(x_BCHW, weight, bias, stride, padding);
}

GroupNorm::GroupNorm(int64_t channels, double eps_, int64_t groups_)
    : weight(parameter({channels})), bias(parameter({channels})), groups(groups_), eps(eps_) {}

Tensor GroupNorm::forward(const Tensor& x) const {
  return ops::group_norm(x, groups, weight, bias, eps);
}

Tensor GroupNorm::forward_silu(const Tensor& x) const {
  return ops::group_norm_silu(x, groups, weight, bias, eps);
}

LayerNorm::LayerNorm(int64_t features, double eps_)
    : weight(parameter({features})), bias(parameter({features})), eps(eps_) {}

Tensor LayerNorm::forward(const Tensor& x) const { return ops::layer_norm(x, weight, bias, eps); }

Embedding::Embedding(int64_t count, int64_t features) : weight(parameter({count, features})) {}

Tensor Embedding::forward(const Tensor& index) const { return at::embedding(weight, index); }

}  // namespace easel::nn
