#include "easel/models/autoencoder.h"

#include <cmath>
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
  static const test::ModelCases cases("autoencoder");
  return cases;
}

Tensor input(const std::string& name, const char* key, at::ScalarType dtype = at::kFloat,
             at::Device device = at::kCPU) {
  return cases().tensor(name, key).to(device, dtype);
}

class AutoencoderParity : public testing::TestWithParam<std::string> {};

TEST_P(AutoencoderParity, MatchesTheReferenceNetwork) {
  Autoencoder autoencoder(cases().autoencoder(GetParam()));
  test::fill_hashed(autoencoder);
  at::NoGradGuard no_grad;
  const Posterior posterior = autoencoder.encode(input(GetParam(), "x"));
  test::expect_close(posterior.mean_BCHW, cases().tensor(GetParam(), "mean"), 1e-5);
  test::expect_close(posterior.logvar_BCHW, cases().tensor(GetParam(), "logvar"), 1e-5);
  test::expect_close(autoencoder.decode(input(GetParam(), "z")),
                     cases().tensor(GetParam(), "decoded"), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, AutoencoderParity, testing::ValuesIn(cases().names()),
                         [](const auto& given) { return given.param; });

TEST(Autoencoder, HasTheParametersOfStableDiffusionV1) {
  const Autoencoder autoencoder{AutoencoderConfig{}};
  int64_t count = 0;
  std::map<std::string, std::string> shapes;
  for (const auto& [name, tensor] : nn::named_parameters(autoencoder)) {
    EXPECT_TRUE(tensor->is_meta()) << name;
    EXPECT_TRUE(shapes.emplace(name, shape_text(tensor->sizes())).second) << name << " twice";
    count += tensor->numel();
  }
  EXPECT_EQ(count, 83'653'863);
  EXPECT_EQ(shapes.size(), 248u);
  EXPECT_EQ(shapes["encoder.down_blocks.1.resnets.0.conv_shortcut.weight"], "[256, 128, 1, 1]");
  EXPECT_EQ(shapes["encoder.down_blocks.2.downsamplers.0.conv.weight"], "[512, 512, 3, 3]");
  EXPECT_EQ(shapes["encoder.mid_block.attentions.0.to_q.weight"], "[512, 512]");
  EXPECT_EQ(shapes["decoder.mid_block.attentions.0.to_out.0.bias"], "[512]");
  EXPECT_EQ(shapes["decoder.up_blocks.2.upsamplers.0.conv.weight"], "[256, 256, 3, 3]");
  EXPECT_EQ(shapes["quant_conv.weight"], "[8, 8, 1, 1]");
  EXPECT_EQ(shapes["post_quant_conv.weight"], "[4, 4, 1, 1]");
  EXPECT_EQ(autoencoder.config().downsampling(), 8);
}

TEST(Autoencoder, ClampsTheLogVariance) {
  Autoencoder autoencoder(cases().autoencoder("compvis_base"));
  test::fill_hashed(autoencoder);
  for (const auto& [name, tensor] : nn::named_parameters(autoencoder)) {
    if (name != "quant_conv.bias") continue;
    *tensor = *tensor + at::tensor({0.f, 0.f, 0.f, 0.f, 100.f, -100.f, 0.f, 0.f});
  }
  at::NoGradGuard no_grad;
  const Tensor logvar = autoencoder.encode(input("compvis_base", "x")).logvar_BCHW;
  test::expect_close(logvar, cases().tensor("compvis_base", "clamped"), 1e-5);
  EXPECT_EQ(logvar.max().item<float>(), 20);
  EXPECT_EQ(logvar.min().item<float>(), -30);
}

TEST(Autoencoder, LeavesItsInputsAlone) {
  Autoencoder autoencoder(cases().autoencoder("compvis_base"));
  test::fill_hashed(autoencoder);
  at::NoGradGuard no_grad;
  const Tensor x = input("compvis_base", "x").clone();
  const Tensor z = input("compvis_base", "z").clone();
  autoencoder.encode(x);
  autoencoder.decode(z);
  EXPECT_TRUE(at::equal(x, cases().tensor("compvis_base", "x")));
  EXPECT_TRUE(at::equal(z, cases().tensor("compvis_base", "z")));
}

TEST(Autoencoder, GivesGradientsToEveryParameter) {
  Autoencoder autoencoder(cases().autoencoder("compvis_attention_both"));
  test::fill_hashed(autoencoder);
  for (const auto& [name, tensor] : nn::named_parameters(autoencoder)) tensor->requires_grad_();
  const Posterior posterior = autoencoder.encode(input("compvis_attention_both", "x"));
  const Tensor decoded = autoencoder.decode(posterior.mean_BCHW);
  (decoded.pow(2).sum() + posterior.logvar_BCHW.sum()).backward();
  for (const auto& [name, tensor] : nn::named_parameters(autoencoder)) {
    ASSERT_TRUE(tensor->grad().defined()) << name;
    EXPECT_TRUE(at::isfinite(tensor->grad()).all().item<bool>()) << name;
  }
}

TEST(Autoencoder, RunsInHalfPrecision) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    const std::string name = "compvis_v1_shape";
    Autoencoder autoencoder(cases().autoencoder(name));
    test::fill_hashed(autoencoder, dtype);
    at::NoGradGuard no_grad;
    test::expect_close(autoencoder.encode(input(name, "x", dtype)).mean_BCHW,
                       cases().tensor(name, "mean"), dtype_name(dtype));
    test::expect_close(autoencoder.decode(input(name, "z", dtype)), cases().tensor(name, "decoded"),
                       dtype_name(dtype));
  }
}

