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

// x [..., D], weight and bias [D].
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps);

}  // namespace easel::ops
