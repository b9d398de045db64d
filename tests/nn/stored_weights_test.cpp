#include "easel/nn/stored_weights.h"

#include <thread>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "easel/nn/resnet.h"
#include "easel/nn/transformer.h"
#include "tests/support/hashed_weights.h"

namespace easel {
namespace {

const nn::WeightPlace kFloats{.device = at::kCPU, .dtype = at::kFloat};

// The same values in two modules: as float16 stores them, and widened.
template <class Module>
void fill_both(Module& stored, Module& wide) {
  test::fill_hashed(stored, at::kHalf);
  test::fill_hashed(wide, at::kHalf);
  for (const auto& parameter : nn::named_parameters(wide)) {
    *parameter.tensor = parameter.tensor->to(at::kFloat);
  }
}

TEST(StoredWeights, LayersWorkAsWithWeightsThatAreThere) {
  const at::NoGradGuard no_grad;
  const nn::ResBlockOptions options{.in_channels = 32, .out_channels = 64, .time_channels = 16};
  nn::ResBlock stored(options);
  nn::ResBlock wide(options);
  fill_both(stored, wide);
  const Tensor x = test::hashed_tensor("x", {2, 32, 6, 5});
  const Tensor time = test::hashed_tensor("time", {2, 16});
  const Tensor want = wide.forward(x, time);
  {
    const nn::StoredWeights weights(kFloats);
    EXPECT_TRUE(at::equal(stored.forward(x, time), want));
  }
  EXPECT_ANY_THROW(stored.forward(x, time));  // float16 weights, float32 maps

  const nn::SpatialTransformerOptions shape{
      .channels = 32, .heads = 4, .head_channels = 8, .context_channels = 24};
  nn::SpatialTransformer stored_transformer(shape);
  nn::SpatialTransformer wide_transformer(shape);
  fill_both(stored_transformer, wide_transformer);
  const Tensor context = test::hashed_tensor("context", {2, 7, 24});
  const nn::StoredWeights weights(kFloats);
  EXPECT_TRUE(
      at::equal(stored_transformer.forward(x, context), wide_transformer.forward(x, context)));
}

TEST(StoredWeights, OfAnEmbeddingTheRowsAreBrought) {
  nn::Embedding table(10, 4);
  test::fill_hashed(table, at::kBFloat16);
  const Tensor index = at::tensor({7, 0, 7}, at::kLong);
  const nn::StoredWeights weights(kFloats);
  const Tensor rows = table.forward(index);
  EXPECT_EQ(rows.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(rows[0], table.weight[7].to(at::kFloat)));
}

TEST(StoredWeights, NestAndAreTheThreadsOwn) {
  const Tensor half = at::ones({2}, at::kHalf);
  const auto type = [&] { return nn::StoredWeights::placed(half).scalar_type(); };
  const nn::StoredWeights outer(kFloats);
  {
    const nn::StoredWeights inner(nn::WeightPlace{.device = at::kCPU, .dtype = at::kDouble});
    EXPECT_EQ(type(), at::kDouble);
    const nn::StoredWeights none(std::nullopt);
    EXPECT_EQ(type(), at::kHalf);
  }
  EXPECT_EQ(type(), at::kFloat);
  std::thread([&] { EXPECT_EQ(type(), at::kHalf); }).join();
  EXPECT_FALSE(nn::StoredWeights::placed({}).defined());
}

}  // namespace
}  // namespace easel
