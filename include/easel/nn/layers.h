// The layers that networks are made of: parameters and a forward() that calls one operator.
//
// Constructors take shapes and allocate nothing (see nn/module.h). B, C, H, W, T, D as in
// base/tensor.h.
#pragma once

#include <cstdint>

#include <easel/base/tensor.h>
#include <easel/nn/module.h>

namespace easel::nn {

// [..., in] -> [..., out].
struct Linear {
  Tensor weight;  // [out, in]
  Tensor bias;    // [out], or undefined

  Linear(int64_t in, int64_t out, bool with_bias = true);
  Tensor forward(const Tensor& x) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

// [B, in, H, W] -> [B, out, H', W'], zero padding on all sides.
struct Conv2d {
  Tensor weight;  // [out, in, kernel, kernel]
  Tensor bias;    // [out], or undefined
  int64_t stride;
  int64_t padding;

  Conv2d(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t padding = 0,
         bool with_bias = true);
  Tensor forward(const Tensor& x_BCHW) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

// Normalises groups of channels of [B, C, ...].
struct GroupNorm {
  Tensor weight, bias;  // [C]
  int64_t groups;
  double eps;

  // Every group norm of the published Stable Diffusion models has 32 groups.
  explicit GroupNorm(int64_t channels, double eps, int64_t groups = 32);
  Tensor forward(const Tensor& x) const;
  Tensor forward_silu(const Tensor& x) const;  // silu(forward(x))

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

// Normalises the last dimension of [..., D].
struct LayerNorm {
  Tensor weight, bias;  // [D]
  double eps;

  explicit LayerNorm(int64_t features, double eps = 1e-5);
  Tensor forward(const Tensor& x) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

// int64 indices [...] -> [..., features].
struct Embedding {
  Tensor weight;  // [count, features]

  Embedding(int64_t count, int64_t features);
  Tensor forward(const Tensor& index) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("weight", self.weight);
  }
};

}  // namespace easel::nn
