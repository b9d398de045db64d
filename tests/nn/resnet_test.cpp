#include "easel/nn/resnet.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"

namespace easel::nn {
namespace {

Tensor random(at::IntArrayRef shape) {
  return at::randn(shape, at::detail::createCPUGenerator(7), at::kFloat);
}

// Whole networks of these blocks are compared with CompVis's and diffusers' in tests/models; here
// stand the shapes and what no network shows.
TEST(ResBlock, TakesATimeEmbeddingExactlyWhereItHasAProjection) {
  ResBlock timeless({.in_channels = 32, .out_channels = 64});
  EXPECT_FALSE(timeless.time_emb_proj);
  EXPECT_TRUE(timeless.conv_shortcut);
  test::fill_hashed(timeless);
  EXPECT_EQ(shape_text(timeless.forward(random({2, 32, 4, 6})).sizes()), "[2, 64, 4, 6]");
  EXPECT_THROW(timeless.forward(random({2, 32, 4, 6}), random({2, 128})), c10::Error);

  ResBlock timed({.in_channels = 32, .out_channels = 32, .time_channels = 128});
  EXPECT_FALSE(timed.conv_shortcut);
  test::fill_hashed(timed);
  EXPECT_NO_THROW(timed.forward(random({2, 32, 4, 6}), random({2, 128})));
  EXPECT_THROW(timed.forward(random({2, 32, 4, 6})), c10::Error);
}

TEST(ResBlock, ScaleAndShiftOfZeroIsNoTimeEmbedding) {
  ResBlock timeless({.in_channels = 32, .out_channels = 32});
  ResBlock timed({.in_channels = 32, .out_channels = 32, .time_channels = 8, .scale_shift = true});
  EXPECT_EQ(shape_text(timed.time_emb_proj->weight.sizes()), "[64, 8]");
  test::fill_hashed(timeless);
  test::fill_hashed(timed);
  timed.time_emb_proj->bias = at::zeros({64});
  const Tensor x = random({1, 32, 4, 4});
  test::expect_close(timed.forward(x, at::zeros({1, 8})), timeless.forward(x), 1e-6);
}

TEST(ResBlock, ResamplesByTwo) {
  ResBlock down({.in_channels = 32, .out_channels = 32, .resample = Resample::Down});
  ResBlock up({.in_channels = 32, .out_channels = 32, .resample = Resample::Up});
  test::fill_hashed(down);
  test::fill_hashed(up);
  EXPECT_EQ(shape_text(down.forward(random({1, 32, 4, 6})).sizes()), "[1, 32, 2, 3]");
  EXPECT_EQ(shape_text(up.forward(random({1, 32, 4, 6})).sizes()), "[1, 32, 8, 12]");
}

TEST(Resampling, HalvesAndDoubles) {
  using Kind = Downsample::Kind;
  for (const Kind kind : {Kind::Conv, Kind::ConvAsymmetric, Kind::AveragePool}) {
    Downsample layer(32, kind);
    EXPECT_EQ(named_parameters(layer).size(), kind == Kind::AveragePool ? 0u : 2u);
    test::fill_hashed(layer);
    EXPECT_EQ(shape_text(layer.forward(random({1, 32, 4, 6})).sizes()), "[1, 32, 2, 3]");
  }
  for (const bool with_conv : {true, false}) {
    Upsample layer(32, with_conv);
    EXPECT_EQ(named_parameters(layer).size(), with_conv ? 2u : 0u);
    test::fill_hashed(layer);
    EXPECT_EQ(shape_text(layer.forward(random({1, 32, 4, 6})).sizes()), "[1, 32, 8, 12]");
  }
}

// A picture moved by the stride moves the result: the two kinds differ in which side is padded.
TEST(Resampling, PadsTheSidesThatItSays) {
  Downsample both(1, Downsample::Kind::Conv);
  Downsample bottom_right(1, Downsample::Kind::ConvAsymmetric);
  for (Downsample* layer : {&both, &bottom_right}) {
    layer->conv->weight = at::zeros({1, 1, 3, 3});
    layer->conv->weight[0][0][0][0] = 1;  // the value at the top left of the window
    layer->conv->bias = at::zeros({1});
  }
  const Tensor x = at::arange(16, at::kFloat).reshape({1, 1, 4, 4});
  EXPECT_TRUE(at::equal(both.forward(x).flatten(), at::tensor({0.f, 0.f, 0.f, 5.f})));
  EXPECT_TRUE(at::equal(bottom_right.forward(x).flatten(), at::tensor({0.f, 2.f, 8.f, 10.f})));
}

}  // namespace
}  // namespace easel::nn
