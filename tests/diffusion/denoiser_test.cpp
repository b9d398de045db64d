#include "easel/diffusion/denoiser.h"

#include <cmath>
#include <limits>

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

// How many rows each evaluation has, for a batch of 2.
std::vector<int64_t> rows_at(const Guidance& guidance, const std::vector<double>& sigmas) {
  std::vector<int64_t> rows;
  const Network network = [&](const Tensor& x_BCHW, const Tensor& t_B, const Conditioning& c) {
    rows.push_back(x_BCHW.size(0));
    return test::toy_network(x_BCHW, t_B, c);
  };
  const Denoiser denoiser =
      make_denoiser(network, make_noise_schedule({}), Parameterization::Eps, guidance);
  for (const double sigma : sigmas) denoiser(at::ones({2, 4, 2, 2}), sigma);
  return rows;
}

TEST(Guidance, ActsInItsIntervalAlone) {
  Guidance guidance = test::toy_guidance(7.5, 2);
  EXPECT_EQ(rows_at(guidance, {14.6, 1, 0}), (std::vector<int64_t>{4, 4, 4}));
  guidance.interval_low = 0.5;
  guidance.interval_high = 5;
  EXPECT_EQ(rows_at(guidance, {14.6, 5.001, 5, 0.501, 0.5, 0.1}),
            (std::vector<int64_t>{2, 2, 4, 4, 2, 2}));

  const NoiseSchedule schedule = make_noise_schedule({});
  const Guidance plain{.scale = 1, .conditional = guidance.conditional, .unconditional = {}};
  const Tensor x = at::randn({2, 4, 2, 3});
  const auto run = [&](const Guidance& by, double sigma) {
    return make_denoiser(test::toy_network, schedule, Parameterization::V, by)(x, sigma);
  };
  EXPECT_TRUE(at::equal(run(guidance, 9), run(plain, 9)));
  EXPECT_TRUE(at::equal(run(guidance, 2), run(test::toy_guidance(7.5, 2), 2)));
}

