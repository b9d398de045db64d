// Mixed precision: LibTorch's autocast, scoped.
#pragma once

#include <easel/base/tensor.h>

namespace easel::nn {

// On this thread, while the object lives, matrix products, convolutions and attention on devices of
// this type run in `dtype` (bfloat16 or float16); reductions and losses stay in float32, as
// PyTorch's torch.autocast has them. The backward pass follows the types of the forward pass and
// runs outside. They nest; the settings before come back.
class Autocast {
 public:
  Autocast(at::DeviceType device, at::ScalarType dtype, bool enabled = true);
  // Lets go of the weights' casts, which the next step of an optimizer makes stale.
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_before_;
  at::ScalarType dtype_before_;
};

}  // namespace easel::nn
