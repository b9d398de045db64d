// Outputs are checked against the authors' network in tests/checkpoint, against diffusers' pipeline
// in tests/pipeline.
#include "easel/models/control_net.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"

namespace easel {
namespace {

ControlNetConfig small() {
  ControlNetConfig config{.unet = {}, .hint_channels = {4, 8}};
  config.unet.model_channels = 32;
  config.unet.num_res_blocks = {1, 2};
  config.unet.attention_resolutions = {1};
  config.unet.channel_mult = {1, 2};
  config.unet.num_heads = 4;
  config.unet.use_spatial_transformer = true;
  config.unet.context_dim = 16;
  return config;
}

TEST(ControlNet, GivesOneResidualForEverySkipAndTheMiddle) {
  ControlNet network(small());
  test::fill_hashed(network);
  EXPECT_EQ(network.downsampling(), 2);
  at::NoGradGuard no_grad;
  const Tensor embedded = network.embed(at::rand({1, 3, 12, 16}));
  EXPECT_EQ(shape_text(embedded.sizes()), "[1, 32, 6, 8]");
  const ControlResiduals got =
      network.forward(at::rand({2, 4, 6, 8}), at::full({2}, 7.0), at::rand({2, 5, 16}), embedded);
  ASSERT_EQ(got.skips_BCHW.size(), 5u);
  EXPECT_EQ(shape_text(got.skips_BCHW[0].sizes()), "[2, 32, 6, 8]");
  EXPECT_EQ(shape_text(got.skips_BCHW[2].sizes()), "[2, 32, 3, 4]");
  EXPECT_EQ(shape_text(got.skips_BCHW[4].sizes()), "[2, 64, 3, 4]");
  EXPECT_EQ(shape_text(got.mid_BCHW.sizes()), "[2, 64, 3, 4]");
}

TEST(ControlNet, WrongInputsAndConfigsAreErrors) {
  ControlNet network(small());
  test::fill_hashed(network);
  at::NoGradGuard no_grad;
  EXPECT_THROW(network.embed(at::zeros({1, 1, 12, 16})), Error);
  const Tensor embedded = network.embed(at::zeros({1, 3, 12, 16}));
  const Tensor t = at::zeros({1});
  const Tensor context = at::zeros({1, 5, 16});
  EXPECT_THROW(network.forward(at::zeros({1, 9, 6, 8}), t, context, embedded), Error);
  EXPECT_THROW(network.forward(at::zeros({1, 4, 8, 8}), t, context, embedded), Error);
  ControlNetConfig config = small();
  config.hint_channels.clear();
  EXPECT_THROW(ControlNet{config}, Error);
  config = small();
  config.hint_channels.front() = 0;
  EXPECT_THROW(ControlNet{config}, Error);
}

}  // namespace
}  // namespace easel
