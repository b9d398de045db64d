// Gradients against the digests that scripts/fixtures/gradients.py makes: of each its norm, its
// product with a direction that its name decides, and four of its values.
#pragma once

#include <map>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/nn/module.h>

#include "tests/support/hashed_weights.h"

namespace easel::test {

using Gradients = std::map<std::string, Tensor>;

inline Tensor hashed_direction(const std::string& name, at::IntArrayRef shape) {
  Tensor direction = at::empty(shape, at::kDouble);
  const uint64_t seed = hashed_seed(name + "/direction");
  double* values = direction.mutable_data_ptr<double>();
  for (int64_t i = 0; i < direction.numel(); ++i) values[i] = hashed_uniform(seed, i);
  return direction;
}

// The sum of `output` times its direction.
inline Tensor hashed_loss(const std::string& name, const Tensor& output) {
  return (output.to(at::kDouble) * hashed_direction(name, output.sizes()).to(output.device()))
      .sum();
}

template <class Module>
void require_gradients(Module& module) {
  for (const auto& [name, tensor] : nn::named_parameters(module)) tensor->requires_grad_();
}

template <class Module>
Gradients gradients_of(Module& module) {
  Gradients gradients;
  for (const auto& [name, tensor] : nn::named_parameters(module)) gradients[name] = tensor->grad();
  return gradients;
}

// digests_PV: a row for every gradient, sorted by name. Tolerances are parts of the norm.
inline void expect_gradients(const Gradients& gradients, const Tensor& digests_PV,
                             double tolerance) {
  ASSERT_EQ(static_cast<int64_t>(gradients.size()), digests_PV.size(0));
  // Some have no effect on the loss, such as a bias of all keys: their gradients are rounding
  // alone.
  const double least = 1e-3 * digests_PV.select(1, 0).max().item<double>();
  int64_t row = 0;
  for (const auto& [name, gradient] : gradients) {
    const Tensor want = digests_PV[row++].to(at::kDouble);
    ASSERT_TRUE(gradient.defined()) << name;
    const Tensor g = gradient.detach().to(at::kCPU, at::kDouble).flatten();
    const double norm = want[0].item<double>();
    const double allowed = tolerance * std::max(norm, least);
    EXPECT_NEAR(g.norm().item<double>(), norm, allowed) << name;
    EXPECT_NEAR(g.dot(hashed_direction(name, {g.numel()})).item<double>(), want[1].item<double>(),
                allowed)
        << name;
    for (int64_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(g[i * (g.numel() - 1) / 3].item<double>(), want[2 + i].item<double>(), allowed)
          << name << ", value " << i;
    }
  }
}

// The norm of the difference of all gradients as a part of the norm of `want`.
inline double relative_difference(const Gradients& got, const Gradients& want) {
  double difference = 0;
  double norm = 0;
  for (const auto& [name, gradient] : want) {
    const Tensor w = gradient.to(at::kDouble);
    difference += (got.at(name).to(at::kDouble) - w).square().sum().item<double>();
    norm += w.square().sum().item<double>();
  }
  return std::sqrt(difference / norm);
}

}  // namespace easel::test
