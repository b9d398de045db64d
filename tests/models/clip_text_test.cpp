#include "easel/models/clip_text.h"

#include <functional>
#include <map>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"
#include "tests/support/model_cases.h"

namespace easel {
namespace {

const test::ModelCases& cases() {
  static const test::ModelCases cases("clip_text");
  return cases;
}

ClipText filled(const std::string& name, at::ScalarType dtype = at::kFloat,
                at::Device device = at::kCPU) {
  ClipText model(cases().clip_text(name));
  test::fill_hashed(model, dtype, device);
  return model;
}

class ClipTextParity : public testing::TestWithParam<std::string> {};

TEST_P(ClipTextParity, MatchesTransformersForEveryClipSkipAndLength) {
  const ClipText model = filled(GetParam());
  at::NoGradGuard no_grad;
  const Tensor& tokens = cases().tensor(GetParam(), "tokens");
  for (const int64_t length : {13, 5}) {
    for (const int64_t skip : {1, 2, 3}) {
      const std::string key = "skip_" + std::to_string(skip) + "_" + std::to_string(length);
      test::expect_close(model.forward(tokens.narrow(1, 0, length), skip),
                         cases().tensor(GetParam(), key), 1e-5, key);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ClipTextParity, testing::ValuesIn(cases().names()),
                         [](const auto& given) { return given.param; });

TEST(ClipText, HasTheParametersOfViTL14) {
  const ClipText model{ClipTextConfig{}};
  int64_t count = 0;
  std::map<std::string, std::string> shapes;
  for (const auto& [name, tensor] : nn::named_parameters(model)) {
    EXPECT_TRUE(tensor->is_meta()) << name;
    EXPECT_TRUE(shapes.emplace(name, shape_text(tensor->sizes())).second) << name << " twice";
    count += tensor->numel();
  }
  EXPECT_EQ(count, 123'060'480);
  EXPECT_EQ(shapes.size(), 196u);
  EXPECT_EQ(shapes["text_model.embeddings.token_embedding.weight"], "[49408, 768]");
  EXPECT_EQ(shapes["text_model.embeddings.position_embedding.weight"], "[77, 768]");
  EXPECT_EQ(shapes["text_model.encoder.layers.11.self_attn.out_proj.bias"], "[768]");
  EXPECT_EQ(shapes["text_model.encoder.layers.0.mlp.fc1.weight"], "[3072, 768]");
  EXPECT_EQ(shapes["text_model.final_layer_norm.bias"], "[768]");
}

TEST(ClipText, DoesNotLookAhead) {
  const ClipText model = filled("gelu");
  at::NoGradGuard no_grad;
  const Tensor tokens = cases().tensor("gelu", "tokens").clone();
  const Tensor before = model.forward(tokens);
  tokens.select(1, 12).add_(1).remainder_(99);
  const Tensor after = model.forward(tokens);
  test::expect_close(after.narrow(1, 0, 12), before.narrow(1, 0, 12), 1e-6);
  EXPECT_GT(test::relative_difference(after.select(1, 12), before.select(1, 12)), 1e-2);
}

TEST(ClipText, LayersHaveParametersOfTheirOwn) {
  ClipText model{ClipTextConfig{}};
  std::map<const void*, std::string> seen;
  for (const auto& [name, tensor] : nn::named_parameters(model)) {
    const auto [first, added] = seen.emplace(tensor->unsafeGetTensorImpl(), name);
    EXPECT_TRUE(added) << name << " is " << first->second;
  }
}

TEST(ClipText, GivesGradientsToEveryParameter) {
  ClipText model = filled("quick_gelu");
  for (const auto& [name, tensor] : nn::named_parameters(model)) tensor->requires_grad_();
  model.forward(cases().tensor("quick_gelu", "tokens")).pow(3).sum().backward();
  for (const auto& [name, tensor] : nn::named_parameters(model)) {
    ASSERT_TRUE(tensor->grad().defined()) << name;
    EXPECT_TRUE(at::isfinite(tensor->grad()).all().item<bool>()) << name;
  }
}

TEST(ClipText, RunsInHalfPrecision) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    at::NoGradGuard no_grad;
    const Tensor out = filled("quick_gelu", dtype).forward(cases().tensor("quick_gelu", "tokens"));
    EXPECT_EQ(out.scalar_type(), dtype);
    test::expect_close(out, cases().tensor("quick_gelu", "skip_1_13"));
  }
}

TEST(ClipText, RunsOnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const std::string& name : cases().names()) {
      at::NoGradGuard no_grad;
      const ClipText model = filled(name, dtype, at::kCUDA);
      test::expect_close(model.forward(cases().tensor(name, "tokens").to(at::kCUDA)),
                         cases().tensor(name, "skip_1_13"), name + " " + dtype_name(dtype));
    }
  }
}

TEST(ClipTextInput, OutOfRangeIsAnErrorThatSaysTheRange) {
  const ClipText model = filled("quick_gelu");
  const Tensor& tokens = cases().tensor("quick_gelu", "tokens");
  const auto failure = [&](const Tensor& t, int64_t skip = 1) -> std::string {
    try {
      model.forward(t, skip);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(failure(tokens), "");
  EXPECT_NE(failure(tokens, 0).find("from 1"), std::string::npos);
  EXPECT_NE(failure(tokens, -1).find("from 1"), std::string::npos);
  EXPECT_NE(failure(tokens, 4).find("to 3"), std::string::npos);
  EXPECT_NE(failure(tokens.repeat({1, 2})).find("T from 1 to 13"), std::string::npos);
  EXPECT_NE(failure(tokens.narrow(1, 0, 0)).find("T from 1 to 13"), std::string::npos);
  EXPECT_NE(failure(tokens.select(0, 0)).find("expected [B, T]"), std::string::npos);
  EXPECT_NE(failure(tokens + 99).find("vocabulary of 99"), std::string::npos);
  EXPECT_NE(failure(tokens - 99).find("vocabulary of 99"), std::string::npos);
}

TEST(ClipTextConfig, ThatCannotBeHonouredNamesTheField) {
  EXPECT_NO_THROW(check(ClipTextConfig{}));
  const auto expect_names = [](const char* field,
                               const std::function<void(ClipTextConfig&)>& change) {
    ClipTextConfig config;
    change(config);
    try {
      ClipText model(config);
      ADD_FAILURE() << field << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      EXPECT_NE(std::string(error.what()).find(field), std::string::npos) << error.what();
    }
  };
  expect_names("vocab_size", [](auto& c) { c.vocab_size = 0; });
  expect_names("hidden_size", [](auto& c) { c.hidden_size = -768; });
  expect_names("intermediate_size", [](auto& c) { c.intermediate_size = 0; });
  expect_names("num_hidden_layers", [](auto& c) { c.num_hidden_layers = 0; });
  expect_names("num_attention_heads", [](auto& c) { c.num_attention_heads = 5; });
  expect_names("num_attention_heads", [](auto& c) { c.num_attention_heads = 0; });
  expect_names("max_position_embeddings", [](auto& c) { c.max_position_embeddings = 0; });
  expect_names("hidden_act", [](auto& c) { c.hidden_act = "relu"; });
  expect_names("layer_norm_eps", [](auto& c) { c.layer_norm_eps = 0; });
}

}  // namespace
}  // namespace easel
