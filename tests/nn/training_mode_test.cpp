#include "easel/nn/training_mode.h"

#include <thread>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/nn/resnet.h>

#include "tests/support/hashed_weights.h"

namespace easel::nn {
namespace {

TEST(TrainingMode, NestsAndBelongsToItsThread) {
  EXPECT_FALSE(TrainingMode::is_enabled());
  {
    const TrainingMode training;
    EXPECT_TRUE(TrainingMode::is_enabled());
    {
      const TrainingMode inference(false);
      EXPECT_FALSE(TrainingMode::is_enabled());
    }
    EXPECT_TRUE(TrainingMode::is_enabled());
    bool elsewhere = true;
    std::thread([&] { elsewhere = TrainingMode::is_enabled(); }).join();
    EXPECT_FALSE(elsewhere);
  }
  EXPECT_FALSE(TrainingMode::is_enabled());
}

TEST(Dropout, ZeroesThatPartAndScalesTheRest) {
  const Tensor x = at::ones({100, 100});
  EXPECT_TRUE(dropout(x, 0.3).is_same(x));
  const TrainingMode training;
  EXPECT_TRUE(dropout(x, 0).is_same(x));
  const Tensor out = dropout(x, 0.3);
  const Tensor zero = out == 0;
  EXPECT_NEAR(zero.to(at::kFloat).mean().item<float>(), 0.3, 0.02);
  EXPECT_TRUE(at::allclose(out.masked_select(~zero), at::full({1}, 1 / 0.7)));
}

// With conv2 the identity, time and shortcut zero, what is left of silu(norm2) shows.
TEST(Dropout, ActsInResBlocksBehindTheSecondActivationInTrainingOnly) {
  ResBlock block({.in_channels = 32, .out_channels = 32, .dropout = 0.25});
  test::fill_hashed(block);
  block.conv2 = Conv2d(32, 32, 1);
  block.conv2.weight = at::eye(32).reshape({32, 32, 1, 1});
  block.conv2.bias = at::zeros({32});
  const Tensor x = test::hashed_tensor("x", {2, 32, 8, 8});
  const Tensor plain = block.forward(x) - x;
  EXPECT_TRUE(at::equal(block.forward(x) - x, plain));

  const TrainingMode training;
  const Tensor dropped = block.forward(x) - x;
  const Tensor zero = dropped.abs() < 1e-6;
  EXPECT_NEAR(zero.to(at::kFloat).mean().item<float>(), 0.25, 0.03);
  EXPECT_TRUE(
      at::allclose(dropped.masked_select(~zero), plain.masked_select(~zero) / 0.75, 1e-4, 1e-5));
  EXPECT_FALSE(at::equal(block.forward(x) - x, dropped));
}

}  // namespace
}  // namespace easel::nn
