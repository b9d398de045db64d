#include "easel/models/unet.h"

#include <set>

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
  static const test::ModelCases cases("unet");
  return cases;
}

UNetConfig sd_v1() {
  UNetConfig config;
  config.num_heads = 8;
  config.use_spatial_transformer = true;
  config.context_dim = 768;
  config.legacy = false;
  return config;
}

// Small and quick, with a spatial transformer of context 24.
UNetConfig tiny() { return cases().unet("compvis_heads_legacy"); }

int64_t parameter_count(const UNet& unet) {
  int64_t count = 0;
  for (const auto& [name, tensor] : nn::named_parameters(unet)) count += tensor->numel();
  return count;
}

Tensor run(const UNet& unet, const std::string& name, at::ScalarType dtype = at::kFloat,
           at::Device device = at::kCPU) {
  const auto input = [&](const char* key) {
    const Tensor tensor = cases().find(name, key);
    if (!tensor.defined()) return tensor;
    return tensor.is_floating_point() ? tensor.to(device, dtype) : tensor.to(device);
  };
  return unet.forward(input("x"), cases().tensor(name, "t").to(device), input("context"),
                      input("label"));
}

std::string message(const UNetConfig& config) {
  try {
    check(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
  return "";
}

class UNetParity : public testing::TestWithParam<std::string> {};

TEST_P(UNetParity, MatchesTheReferenceNetwork) {
  UNet unet(cases().unet(GetParam()));
  test::fill_hashed(unet);
  at::NoGradGuard no_grad;
  test::expect_close(run(unet, GetParam()), cases().tensor(GetParam(), "out"), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, UNetParity, testing::ValuesIn(cases().names()),
                         [](const auto& given) { return given.param; });

TEST(UNet, HasTheParametersOfStableDiffusionV1) {
  const UNet unet(sd_v1());
  EXPECT_EQ(parameter_count(unet), 859'520'964);
  std::map<std::string, std::string> shapes;
  for (const auto& [name, tensor] : nn::named_parameters(unet)) {
    EXPECT_TRUE(tensor->is_meta()) << name;
    EXPECT_TRUE(shapes.emplace(name, shape_text(tensor->sizes())).second) << name << " twice";
  }
  EXPECT_EQ(shapes.size(), 686u);
  EXPECT_EQ(shapes["conv_in.weight"], "[320, 4, 3, 3]");
  EXPECT_EQ(shapes["time_embedding.linear_2.weight"], "[1280, 1280]");
  EXPECT_EQ(shapes["down_blocks.1.resnets.0.conv_shortcut.weight"], "[640, 320, 1, 1]");
  EXPECT_EQ(shapes["down_blocks.2.downsamplers.0.conv.weight"], "[1280, 1280, 3, 3]");
  EXPECT_EQ(shapes["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"], "[1280, 768]");
  EXPECT_EQ(shapes["up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj.weight"],
            "[2560, 320]");
  EXPECT_EQ(shapes["up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_out.0.bias"], "[320]");
  EXPECT_EQ(shapes["up_blocks.1.resnets.2.norm1.weight"], "[1920]");
  EXPECT_EQ(shapes.count("down_blocks.3.downsamplers.0.conv.weight"), 0u);
}

TEST(UNet, HasTheParametersOfOtherPublishedModels) {
  UNetConfig v2 = sd_v1();
  v2.num_heads = -1;
  v2.num_head_channels = 64;
  v2.context_dim = 1024;
  v2.use_linear_in_transformer = true;
  EXPECT_EQ(parameter_count(UNet(v2)), 865'910'724);

  UNetConfig inpainting = sd_v1();
  inpainting.in_channels = 9;
  EXPECT_EQ(parameter_count(UNet(inpainting)), 859'535'364);
}

TEST(UNet, DoesNotDependOnTheBatch) {
  UNet unet(tiny());
  test::fill_hashed(unet);
  at::NoGradGuard no_grad;
  const std::string name = "compvis_heads_legacy";
  const Tensor both = run(unet, name);
  for (int64_t i = 0; i < 2; ++i) {
    const auto row = [&](const char* key) { return cases().tensor(name, key).narrow(0, i, 1); };
    test::expect_close(unet.forward(row("x"), row("t"), row("context")), both.narrow(0, i, 1),
                       1e-5);
  }
}

TEST(UNet, LeavesItsInputsAlone) {
  UNet unet(tiny());
  test::fill_hashed(unet);
  at::NoGradGuard no_grad;
  const std::string name = "compvis_heads_legacy";
  const Tensor x = cases().tensor(name, "x").clone();
  const Tensor context = cases().tensor(name, "context").clone();
  const Tensor t = cases().tensor(name, "t").clone();
  unet.forward(x, t, context);
  EXPECT_TRUE(at::equal(x, cases().tensor(name, "x")));
  EXPECT_TRUE(at::equal(context, cases().tensor(name, "context")));
  EXPECT_TRUE(at::equal(t, cases().tensor(name, "t")));
  for (const auto& [parameter, tensor] : nn::named_parameters(unet)) {
    EXPECT_TRUE(at::equal(*tensor, test::hashed_tensor(parameter, tensor->sizes()))) << parameter;
  }
}

TEST(UNet, TakesTimestepsOfAnyNumberType) {
  UNet unet(tiny());
  test::fill_hashed(unet);
  at::NoGradGuard no_grad;
  const std::string name = "compvis_heads_legacy";
  const Tensor& x = cases().tensor(name, "x");
  const Tensor& context = cases().tensor(name, "context");
  const Tensor t = at::tensor({981.0, 3.0}, at::kDouble);
  const Tensor want = unet.forward(x, t.to(at::kFloat), context);
  EXPECT_TRUE(at::equal(unet.forward(x, t, context), want));
  EXPECT_TRUE(at::equal(unet.forward(x, t.to(at::kLong), context), want));
}

class UNetGradient : public testing::TestWithParam<std::string> {};

// The gradient with respect to every parameter and the input, against a central difference along
// it.
TEST_P(UNetGradient, IsTheSlopeOfTheOutput) {
  UNet unet(cases().unet(GetParam()));
  test::fill_hashed(unet, at::kDouble);
  const auto parameters = nn::named_parameters(unet);
  std::vector<Tensor> leaves;
  for (const auto& parameter : parameters) leaves.push_back(parameter.tensor->requires_grad_());
  const Tensor out = run(unet, GetParam(), at::kDouble);
  const Tensor direction = test::hashed_tensor("direction", out.sizes()).to(at::kDouble);
  (out * direction).sum().backward();

  at::NoGradGuard no_grad;
  double slope = 0;
  for (const Tensor& leaf : leaves) {
    ASSERT_TRUE(leaf.grad().defined());
    slope += leaf.grad().pow(2).sum().item<double>();
  }
  const double step = 1e-7 / std::sqrt(slope);
  const auto value_at = [&](double distance) {
    for (size_t i = 0; i < leaves.size(); ++i) {
      *parameters[i].tensor = leaves[i] + leaves[i].grad() * distance;
    }
    return (run(unet, GetParam(), at::kDouble) * direction).sum().item<double>();
  };
  const double difference = (value_at(step) - value_at(-step)) / (2 * step);
  EXPECT_GT(slope, 0);
  EXPECT_NEAR(difference / slope, 1, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Cases, UNetGradient,
                         testing::Values("compvis_heads_legacy", "compvis_plain_classes",
                                         "compvis_updown_scale_shift", "compvis_pooling",
                                         "diffusers_linear"),
                         [](const auto& given) { return given.param; });

TEST(UNet, RunsInHalfPrecision) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    for (const std::string name : {"compvis_v1_shape", "compvis_plain_classes"}) {
      UNet unet(cases().unet(name));
      test::fill_hashed(unet, dtype);
      at::NoGradGuard no_grad;
      const Tensor out = run(unet, name, dtype);
      EXPECT_EQ(out.scalar_type(), dtype);
      test::expect_close(out, cases().tensor(name, "out"), name + " " + dtype_name(dtype));
    }
  }
}

TEST(UNet, RunsOnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const std::string& name : cases().names()) {
      UNet unet(cases().unet(name));
      test::fill_hashed(unet, dtype, at::kCUDA);
      at::NoGradGuard no_grad;
      test::expect_close(run(unet, name, dtype, at::kCUDA), cases().tensor(name, "out"),
                         name + " " + dtype_name(dtype));
    }
  }
}

