#include "easel/ops/timestep_embedding.h"

#include <cmath>

#include <ATen/ATen.h>

namespace easel::ops {
namespace {

// Made on the CPU, as CompVis does, so that every device has the same ones.
Tensor frequencies(int64_t count, double divisor, at::Device device) {
  const Tensor index = at::arange(count, at::TensorOptions(at::kFloat).device(at::kCPU));
  return at::exp(index * -std::log(10000.0) / divisor).to(device);
}

Tensor padded(const Tensor& embedding, int64_t dim) {
  return dim % 2 ? at::constant_pad_nd(embedding, {0, 1}) : embedding;
}

}  // namespace

Tensor timestep_embedding(const Tensor& t_B, int64_t dim) {
  TORCH_CHECK(t_B.dim() == 1 && dim >= 2, "timestep_embedding: t ", t_B.sizes(), ", dim ", dim);
  const int64_t half = dim / 2;
  const Tensor angles =
      t_B.to(at::kFloat).unsqueeze(1) * frequencies(half, static_cast<double>(half), t_B.device());
  return padded(at::cat({angles.cos(), angles.sin()}, 1), dim);
}

Tensor guidance_embedding(const Tensor& w_B, int64_t dim) {
  TORCH_CHECK(w_B.dim() == 1 && dim >= 4, "guidance_embedding: w ", w_B.sizes(), ", dim ", dim);
  const int64_t half = dim / 2;
  const Tensor angles = (w_B.to(at::kFloat) * 1000).unsqueeze(1) *
                        frequencies(half, static_cast<double>(half - 1), w_B.device());
  return padded(at::cat({angles.sin(), angles.cos()}, 1), dim);
}

}  // namespace easel::ops
