#include "easel/diffusion/denoiser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

TEST(Denoiser, EstimatesAsDiffusersDoes) {
  const NoiseSchedule schedule = make_noise_schedule({});
  for (const auto& row : test::read_fixture("estimates")) {
    const double t = row.at("t");
    SCOPED_TRACE(row.at("kind").get<std::string>() + " " + std::to_string(t));
    const double sigma = schedule.sigma(t);
    const Tensor scaled = test::tensor_from_json(row.at("x"), test::kShape);
    const Tensor output = test::tensor_from_json(row.at("output"), test::kShape);
    const Network network = [&](const Tensor& x_BCHW, const Tensor& t_B, const Conditioning&) {
      EXPECT_EQ(t_B.scalar_type(), at::kFloat);
      EXPECT_TRUE(at::equal(t_B, at::full({2}, t, at::kFloat)));
      test::expect_close(x_BCHW, scaled, 1e-6);
      return output;
    };
    const Denoiser denoiser = make_denoiser(
        network, schedule, parameterization_from_name(row.at("kind").get<std::string>()),
        test::toy_guidance(1, 2));
    const Tensor got = denoiser(scaled * std::sqrt(1 + sigma * sigma), sigma);
    EXPECT_EQ(got.scalar_type(), at::kFloat);
    test::expect_close(got, test::tensor_from_json(row.at("estimate"), test::kShape), 1e-5);
  }
}

TEST(Denoiser, GuidesInOneBatchOfUnconditionalThenConditional) {
  const Tensor x = at::randn({2, 4, 2, 3});
  const Guidance guidance = test::toy_guidance(7.5, 2);
  int calls = 0;
  const Network network = [&](const Tensor& x_BCHW, const Tensor& t_B, const Conditioning& c) {
    ++calls;
    EXPECT_EQ(x_BCHW.size(0), 4);
    EXPECT_EQ(t_B.size(0), 4);
    EXPECT_TRUE(at::equal(c.context_BTD.slice(0, 0, 2), guidance.unconditional.context_BTD));
    EXPECT_TRUE(at::equal(c.context_BTD.slice(0, 2, 4), guidance.conditional.context_BTD));
    return test::toy_network(x_BCHW, t_B, c);
  };
  const NoiseSchedule schedule = make_noise_schedule({});
  const Tensor got = make_denoiser(network, schedule, Parameterization::X0, guidance)(x, 2.0);
  EXPECT_EQ(calls, 1);
  const auto half = [&](const Conditioning& conditioning) {
    Guidance plain{.scale = 1, .conditional = conditioning, .unconditional = {}};
    return make_denoiser(test::toy_network, schedule, Parameterization::X0, plain)(x, 2.0);
  };
  const Tensor u = half(guidance.unconditional);
  const Tensor c = half(guidance.conditional);
  test::expect_close(got, u + 7.5 * (c - u), 1e-6);
}

TEST(Denoiser, ScaleOneAndNoConditionEvaluateOneRowAPicture) {
  const NoiseSchedule schedule = make_noise_schedule({});
  int64_t rows = 0;
  const Network network = [&](const Tensor& x_BCHW, const Tensor&, const Conditioning&) {
    rows += x_BCHW.size(0);
    return x_BCHW.to(at::kHalf);
  };
  const Tensor x = at::ones({3, 4, 2, 2});
  const Guidance only{
      .scale = 1, .conditional = test::toy_guidance(1, 3).conditional, .unconditional = {}};
  EXPECT_EQ(make_denoiser(network, schedule, Parameterization::Eps, only)(x, 1).scalar_type(),
            at::kFloat);
  make_denoiser(network, schedule, Parameterization::Eps, {})(x, 1);
  EXPECT_EQ(rows, 6);
}

TEST(Denoiser, RefusesWhatDoesNotFit) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const auto make = [&](const Guidance& guidance) {
    return make_denoiser(test::toy_network, schedule, Parameterization::Eps, guidance);
  };
  Guidance guidance = test::toy_guidance(7.5, 2);
  EXPECT_THROW(make(guidance)(at::ones({3, 4, 2, 2}), 1), Error);
  guidance.unconditional = {};
  EXPECT_THROW(make(guidance), Error);
  guidance.unconditional.context_BTD = at::zeros({2, 3, 2});
  EXPECT_THROW(make(guidance), Error);
  guidance.scale = std::numeric_limits<double>::infinity();
  EXPECT_THROW(make(guidance), Error);
  EXPECT_THROW(parameterization_from_name("velocity"), Error);
}

TEST(Conditioning, ConcatenatesEveryPart) {
  Conditioning a{at::zeros({1, 2, 3}), at::zeros({1, 4, 2, 2}), at::zeros({1}, at::kLong)};
  Conditioning b{at::ones({2, 2, 3}), at::ones({2, 4, 2, 2}), at::ones({2}, at::kLong)};
  const Conditioning both = concatenate(a, b);
  EXPECT_EQ(both.context_BTD.sizes(), (std::vector<int64_t>{3, 2, 3}));
  EXPECT_EQ(both.concat_BCHW.sizes(), (std::vector<int64_t>{3, 4, 2, 2}));
  EXPECT_EQ(both.class_label_B.sum().item<int64_t>(), 2);
}

}  // namespace
}  // namespace easel
