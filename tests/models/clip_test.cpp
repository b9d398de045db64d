#include "easel/models/clip.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>

#include "tests/support/compare.h"
#include "tests/support/gradients.h"
#include "tests/support/hashed_weights.h"
#include "tests/support/model_cases.h"

namespace easel {
namespace {

const test::ModelCases& cases() {
  static const test::ModelCases cases("clip");
  return cases;
}

Clip filled(const std::string& name, at::Device device = at::kCPU) {
  Clip clip(cases().clip(name));
  test::fill_hashed(clip, at::kFloat, device);
  clip.logit_scale = cases().tensor(name, "logit_scale").clone().to(device);
  return clip;
}

Tensor loss_of(const Clip& clip, const Tensor& tokens, const Tensor& pictures) {
  return contrastive_loss(clip.encode_text(tokens), clip.encode_image(pictures), clip.logit_scale);
}

template <class Function>
std::string failure(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class ClipParity : public testing::TestWithParam<std::string> {};

TEST_P(ClipParity, MatchesTransformers) {
  const Clip clip = filled(GetParam());
  at::NoGradGuard no_grad;
  const auto want = [&](const char* key) { return cases().tensor(GetParam(), key); };
  const Tensor text = clip.encode_text(want("tokens"));
  const Tensor image = clip.encode_image(want("pictures"));
  test::expect_close(text, want("text"), 1e-5);
  test::expect_close(image, want("image"), 1e-5);
  test::expect_close(clip.vision.forward(want("pictures")), want("states"), 1e-5);
  test::expect_close(clip.vision.pooled(want("pictures")), want("pooled"), 1e-5);
  test::expect_close(clip_logits(text, image, clip.logit_scale), want("logits"), 1e-5);
  test::expect_close(contrastive_loss(text, image, clip.logit_scale), want("loss"), 1e-5);
}

TEST_P(ClipParity, MatchesTheGradientsOfTransformers) {
  Clip clip = filled(GetParam());
  test::require_gradients(clip);
  Tensor pictures = cases().tensor(GetParam(), "pictures").clone().requires_grad_();
  loss_of(clip, cases().tensor(GetParam(), "tokens"), pictures).backward();
  test::Gradients gradients = test::gradients_of(clip);
  gradients["input.pictures"] = pictures.grad();
  test::expect_gradients(gradients, cases().tensor(GetParam(), "gradients"), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Cases, ClipParity, testing::ValuesIn(cases().names()),
                         [](const auto& given) { return given.param; });

TEST(Clip, HasTheParametersOfViTL14) {
  ClipConfig config;
  config.vision = {.hidden_size = 1024,
                   .intermediate_size = 4096,
                   .num_hidden_layers = 24,
                   .num_attention_heads = 16,
                   .patch_size = 14};
  config.projection_dim = 768;
  const Clip clip(config);
  int64_t count = 0;
  for (const auto& [name, tensor] : nn::named_parameters(clip)) count += tensor->numel();
  EXPECT_EQ(count, 427'616'513);  // openai/clip-vit-large-patch14
}

// The text tower alone loads from the same names.
TEST(Clip, HoldsTheParametersOfItsTextTower) {
  const Clip clip(cases().clip("base"));
  std::map<std::string, std::string> shapes;
  for (const auto& [name, tensor] : nn::named_parameters(clip)) {
    EXPECT_TRUE(shapes.emplace(name, shape_text(tensor->sizes())).second) << name << " twice";
  }
  const ClipText text(cases().clip("base").text);
  for (const auto& [name, tensor] : nn::named_parameters(text)) {
    EXPECT_EQ(shapes[name], shape_text(tensor->sizes())) << name;
  }
  EXPECT_EQ(shapes["vision_model.embeddings.class_embedding"], "[48]");
  EXPECT_EQ(shapes["vision_model.embeddings.patch_embedding.weight"], "[48, 3, 4, 4]");
  EXPECT_EQ(shapes.count("vision_model.embeddings.patch_embedding.bias"), 0u);
  EXPECT_EQ(shapes["vision_model.pre_layrnorm.bias"], "[48]");
  EXPECT_EQ(shapes["visual_projection.weight"], "[24, 48]");
  EXPECT_EQ(shapes["logit_scale"], "[]");
}

TEST(Clip, TakesTheFirstEndOfText) {
  const Clip clip = filled("base");
  at::NoGradGuard no_grad;
  const Tensor tokens = cases().tensor("base", "tokens").narrow(0, 0, 1).clone();
  const int64_t eos = clip.config().eos_token_id;
  const Tensor before = clip.encode_text(tokens);
  const int64_t end = (tokens[0] == eos).nonzero()[0].item<int64_t>();
  tokens[0].narrow(0, end + 1, tokens.size(1) - end - 1).fill_(eos);
  test::expect_close(clip.encode_text(tokens), before, 1e-6);
  tokens[0][end - 1] = eos;
  EXPECT_GT(test::relative_difference(clip.encode_text(tokens), before), 1e-2);
}

TEST(Clip, TheTemperatureStopsAtTheBound) {
  const Tensor text = test::hashed_tensor("text", {3, 8});
  const Tensor image = test::hashed_tensor("image", {3, 8});
  const Tensor bound = at::scalar_tensor(std::log(100.0), at::kFloat);
  EXPECT_TRUE(at::equal(clip_logits(text, image, bound + 3), clip_logits(text, image, bound)));
  EXPECT_LE(clip_logits(text, text, bound + 3).max().item<float>(), 100.01f);

  Clip clip(cases().clip("base"));
  for (const auto& [value, want] : {std::pair(9.0, std::log(100.0)), std::pair(-2.0, -2.0)}) {
    clip.logit_scale = at::scalar_tensor(value, at::kFloat).requires_grad_();
    clamp_logit_scale(clip);
    EXPECT_FLOAT_EQ(clip.logit_scale.item<float>(), static_cast<float>(want));
    EXPECT_TRUE(clip.logit_scale.requires_grad());
  }
}

// Equal features of every pair tell nothing: each of n is as likely.
TEST(Clip, TheLossOfUselessFeaturesIsTheLogarithmOfTheirNumber) {
  const Tensor ones = at::ones({5, 4});
  EXPECT_NEAR(contrastive_loss(ones, ones, at::zeros({})).item<float>(), std::log(5.0), 1e-6);
  const Tensor apart = at::eye(5);
  EXPECT_LT(contrastive_loss(apart, apart, at::full({}, 4.6)).item<float>(), 1e-6);
}

TEST(ClipInput, ThatDoesNotFitIsAnErrorThatSaysWhy) {
  const Clip clip = filled("base");
  const Tensor& tokens = cases().tensor("base", "tokens");
  const Tensor& pictures = cases().tensor("base", "pictures");
  const Tensor no_end = tokens.clone();
  no_end[2].masked_fill_(no_end[2] == clip.config().eos_token_id, 0);
  EXPECT_NE(failure([&] { clip.encode_text(no_end); }).find("caption 2 of 4 have no end of text"),
            std::string::npos);
  EXPECT_NE(failure([&] { clip.encode_image(pictures.narrow(2, 0, 8)); }).find("[B, 3, 16, 16]"),
            std::string::npos);
  EXPECT_NE(failure([&] { clip.encode_image(pictures.narrow(1, 0, 1)); }).find("[B, 3, 16, 16]"),
            std::string::npos);
  const auto loss = [](at::IntArrayRef text, at::IntArrayRef image) {
    return failure([&] { contrastive_loss(at::ones(text), at::ones(image), at::zeros({})); });
  };
  EXPECT_NE(loss({3, 4}, {2, 4}).find("3 captions and 2 pictures"), std::string::npos);
  EXPECT_NE(loss({3, 4}, {3, 5}).find("of one D"), std::string::npos);
  EXPECT_NE(loss({0, 4}, {0, 4}).find("0 captions"), std::string::npos);
}

TEST(ClipConfig, ThatCannotBeHonouredNamesTheField) {
  EXPECT_NO_THROW(check(ClipConfig{}));
  const auto expect_names = [](const char* field, const std::function<void(ClipConfig&)>& change) {
    ClipConfig config;
    change(config);
    EXPECT_NE(failure([&] { Clip clip(config); }).find(field), std::string::npos) << field;
  };
  expect_names("vision encoder config: hidden_size", [](auto& c) { c.vision.hidden_size = 0; });
  expect_names("vision encoder config: hidden_size 768 is not a multiple of num_attention_heads 5",
               [](auto& c) { c.vision.num_attention_heads = 5; });
  expect_names("num_hidden_layers", [](auto& c) { c.vision.num_hidden_layers = -1; });
  expect_names("num_channels", [](auto& c) { c.vision.num_channels = 0; });
  expect_names("image_size", [](auto& c) { c.vision.image_size = 0; });
  expect_names("patch_size", [](auto& c) { c.vision.patch_size = 0; });
  expect_names("patch_size", [](auto& c) { c.vision.patch_size = 225; });
  expect_names("image_size / patch_size", [](auto& c) {
    c.vision.image_size = 1 << 20;
    c.vision.patch_size = 1;
  });
  expect_names("hidden_act", [](auto& c) { c.vision.hidden_act = "relu"; });
  expect_names("text encoder config: vocab_size", [](auto& c) { c.text.vocab_size = 0; });
  expect_names("projection_dim", [](auto& c) { c.projection_dim = 0; });
  expect_names("eos_token_id", [](auto& c) { c.eos_token_id = c.text.vocab_size; });
  expect_names("logit_scale_init_value", [](auto& c) { c.logit_scale_init_value = 5; });
}

TEST(Clip, RunsOnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  for (const std::string& name : cases().names()) {
    at::NoGradGuard no_grad;
    const Clip clip = filled(name, at::kCUDA);
    test::expect_close(loss_of(clip, cases().tensor(name, "tokens").to(at::kCUDA),
                               cases().tensor(name, "pictures").to(at::kCUDA)),
                       cases().tensor(name, "loss"), 1e-3, name);
  }
}

}  // namespace
}  // namespace easel