TEST(Guidance, FractionsOfTheRunAreLevels) {
  const NoiseSchedule schedule = make_noise_schedule({});
  EXPECT_EQ(sigma_at_fraction(schedule, 0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(sigma_at_fraction(schedule, 1), 0);
  EXPECT_DOUBLE_EQ(sigma_at_fraction(schedule, 0.5), schedule.sigma(499.5));
  EXPECT_THROW(sigma_at_fraction(schedule, 1.5), Error);
  EXPECT_THROW(sigma_at_fraction(schedule, std::nan("")), Error);
}

TEST(Guidance, TakesAScaleForEachStep) {
  const std::vector<double> sigmas = {10, 5, 2, 0};
  Guidance guidance = test::toy_guidance(3, 2);
  guidance.scales = per_step_scales(std::vector<double>{7, 1, 4}, sigmas);
  EXPECT_EQ(rows_at(guidance, {12, 10, 6, 5, 3, 2, 1, 0}),
            (std::vector<int64_t>{4, 4, 4, 2, 2, 4, 4, 4}));
  const Tensor x = at::randn({2, 4, 2, 3});
  for (const auto& [sigma, scale] : {std::pair{10.0, 7.0}, {7.0, 7.0}, {5.0, 1.0}, {0.5, 4.0}}) {
    const auto run = [&, level = sigma](const Guidance& by) {
      return make_denoiser(test::toy_network, make_noise_schedule({}), Parameterization::Eps, by)(
          x, level);
    };
    EXPECT_TRUE(at::equal(run(guidance), run(test::toy_guidance(scale, 2)))) << sigma;
  }
  // Nothing but 1: the unconditional half is not needed.
  guidance.unconditional = {};
  guidance.scales = per_step_scales(std::vector<double>{1, 1, 1}, sigmas);
  EXPECT_EQ(rows_at(guidance, {10, 2}), (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(per_step_scales(std::vector<double>{1, 2}, std::vector<double>{3, 3, 3}).size(), 1);
  EXPECT_THROW(per_step_scales(std::vector<double>{1, 2}, sigmas), Error);
  EXPECT_THROW(per_step_scales(std::vector<double>{}, std::vector<double>{}), Error);
}

TEST(Guidance, RescalesAsDiffusersDoes) {
  for (const auto& row : test::read_fixture("guidance_rescale")) {
    SCOPED_TRACE(row.at("phi").dump());
    const Tensor both = at::cat({test::tensor_from_json(row.at("unconditional"), test::kShape),
                                 test::tensor_from_json(row.at("conditional"), test::kShape)});
    const Network network = [&](const Tensor&, const Tensor&, const Conditioning&) { return both; };
    Guidance guidance = test::toy_guidance(row.at("scale"), 2);
    guidance.rescale = row.at("phi");
    const Denoiser denoiser =
        make_denoiser(network, make_noise_schedule({}), Parameterization::X0, guidance);
    test::expect_close(denoiser(at::zeros(test::kShape), 1),
                       test::tensor_from_json(row.at("guided"), test::kShape), 1e-6);
  }
}

TEST(Guidance, RescaleLeavesAFlatOutputAlone) {
  const Network network = [](const Tensor& x_BCHW, const Tensor&, const Conditioning&) {
    return at::ones_like(x_BCHW);
  };
  Guidance guidance = test::toy_guidance(7.5, 2);
  guidance.rescale = 0.7;
  const Tensor got = make_denoiser(network, make_noise_schedule({}), Parameterization::X0,
                                   guidance)(at::zeros(test::kShape), 1);
  test::expect_close(got, at::ones(test::kShape), 1e-6);
}

TEST(Guidance, RefusesValuesOutOfRange) {
  const auto make = [](auto change) {
    Guidance guidance = test::toy_guidance(7.5, 2);
    change(guidance);
    return make_denoiser(test::toy_network, make_noise_schedule({}), Parameterization::Eps,
                         guidance);
  };
  const double nan = std::nan("");
  EXPECT_THROW(make([](Guidance& g) { g.rescale = -0.1; }), Error);
  EXPECT_THROW(make([](Guidance& g) { g.rescale = 1.1; }), Error);
  EXPECT_THROW(make([&](Guidance& g) { g.rescale = nan; }), Error);
  EXPECT_THROW(make([](Guidance& g) { g.interval_low = -1; }), Error);
  EXPECT_THROW(make([&](Guidance& g) { g.interval_high = nan; }), Error);
  EXPECT_THROW(make([](Guidance& g) { g.interval_low = 5, g.interval_high = 4; }), Error);
  EXPECT_THROW(make([](Guidance& g) { g.scales = {{3, 2}, {3, 1}}; }), Error);
  EXPECT_THROW(make([&](Guidance& g) { g.scales = {{3, nan}}; }), Error);
  EXPECT_THROW(make([&](Guidance& g) { g.scales = {{nan, 2}}; }), Error);
}

// ---- Several conditionals a picture, and conditions that change

Conditioning context(double value, int64_t rows) {
  Conditioning made;
  made.context_BTD = at::full({rows, 3, 2}, value) + at::arange(rows).reshape({rows, 1, 1});
  return made;
}

TEST(Composition, AddsWhatEachConditionalAsksFor) {
  // Picture 0 has two conditionals, picture 1 one.
  const Conditioning rows = context(1, 3);
  const Conditioning empty = context(-2, 2);
  const Tensor x = at::randn({2, 4, 2, 3});
  const NoiseSchedule schedule = make_noise_schedule({});
  const auto alone = [&](int64_t picture, const Tensor& context_1TD) {
    Conditioning one;
    one.context_BTD = context_1TD;
    const Guidance plain{.scale = 1, .conditional = one, .unconditional = {}};
    return make_denoiser(test::toy_network, schedule, Parameterization::Eps, plain)(
        x.slice(0, picture, picture + 1), 2.0);
  };
  const auto context_of = [](const Conditioning& from, int64_t row) {
    return from.context_BTD.slice(0, row, row + 1);
  };
  for (const double scale : {7.5, 1.0}) {
    Guidance guidance{.scale = scale, .conditional = rows, .unconditional = empty};
    guidance.rows = {{0, 1.2}, {0, -0.5}, {1, 0.7}};
    const Tensor got =
        make_denoiser(test::toy_network, schedule, Parameterization::Eps, guidance)(x, 2.0);
    const Tensor u0 = alone(0, context_of(empty, 0));
    const Tensor u1 = alone(1, context_of(empty, 1));
    const Tensor first = u0 + (alone(0, context_of(rows, 0)) - u0) * (1.2 * scale) -
                         (alone(0, context_of(rows, 1)) - u0) * (0.5 * scale);
    const Tensor second = u1 + (alone(1, context_of(rows, 2)) - u1) * (0.7 * scale);
    test::expect_close(got, at::cat({first, second}), 1e-5);
  }
}

TEST(Composition, OneRowOfWeightOneIsPlainGuidance) {
  Guidance guidance = test::toy_guidance(7.5, 2);
  const Tensor x = at::randn({2, 4, 2, 3});
  const auto run = [&](const Guidance& by, double sigma) {
    return make_denoiser(test::toy_network, make_noise_schedule({}), Parameterization::V, by)
        .estimates(x, sigma);
  };
  Guidance same = guidance;
  same.rows = {{0, 1}, {1, 1}};
  for (Guidance* one : {&guidance, &same}) one->interval_high = 5;
  for (const double sigma : {2.0, 9.0}) {
    const Estimates plain = run(guidance, sigma);
    const Estimates composed = run(same, sigma);
    test::expect_close(composed.guided_BCHW, plain.guided_BCHW, 1e-6);
    test::expect_close(composed.unconditional_BCHW, plain.unconditional_BCHW, 1e-6);
  }
}

TEST(Conditions, ChangeWithTheEvaluations) {
  Guidance guidance{.scale = 3, .conditional = context(1, 2), .unconditional = context(-1, 2)};
  guidance.changes = {{1, context(5, 2), context(-1, 2)}, {4, context(7, 2), context(9, 2)}};
  std::vector<double> seen;
  const Network network = [&](const Tensor& x_BCHW, const Tensor&, const Conditioning& c) {
    seen.push_back(c.context_BTD[0][0][0].item<double>());
    seen.push_back(c.context_BTD[2][0][0].item<double>());
    return x_BCHW;
  };
  const Denoiser denoiser =
      make_denoiser(network, make_noise_schedule({}), Parameterization::Eps, guidance);
  for (int i = 0; i < 6; ++i) denoiser(at::ones({2, 4, 2, 2}), 1);
  EXPECT_EQ(seen, (std::vector<double>{-1, 1, -1, 5, -1, 5, -1, 5, 9, 7, 9, 7}));
  // Another run starts over.
  seen.clear();
  make_denoiser(network, make_noise_schedule({}), Parameterization::Eps, guidance)(
      at::ones({2, 4, 2, 2}), 1);
  EXPECT_EQ(seen, (std::vector<double>{-1, 1}));
}

TEST(Conditions, RefuseWhatDoesNotFit) {
  const auto make = [](auto change) {
    Guidance guidance{.scale = 3, .conditional = context(1, 2), .unconditional = context(-1, 2)};
    change(guidance);
    return make_denoiser(test::toy_network, make_noise_schedule({}), Parameterization::Eps,
                         guidance);
  };
  const Tensor x = at::ones({2, 4, 2, 2});
  EXPECT_THROW(make([](Guidance& g) { g.rows = {{-1, 1}}; }), Error);
  EXPECT_THROW(make([](Guidance& g) { g.rows = {{0, std::nan("")}}; }), Error);
  EXPECT_THROW(make([](Guidance& g) { g.rows = {{0, 1}, {2, 1}}; })(x, 1), Error);
  EXPECT_THROW(make([](Guidance& g) { g.rows = {{0, 1}, {1, 1}, {1, 1}}; })(x, 1), Error);
  EXPECT_THROW(make([](Guidance& g) {
                 g.unconditional = {}, g.scale = 1, g.rows = {{0, 1}};
               }),
               Error);
  const Conditioning good = context(0, 2);
  EXPECT_THROW(make([&](Guidance& g) { g.changes = {{0, good, good}}; }), Error);
  EXPECT_THROW(make([&](Guidance& g) { g.changes = {{3, good, good}, {3, good, good}}; }), Error);
  EXPECT_THROW(make([&](Guidance& g) { g.changes = {{3, good, {}}}; }), Error);
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