TEST(UNetInput, OfAWrongShapeIsAnErrorThatSaysTheRightOne) {
  UNet unet(cases().unet("compvis_updown"));
  test::fill_hashed(unet);
  const auto failure = [&](const Tensor& x, const Tensor& t, const Tensor& context,
                           const Tensor& label = {}) -> std::string {
    try {
      unet.forward(x, t, context, label);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto zeros = [](at::IntArrayRef shape) { return at::zeros(shape); };
  EXPECT_EQ(failure(zeros({2, 4, 8, 12}), zeros({2}), zeros({2, 7, 24})), "");
  EXPECT_NE(failure(zeros({2, 4, 8, 9}), zeros({2}), zeros({2, 7, 24}))
                .find("8 x 9 (height x width); both must be multiples of 2"),
            std::string::npos);
  EXPECT_NE(failure(zeros({2, 4, 0, 8}), zeros({2}), zeros({2, 7, 24})).find("multiples of 2"),
            std::string::npos);
  EXPECT_NE(
      failure(zeros({2, 9, 8, 8}), zeros({2}), zeros({2, 7, 24})).find("expected [B, 4, H, W]"),
      std::string::npos);
  EXPECT_NE(failure(zeros({2, 4, 8, 8}), zeros({1}), zeros({2, 7, 24})).find("expected [2]"),
            std::string::npos);
  EXPECT_NE(failure(zeros({2, 4, 8, 8}), zeros({2}), zeros({2, 7, 32})).find("expected [2, T, 24]"),
            std::string::npos);
  EXPECT_NE(failure(zeros({2, 4, 8, 8}), zeros({2}), {}).find("none; expected [2, T, 24]"),
            std::string::npos);
  EXPECT_NE(failure(zeros({2, 4, 8, 8}), zeros({2}), zeros({2, 7, 24}), at::zeros({2}, at::kLong))
                .find("no classes"),
            std::string::npos);
}

TEST(UNetInput, ClassLabelsAreChecked) {
  const std::string name = "compvis_classes";
  UNet unet(cases().unet(name));
  test::fill_hashed(unet);
  const auto run_with = [&](const Tensor& label) {
    unet.forward(cases().tensor(name, "x"), cases().tensor(name, "t"),
                 cases().tensor(name, "context"), label);
  };
  EXPECT_NO_THROW(run_with(at::tensor({0, 4}, at::kLong)));
  EXPECT_THROW(run_with(at::tensor({0, 5}, at::kLong)), Error);
  EXPECT_THROW(run_with(at::tensor({-1, 0}, at::kLong)), Error);
  EXPECT_THROW(run_with(at::tensor({0}, at::kLong)), Error);
  EXPECT_THROW(run_with({}), Error);
}

TEST(UNetInput, ExtrasAreChecked) {
  const std::string name = "diffusers_base";
  const auto run_with = [&](const UNetConfig& config, const UNetExtras& extras) {
    UNet unet(config);
    test::fill_hashed(unet);
    return unet.forward(cases().tensor(name, "x"), cases().tensor(name, "t"),
                        cases().tensor(name, "context"), {}, extras);
  };
  at::NoGradGuard no_grad;
  UNetConfig config = cases().unet(name);
  const int64_t batch = cases().tensor(name, "x").size(0);
  UNetExtras extras;
  const Tensor plain = run_with(config, extras);
  extras.skips_BCHW.resize(2, at::zeros({1}));
  EXPECT_THROW(run_with(config, extras), Error);
  extras.skips_BCHW.assign(4, at::zeros({1, 1, 1, 1}));  // two levels: 1 + 2 + 1
  extras.mid_BCHW = at::zeros({1, 1, 1, 1});
  test::expect_close(run_with(config, extras), plain, 1e-6);
  extras.mid_BCHW = at::ones({1, 1, 1, 1});
  EXPECT_GT(test::relative_difference(run_with(config, extras), plain), 1e-3);

  UNetExtras scale;
  scale.guidance_B = at::ones({batch});
  EXPECT_THROW(run_with(config, scale), Error);
  config.time_cond_proj_dim = 8;
  EXPECT_THROW(run_with(config, {}), Error);
  const Tensor at_one = run_with(config, scale);
  scale.guidance_B = at::full({batch}, 5.0);
  EXPECT_GT(test::relative_difference(run_with(config, scale), at_one), 1e-3);
  scale.guidance_B = at::ones({batch + 1});
  EXPECT_THROW(run_with(config, scale), Error);
  config.time_cond_proj_dim = 2;
  EXPECT_THROW(run_with(config, scale), Error);
}

TEST(UNetConfig, ThatCannotBeHonouredNamesTheField) {
  EXPECT_EQ(message(sd_v1()), "");
  const auto changed = [](const std::function<void(UNetConfig&)>& change) {
    UNetConfig config = sd_v1();
    change(config);
    return message(config);
  };
  const auto expect_names = [&](const char* field, const std::function<void(UNetConfig&)>& change) {
    const std::string text = changed(change);
    EXPECT_NE(text.find(field), std::string::npos) << field << ": got '" << text << "'";
    EXPECT_THROW(
        {
          UNetConfig config = sd_v1();
          change(config);
          UNet unet(config);
        },
        Error);
  };
  expect_names("in_channels", [](auto& c) { c.in_channels = 0; });
  expect_names("out_channels", [](auto& c) { c.out_channels = -4; });
  expect_names("model_channels", [](auto& c) { c.model_channels = 100; });
  expect_names("model_channels", [](auto& c) { c.model_channels = int64_t{1} << 60; });
  expect_names("channel_mult", [](auto& c) { c.channel_mult = {}; });
  expect_names("channel_mult", [](auto& c) { c.channel_mult = {2, 2, 4, 4}; });
  expect_names("channel_mult", [](auto& c) { c.channel_mult = {1, 0, 4, 4}; });
  expect_names("channel_mult", [](auto& c) { c.channel_mult.assign(40, 1); });
  expect_names("num_res_blocks", [](auto& c) { c.num_res_blocks = {2, 2}; });
  expect_names("num_res_blocks", [](auto& c) { c.num_res_blocks = {2, 2, 2, -1}; });
  expect_names("attention_resolutions", [](auto& c) { c.attention_resolutions = {4, -1}; });
  expect_names("dropout", [](auto& c) { c.dropout = 1.5; });
  expect_names("num_heads", [](auto& c) { c.num_heads = -1; });
  expect_names("num_heads", [](auto& c) { c.num_heads = 0; });
  expect_names("num_head_channels", [](auto& c) { c.num_head_channels = 100'000; });
  expect_names("num_heads_upsample", [](auto& c) { c.num_heads_upsample = 0; });
  expect_names("transformer_depth", [](auto& c) { c.transformer_depth = 0; });
  expect_names("context_dim", [](auto& c) { c.context_dim.reset(); });
  expect_names("use_spatial_transformer", [](auto& c) { c.use_spatial_transformer = false; });
  expect_names("num_classes", [](auto& c) { c.num_classes = 0; });
  expect_names("num_heads", [](auto& c) {
    c.use_spatial_transformer = false;
    c.context_dim.reset();
    c.num_heads = 7;
  });
}

TEST(UNetPlan, GivesTheHeadsOfPlainAttentionByCompVissRules) {
  const UNetPlan old_order = plan(cases().unet("compvis_plain_heads_upsample"));
  EXPECT_EQ(old_order.down[0].layers[0].attention->heads, 4);
  EXPECT_EQ(old_order.mid_attention.heads, 4);
  EXPECT_EQ(old_order.up[0].layers[0].attention->heads, 2);
  const UNetPlan by_channels = plan(cases().unet("compvis_plain_head_channels"));
  EXPECT_EQ(by_channels.down[0].layers[0].attention->heads, 2);
  EXPECT_EQ(by_channels.mid_attention.heads, 4);
  EXPECT_EQ(by_channels.up[1].layers[0].in_channels, 96);
}

}  // namespace
}  // namespace easel
