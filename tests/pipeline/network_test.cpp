#include "easel/pipeline/network.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/tiny_model.h"

namespace easel {
namespace {

StableDiffusion model_of(ConditioningKey key) {
  ModelConfig config = test::tiny_config();
  config.conditioning_key = key;
  if (key != ConditioningKey::CrossAttention) config.unet.in_channels = 9;
  if (key == ConditioningKey::Concat) {
    config.unet.use_spatial_transformer = false;
    config.unet.context_dim = std::nullopt;
  }
  return test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config);
}

const Tensor x_BCHW = at::arange(2 * 4 * 8 * 8).sin().reshape({2, 4, 8, 8});
const Tensor extra_BCHW = at::arange(2 * 5 * 8 * 8).cos().reshape({2, 5, 8, 8});
const Tensor context_BTD = at::arange(2 * 7 * 32).cos().reshape({2, 7, 32});
const Tensor t_B = at::full({2}, 500.0);

TEST(Network, HybridTakesContextAndStackedChannels) {
  const StableDiffusion model = model_of(ConditioningKey::Hybrid);
  const Network network = make_network(model);
  const Tensor got = network(
      x_BCHW, t_B, {.context_BTD = context_BTD, .concat_BCHW = extra_BCHW, .class_label_B = {}});
  EXPECT_TRUE(
      at::equal(got, model.unet.forward(at::cat({x_BCHW, extra_BCHW}, 1), t_B, context_BTD)));
  EXPECT_EQ(got.sizes(), x_BCHW.sizes());
}

TEST(Network, ConcatTakesStackedChannelsAlone) {
  const StableDiffusion model = model_of(ConditioningKey::Concat);
  const Tensor got = make_network(model)(
      x_BCHW, t_B, {.context_BTD = {}, .concat_BCHW = extra_BCHW, .class_label_B = {}});
  EXPECT_TRUE(at::equal(got, model.unet.forward(at::cat({x_BCHW, extra_BCHW}, 1), t_B, {})));
}

TEST(Network, APartThatDoesNotBelongOrIsMissingIsAnError) {
  const StableDiffusion hybrid = model_of(ConditioningKey::Hybrid);
  const StableDiffusion plain = model_of(ConditioningKey::CrossAttention);
  const Conditioning context{.context_BTD = context_BTD, .concat_BCHW = {}, .class_label_B = {}};
  const Conditioning both{
      .context_BTD = context_BTD, .concat_BCHW = extra_BCHW, .class_label_B = {}};
  EXPECT_THROW(make_network(hybrid)(x_BCHW, t_B, context), Error);
  EXPECT_THROW(make_network(plain)(x_BCHW, t_B, both), Error);
  EXPECT_THROW(make_network(plain)(x_BCHW, t_B, {}), Error);
  EXPECT_EQ(make_network(plain)(x_BCHW, t_B, context).sizes(), x_BCHW.sizes());
}

}  // namespace
}  // namespace easel
