#include "easel/nn/layers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"

namespace easel::nn {
namespace {

Tensor random(at::IntArrayRef shape) {
  return at::randn(shape, at::detail::createCPUGenerator(7), at::kFloat);
}

template <class Layer>
Layer filled(Layer layer) {
  test::fill_hashed(layer);
  return layer;
}

TEST(HashedWeights, AreTheDocumentedNumbers) {
  // FNV-1a's published value for "a", splitmix64's published first output for seed 0.
  EXPECT_EQ(test::hashed_seed("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(test::hashed_uniform(0, 0),
            static_cast<double>(0xe220a8397b1dcdafULL >> 40) * 0x1p-23 - 1);
}

TEST(Layers, HaveTheShapesOfTheirParameters) {
  EXPECT_EQ(shape_text(Linear(3, 5).weight.sizes()), "[5, 3]");
  EXPECT_EQ(shape_text(Linear(3, 5).bias.sizes()), "[5]");
  EXPECT_FALSE(Linear(3, 5, false).bias.defined());
  EXPECT_EQ(shape_text(Conv2d(3, 5, 7).weight.sizes()), "[5, 3, 7, 7]");
  EXPECT_EQ(shape_text(GroupNorm(64, 1e-5).weight.sizes()), "[64]");
  EXPECT_EQ(shape_text(LayerNorm(9).bias.sizes()), "[9]");
  EXPECT_EQ(shape_text(Embedding(10, 4).weight.sizes()), "[10, 4]");
}

TEST(Layers, CallTheirOperatorWithTheirParameters) {
  const Tensor x = random({2, 4, 3});
  const Linear linear = filled(Linear(3, 5));
  test::expect_close(linear.forward(x), at::matmul(x, linear.weight.t()) + linear.bias, 1e-6);

  const Tensor map = random({2, 64, 5, 6});
  const Conv2d conv = filled(Conv2d(64, 8, 3, 2, 1));
  test::expect_close(conv.forward(map), at::conv2d(map, conv.weight, conv.bias, {2, 2}, {1, 1}),
                     1e-6);

  const GroupNorm norm = filled(GroupNorm(64, 1e-6));
  const Tensor normed = at::group_norm(map, 32, norm.weight, norm.bias, 1e-6);
  test::expect_close(norm.forward(map), normed, 1e-6);
  test::expect_close(norm.forward_silu(map), at::silu(normed), 1e-6);

  const LayerNorm layer_norm = filled(LayerNorm(3, 1e-3));
  test::expect_close(layer_norm.forward(x),
                     at::layer_norm(x, {3}, layer_norm.weight, layer_norm.bias, 1e-3), 1e-6);

  const Embedding embedding = filled(Embedding(10, 4));
  const Tensor rows = embedding.forward(at::tensor({9, 0}, at::kLong));
  EXPECT_TRUE(at::equal(rows[0], embedding.weight[9]));
  EXPECT_TRUE(at::equal(rows[1], embedding.weight[0]));
}

}  // namespace
}  // namespace easel::nn
