#include "easel/ops/activation.h"

#include <ATen/ATen.h>

#include "cpu/float32.h"

namespace easel::ops {

Tensor silu(const Tensor& x) { return at::silu(x); }

Tensor silu(Tensor&& x) { return x.requires_grad() ? at::silu(x) : at::silu_(x); }

Tensor gelu(const Tensor& x) { return at::gelu(x); }

Tensor quick_gelu(const Tensor& x) { return x * at::sigmoid(x * 1.702); }

Tensor geglu(const Tensor& x) {
  TORCH_CHECK(x.size(-1) % 2 == 0, "geglu: the last dimension is odd: ", x.sizes());
  if (cpu::serves_geglu(x)) return cpu::geglu(x);
  const int64_t half = x.size(-1) / 2;
  const Tensor value = x.narrow(-1, 0, half);
  Tensor gate = at::gelu(x.narrow(-1, half, half));
  return gate.requires_grad() ? value * gate : gate.mul_(value);
}

Tensor add(Tensor&& x, const Tensor& y) {
  // y.requires_grad() too: recording would otherwise have to start in place.
  // Two dtypes, as under autocast: in place would keep the narrower one, with gradients or without.
  const bool in_place =
      !x.requires_grad() && !y.requires_grad() && x.scalar_type() == y.scalar_type();
  return in_place ? x.add_(y) : x + y;
}

}  // namespace easel::ops
