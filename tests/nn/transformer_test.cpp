#include "easel/nn/transformer.h"

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
std::vector<std::string> names(const Layer& layer) {
  std::vector<std::string> names;
  for (const auto& parameter : named_parameters(layer)) names.push_back(parameter.name);
  return names;
}

TEST(Attention, WithoutAContextAttendsToItself) {
  Attention attention(
      {.query_channels = 24, .context_channels = 24, .heads = 3, .head_channels = 5});
  EXPECT_EQ(names(attention), (std::vector<std::string>{"to_q.weight", "to_k.weight", "to_v.weight",
                                                        "to_out.0.weight", "to_out.0.bias"}));
  test::fill_hashed(attention);
  const Tensor x = random({2, 6, 24});
  EXPECT_TRUE(at::equal(attention.forward(x), attention.forward(x, x)));
}

TEST(AttentionBlock, DoesNotCareAboutTheOrderOfPositions) {
  AttentionBlock block(64, 4, 1e-5);
  EXPECT_EQ(names(block).front(), "group_norm.weight");
  EXPECT_EQ(names(block)[3], "to_q.bias");
  test::fill_hashed(block);
  const Tensor x = random({1, 64, 3, 4});
  test::expect_close(block.forward(x.flip(3)), block.forward(x).flip(3), 1e-5);
}

TEST(SpatialTransformer, GivesTheSameWithEitherShapeOfProjection) {
  SpatialTransformerOptions options{
      .channels = 32, .heads = 3, .head_channels = 8, .context_channels = 10, .depth = 2};
  SpatialTransformer conv(options);
  options.use_linear = true;
  SpatialTransformer linear(options);
  EXPECT_EQ(names(conv), names(linear));
  EXPECT_EQ(shape_text(conv.proj_in.weight.sizes()), "[24, 32, 1, 1]");
  EXPECT_EQ(shape_text(linear.proj_in.weight.sizes()), "[24, 32]");
  EXPECT_EQ(shape_text(linear.proj_out.weight.sizes()), "[32, 24]");
  test::fill_hashed(conv);
  test::fill_hashed(linear);
  const Tensor x = random({2, 32, 3, 4});
  const Tensor context = random({2, 7, 10});
  const Tensor out = conv.forward(x, context);
  EXPECT_TRUE(out.is_contiguous());
  EXPECT_TRUE(at::equal(out, linear.forward(x, context)));
}

// A map of one channel or one position has views where others have copies.
TEST(SpatialTransformer, LeavesAMapOfOnePositionAlone) {
  SpatialTransformer transformer(
      {.channels = 32, .heads = 1, .head_channels = 32, .context_channels = 10});
  test::fill_hashed(transformer);
  const Tensor x = random({1, 32, 1, 1});
  const Tensor before = x.clone();
  transformer.forward(x, random({1, 7, 10}));
  EXPECT_TRUE(at::equal(x, before));
}

}  // namespace
}  // namespace easel::nn
