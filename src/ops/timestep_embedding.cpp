#include "easel/ops/timestep_embedding.h"

#include <cmath>

#include <ATen/ATen.h>

namespace easel::ops {

Tensor timestep_embedding(const Tensor& t_B, int64_t dim) {
  TORCH_CHECK(t_B.dim() == 1 && dim >= 2, "timestep_embedding: t ", t_B.sizes(), ", dim ", dim);
  const int64_t half = dim / 2;
  // The frequencies are made on the CPU, as CompVis does, so that every device has the same ones.
  const Tensor index = at::arange(half, at::TensorOptions(at::kFloat).device(at::kCPU));
  const Tensor frequencies =
      at::exp(index * -std::log(10000.0) / static_cast<double>(half)).to(t_B.device());
  const Tensor angles = t_B.to(at::kFloat).unsqueeze(1) * frequencies;
  const Tensor embedding = at::cat({angles.cos(), angles.sin()}, 1);
  return dim % 2 ? at::constant_pad_nd(embedding, {0, 1}) : embedding;
}

}  // namespace easel::ops
