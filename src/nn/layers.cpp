#include "easel/nn/layers.h"

#include <ATen/ATen.h>

#include <easel/nn/circular_padding.h>
#include <easel/nn/stored_weights.h>
#include <easel/ops/linear.h>
#include <easel/ops/normalization.h>

namespace easel::nn {
namespace {

// Of a size that stays, the convolution pads once more, as the operators made for that do it best,
// and what that spoilt is cut off.
Tensor circular_conv2d(const Conv2d& conv, const Tensor& x_BCHW) {
  const int64_t padding = conv.padding;
  if (conv.stride > 1 || conv.weight.size(2) != 2 * padding + 1) {
    const Tensor x = pad_rows(pad_columns(x_BCHW, padding), padding);
    return ops::conv2d(x, InUse(conv.weight), InUse(conv.bias), conv.stride, 0);
  }
  Tensor x = x_BCHW;
  if (CircularPadding::is_horizontal()) x = pad_columns(x, padding);
  if (CircularPadding::is_vertical()) x = pad_rows(x, padding);
  x = ops::conv2d(x, InUse(conv.weight), InUse(conv.bias), 1, padding);
  const auto middle = [](const Tensor& y, int64_t dim, int64_t size) {
    return y.narrow(dim, (y.size(dim) - size) / 2, size);
  };
  return middle(middle(x, 3, x_BCHW.size(3)), 2, x_BCHW.size(2))
      .contiguous(x.suggest_memory_format());
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, bool with_bias) : weight(parameter({out, in})) {
  if (with_bias) bias = parameter({out});
}

Tensor Linear::forward(const Tensor& x) const { return ops::linear(x, InUse(weight), InUse(bias)); }

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, int64_t stride_, int64_t padding_,
               bool with_bias)
    : weight(parameter({out, in, kernel, kernel})), stride(stride_), padding(padding_) {
  if (with_bias) bias = parameter({out});
}

Tensor Conv2d::forward(const Tensor& x_BCHW) const {
  if (padding > 0 && (CircularPadding::is_horizontal() || CircularPadding::is_vertical())) {
    return circular_conv2d(*this, x_BCHW);
  }
  return ops::conv2d(x_BCHW, InUse(weight), InUse(bias), stride, padding);
}

GroupNorm::GroupNorm(int64_t channels, double eps_, int64_t groups_)
    : weight(parameter({channels})), bias(parameter({channels})), groups(groups_), eps(eps_) {}

Tensor GroupNorm::forward(const Tensor& x) const {
  return ops::group_norm(x, groups, InUse(weight), InUse(bias), eps);
}

Tensor GroupNorm::forward_silu(const Tensor& x) const {
  return ops::group_norm_silu(x, groups, InUse(weight), InUse(bias), eps);
}

LayerNorm::LayerNorm(int64_t features, double eps_)
    : weight(parameter({features})), bias(parameter({features})), eps(eps_) {}

Tensor LayerNorm::forward(const Tensor& x) const {
  return ops::layer_norm(x, InUse(weight), InUse(bias), eps);
}

Embedding::Embedding(int64_t count, int64_t features) : weight(parameter({count, features})) {}

Tensor Embedding::forward(const Tensor& index) const {
  // Of stored weights only the rows that are asked for are brought.
  return StoredWeights::placed(at::embedding(weight, index.to(weight.device())));
}

}  // namespace easel::nn