TEST(Autoencoder, RunsOnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const std::string& name : cases().names()) {
      Autoencoder autoencoder(cases().autoencoder(name));
      test::fill_hashed(autoencoder, dtype, at::kCUDA);
      at::NoGradGuard no_grad;
      test::expect_close(autoencoder.encode(input(name, "x", dtype, at::kCUDA)).mean_BCHW,
                         cases().tensor(name, "mean"), name + " " + dtype_name(dtype));
      test::expect_close(autoencoder.decode(input(name, "z", dtype, at::kCUDA)),
                         cases().tensor(name, "decoded"), name + " " + dtype_name(dtype));
    }
  }
}

TEST(Posterior, SamplesWithTheNoiseGivenAndKnowsItsDivergence) {
  const Posterior posterior{test::hashed_tensor("mean", {2, 3, 1, 2}),
                            test::hashed_tensor("logvar", {2, 3, 1, 2})};
  const Tensor noise = test::hashed_tensor("noise", {2, 3, 1, 2});
  test::expect_close(posterior.sample(noise),
                     posterior.mean_BCHW + (posterior.logvar_BCHW / 2).exp() * noise, 1e-6);
  EXPECT_THROW(posterior.sample(at::zeros({1, 3, 1, 2})), Error);
  // The divergence of N(m, s^2) from N(0, 1) in one dimension.
  const Posterior one{at::full({1, 1, 1, 1}, 0.3, at::kDouble),
                      at::full({1, 1, 1, 1}, std::log(0.25), at::kDouble)};
  EXPECT_NEAR(one.kl().item<double>(), -std::log(0.5) + (0.25 + 0.09) / 2 - 0.5, 1e-12);
}

TEST(AutoencoderInput, OfAWrongShapeIsAnErrorThatSaysTheRightOne) {
  Autoencoder autoencoder(cases().autoencoder("compvis_v1_shape"));  // eight pixels per latent
  test::fill_hashed(autoencoder);
  const auto failure = [](const std::function<void()>& run) -> std::string {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto encode = [&](at::IntArrayRef shape) {
    return failure([&] { autoencoder.encode(at::zeros(shape)); });
  };
  const auto decode = [&](at::IntArrayRef shape) {
    return failure([&] { autoencoder.decode(at::zeros(shape)); });
  };
  EXPECT_EQ(encode({1, 3, 64, 24}), "");
  EXPECT_NE(encode({1, 3, 64, 20}).find("multiples of 8"), std::string::npos);
  EXPECT_NE(encode({1, 4, 64, 64}).find("expected [B, 3, H, W]"), std::string::npos);
  EXPECT_NE(encode({3, 64, 64}).find("[3, 64, 64]"), std::string::npos);
  EXPECT_EQ(decode({2, 4, 1, 3}), "");
  EXPECT_NE(decode({2, 3, 1, 3}).find("expected [B, 4, h, w]"), std::string::npos);
  EXPECT_NE(decode({2, 4, 0, 3}).find("[2, 4, 0, 3]"), std::string::npos);
}

TEST(AutoencoderConfig, ThatCannotBeHonouredNamesTheField) {
  EXPECT_NO_THROW(check(AutoencoderConfig{}));
  const auto expect_names = [](const char* field,
                               const std::function<void(AutoencoderConfig&)>& change) {
    AutoencoderConfig config;
    change(config);
    try {
      Autoencoder autoencoder(config);
      ADD_FAILURE() << field << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      EXPECT_NE(std::string(error.what()).find(field), std::string::npos) << error.what();
    }
  };
  expect_names("embed_dim", [](auto& c) { c.embed_dim = 0; });
  expect_names("double_z", [](auto& c) { c.double_z = false; });
  expect_names("z_channels", [](auto& c) { c.z_channels = -1; });
  expect_names("resolution", [](auto& c) { c.resolution = 0; });
  expect_names("in_channels", [](auto& c) { c.in_channels = 0; });
  expect_names("out_ch", [](auto& c) { c.out_ch = 0; });
  expect_names("ch is 100", [](auto& c) { c.ch = 100; });
  expect_names("ch_mult", [](auto& c) { c.ch_mult = {}; });
  expect_names("ch_mult", [](auto& c) { c.ch_mult = {1, -2}; });
  expect_names("ch_mult", [](auto& c) { c.ch_mult = {1, int64_t{1} << 40}; });
  expect_names("num_res_blocks", [](auto& c) { c.num_res_blocks = 0; });
  expect_names("dropout", [](auto& c) { c.dropout = -0.1; });
}

}  // namespace
}  // namespace easel
