#include "easel/nn/module.h"

#include <ATen/ATen.h>

namespace easel::nn {

Tensor parameter(at::IntArrayRef shape) {
  return at::empty(shape, at::TensorOptions(at::kFloat).device(at::kMeta));
}

}  // namespace easel::nn
