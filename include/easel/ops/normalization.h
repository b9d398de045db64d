// Normalisation over groups of channels (Wu and He 2018) and over features (Ba et al. 2016).
//
// The statistics are taken in float32 whatever the dtype of x; the result has the dtype of x.
#pragma once

#include <easel/base/tensor.h>

namespace easel::ops {

// x [B, C, ...], weight and bias [C]; each group of C / groups neighbouring channels is normalised.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps);

// silu(group_norm(x)) as one operator: it stands before every convolution of the UNet and the
// autoencoder.
Tensor group_norm_silu(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                       double eps);

// group_norm in two steps, for a map [B, C, H, W] that is never in memory as a whole. No gradient
// is recorded.
//
// The first, for some of its rows: the sums of each channel's values and of their squares, float64
// [2, B, C]. Those of parts add up to the map's.
Tensor channel_sums(const Tensor& x_BCHW);
// The second: some of its rows normalised by the whole map's sums; `positions` is its H * W.
Tensor group_norm_rows(const Tensor& x_BCHW, const Tensor& sums_2BC, int64_t positions,
                       int64_t groups, const Tensor& weight, const Tensor& bias, double eps,
                       bool with_silu);

// x [..., D], weight and bias [D].
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps);

}  // namespace easel::ops
