#include "easel/diffusion/process.h"

#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/diffusion/training_process.h"
#include "tests/support/training_cases.h"

namespace easel {
namespace {

const std::vector<int64_t> kCaseShape = {4, 4, 1, 2};

std::string message(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

DiffusionProcess process_of(Parameterization parameterization, double v_posterior = 0) {
  return make_diffusion_process(make_noise_schedule({}),
                                {.parameterization = parameterization, .v_posterior = v_posterior});
}

class DiffusionProcessParity : public testing::Test {
 protected:
  test::TrainingCases cases_{"process"};
  Tensor x_start_ = test::given("x_start", kCaseShape).requires_grad_();
  Tensor x_t_ = (4 * test::given("x_t", kCaseShape)).requires_grad_();
  Tensor noise_ = test::given("noise", kCaseShape).requires_grad_();
};

TEST_F(DiffusionProcessParity, ForwardProcessAndItsInversesMatchCompVis) {
  ASSERT_EQ(cases_.size(), 9u);
  for (size_t i = 0; i < cases_.size(); ++i) {
    SCOPED_TRACE(cases_.settings(i).dump());
    const DiffusionProcess process = test::training_process(cases_.settings(i));
    const Tensor t = cases_.tensor(i, "t");
    cases_.expect(i, "lvlb_weights", process.lvlb_weights.index_select(0, t));
    const DiagonalGaussian q = q_mean_variance(process, x_start_, t);
    cases_.expect(i, "q_mean", q.mean);
    cases_.expect(i, "q_variance", q.variance);
    cases_.expect(i, "q_log_variance", q.log_variance);
    const Tensor sample = q_sample(process, x_start_, t, noise_);
    cases_.expect(i, "q_sample", sample);
    const DiagonalGaussian posterior = q_posterior(process, x_start_, x_t_, t);
    cases_.expect(i, "posterior_mean", posterior.mean);
    cases_.expect(i, "posterior_variance", posterior.variance);
    cases_.expect(i, "posterior_log_variance", posterior.log_variance);
    const Tensor start = predict_start_from_noise(process, x_t_, t, noise_);
    cases_.expect(i, "start_from_noise", start);
    const Tensor noise = predict_noise_from_start(process, x_t_, t, x_start_);
    cases_.expect(i, "noise_from_start", noise);
    for (const Tensor& x : {x_start_, x_t_, noise_}) x.mutable_grad() = Tensor();
    test::weighted_sum(q.mean + sample + 2 * posterior.mean + 3 * start + 0.01 * noise).backward();
    cases_.expect(i, "grad_x_start", x_start_.grad());
    cases_.expect(i, "grad_x_t", x_t_.grad());
    cases_.expect(i, "grad_noise", noise_.grad());
    if (process.parameterization != Parameterization::V) continue;
    cases_.expect(i, "v", get_v(process, x_start_, noise_, t));
    cases_.expect(i, "start_from_v", predict_start_from_v(process, x_t_, t, noise_));
    cases_.expect(i, "noise_from_v", predict_noise_from_v(process, x_t_, t, noise_));
  }
}

TEST_F(DiffusionProcessParity, ReverseStepMatchesCompVis) {
  for (size_t i = 0; i < cases_.size(); ++i) {
    SCOPED_TRACE(cases_.settings(i).dump());
    const DiffusionProcess process = test::training_process(cases_.settings(i));
    const Tensor t = cases_.tensor(i, "t");
    const Tensor gain = test::toy_gain().requires_grad_();
    const Network network = test::toy_network_with(gain);
    const Conditioning conditioning = test::toy_conditioning(4);
    for (const bool clip : {false, true}) {
      const std::string name = clip ? "_clipped" : "";
      const auto [previous, start] = p_mean_variance(process, network, x_t_, t, conditioning, clip);
      cases_.expect(i, "p_mean" + name, previous.mean);
      cases_.expect(i, "p_variance", previous.variance);
      cases_.expect(i, "p_log_variance", previous.log_variance);
      EXPECT_EQ(start.abs().max().item<double>() <= 1, clip);
      x_t_.mutable_grad() = gain.mutable_grad() = Tensor();
      test::weighted_sum(previous.mean).backward();
      cases_.expect(i, "p_grad" + name, x_t_.grad());
      cases_.expect(i, "p_grad_gain" + name, gain.grad());
      const Tensor sample = p_sample(process, network, x_t_, t, conditioning, noise_, clip);
      cases_.expect(i, "p_sample" + name, sample);
      EXPECT_FALSE(sample.requires_grad());
    }
  }
}

TEST(DiffusionProcessLoop, MatchesCompVisAndItsStreamOfNoise) {
  const test::TrainingCases cases("loop");
  ASSERT_EQ(cases.size(), 4u);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& settings = cases.settings(i);
    SCOPED_TRACE(settings.dump());
    const auto kept = settings.at("kept").get<std::vector<int64_t>>();
    NormalStream stream(Rng::Cpu, settings.at("seed").get<uint64_t>());
    NoiseSource noise = NoiseSource::per_batch(stream);
    const Tensor x_T = noise.draw({2, 4, 2, 3});
    std::vector<Tensor> intermediates = {x_T};
    int64_t expected_t = 39;
    const Tensor x =
        p_sample_loop(test::training_process(settings), test::toy_network_with(test::toy_gain()),
                      x_T, test::toy_conditioning(2), noise, settings.at("clip").get<bool>(),
                      [&](const ReverseProgress& progress) {
                        EXPECT_EQ(progress.t, expected_t--);
                        EXPECT_EQ(progress.x_start.sizes(), x_T.sizes());
                        if (std::count(kept.begin(), kept.end(), progress.t) > 0) {
                          intermediates.push_back(progress.x);
                        }
                      });
    EXPECT_EQ(expected_t, -1);
    cases.expect(i, "x", x, 2e-5);
    cases.expect(i, "intermediates", at::stack(intermediates), 2e-5);
    EXPECT_TRUE(at::equal(stream.draw({3}), cases.tensor(i, "next_draw")));
  }
}

TEST(DiffusionProcess, PredictionsInvertTheForwardProcess) {
  const Tensor x_start = test::given("x_start", {5, 3, 2, 2});
  const Tensor noise = test::given("noise", {5, 3, 2, 2});
  const Tensor t = at::tensor({0, 1, 250, 500, 999}, at::kLong);
  const DiffusionProcess process = process_of(Parameterization::V);
  const Tensor x_t = q_sample(process, x_start, t, noise);
  const Tensor v = get_v(process, x_start, noise, t);
  test::expect_close(predict_start_from_noise(process, x_t, t, noise), x_start, 1e-10);
  test::expect_close(predict_start_from_v(process, x_t, t, v), x_start, 1e-10);
  test::expect_close(predict_noise_from_start(process, x_t, t, x_start), noise, 1e-10);
  test::expect_close(predict_noise_from_v(process, x_t, t, v), noise, 1e-10);
  for (const auto parameterization :
       {Parameterization::Eps, Parameterization::V, Parameterization::X0}) {
    const DiffusionProcess other = process_of(parameterization);
    const Tensor target = training_target(other, x_start, noise, t);
    test::expect_close(predict_start(other, x_t, t, target), x_start, 1e-10);
  }
}

// q(x_t-1 | x_t, x_0) by Bayes' rule on the joint Gaussian of x_t-1 and x_t.
TEST(DiffusionProcess, PosteriorIsBayesRule) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const DiffusionProcess process = process_of(Parameterization::X0);
  const double x_0 = 0.7;
  const double x_t = -1.3;
  for (const int64_t t : {1, 2, 400, 999}) {
    const double before = schedule.alphas_cumprod[static_cast<size_t>(t - 1)];
    const double abar = schedule.alphas_cumprod[static_cast<size_t>(t)];
    const double alpha = abar / before;
    const double precision = 1 / (1 - before) + alpha / (1 - alpha);
    const double mean =
        (std::sqrt(before) * x_0 / (1 - before) + std::sqrt(alpha) * x_t / (1 - alpha)) / precision;
    const auto posterior =
        q_posterior(process, at::full({1}, x_0, at::kDouble), at::full({1}, x_t, at::kDouble),
                    at::full({1}, t, at::kLong));
    EXPECT_NEAR(posterior.mean.item<double>(), mean, 1e-10);
    EXPECT_NEAR(posterior.variance.item<double>() * precision, 1, 1e-9);
    EXPECT_NEAR(posterior.log_variance.item<double>(), -std::log(precision), 1e-9);
  }
  const auto first = q_posterior(process, at::full({1}, x_0, at::kDouble),
                                 at::full({1}, x_t, at::kDouble), at::zeros({1}, at::kLong));
  EXPECT_NEAR(first.mean.item<double>(), x_0, 1e-12);
  EXPECT_EQ(first.variance.item<double>(), 0);
  EXPECT_NEAR(first.log_variance.item<double>(), std::log(1e-20), 1e-9);
}

TEST(DiffusionProcess, VPosteriorMixesTheTwoVariances) {
  const DiffusionProcess small = process_of(Parameterization::Eps, 0);
  const DiffusionProcess large = process_of(Parameterization::Eps, 1);
  test::expect_close(large.posterior_variance, large.betas, 1e-12);
  test::expect_close(process_of(Parameterization::Eps, 0.25).posterior_variance,
                     0.75 * small.posterior_variance + 0.25 * large.posterior_variance, 1e-12);
}

// Where x_0 is Gaussian, the best estimates of x_0, the noise and v are known; the loop must then
// end in that Gaussian.
TEST(DiffusionProcess, AnExactDenoiserOfAGaussianGivesThatGaussian) {
  const double mean = 0.6;
  const double deviation = 0.35;
  NoiseSchedule schedule =
      make_noise_schedule({.linear_start = 0.0005, .linear_end = 0.1, .timesteps = 200});
  for (const auto parameterization :
       {Parameterization::Eps, Parameterization::V, Parameterization::X0}) {
    const DiffusionProcess process =
        make_diffusion_process(schedule, {.parameterization = parameterization, .v_posterior = 0});
    const Network exact = [&](const Tensor& x_t, const Tensor& t_B, const Conditioning&) {
      const Tensor t = t_B.to(at::kLong);
      const Tensor abar = process.alphas_cumprod.index_select(0, t).reshape({-1, 1, 1, 1});
      const Tensor gain =
          abar.sqrt() * deviation * deviation / (abar * deviation * deviation + 1 - abar);
      const Tensor x_start = mean + gain * (x_t - abar.sqrt() * mean);
      return training_target(process, x_start, predict_noise_from_start(process, x_t, t, x_start),
                             t);
    };
    NormalStream stream(Rng::Cpu, 3);
    NoiseSource noise = NoiseSource::per_batch(stream);
    const Tensor x_T = noise.draw({64, 1, 16, 16}).to(at::kDouble);
    const Tensor x = p_sample_loop(process, exact, x_T, {}, noise);
    // The standard errors are 0.0027 and 0.0019. The posterior's variance leaves out what is not
    // known of x_0, so that a finite number of steps ends a little too narrow.
    EXPECT_NEAR(x.mean().item<double>(), mean, 0.012);
    EXPECT_NEAR(x.std().item<double>(), deviation, 0.02);
  }
}

TEST(DiffusionProcess, KeepsTypesAndIsAccurateInHalfPrecision) {
  const DiffusionProcess process = process_of(Parameterization::V);
  const Tensor t = at::tensor({3, 700}, at::kLong);
  const Tensor x = at::randn({2, 4, 2, 2});
  const Tensor noise = at::randn({2, 4, 2, 2});
  const Tensor want = q_sample(process, x, t, noise);
  EXPECT_EQ(want.scalar_type(), at::kFloat);
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kDouble}) {
    const Tensor got = q_sample(process, x.to(dtype), t, noise);
    EXPECT_EQ(got.scalar_type(), dtype);
    test::expect_close(got, want, dtype == at::kDouble ? 1e-6 : test::tolerance(dtype) / 4);
    EXPECT_EQ(q_posterior(process, x.to(dtype), x.to(dtype), t).variance.scalar_type(), dtype);
  }
}

TEST(DiffusionProcess, DrawsTheNoiseOfAStepFromTheSource) {
  const DiffusionProcess process = process_of(Parameterization::Eps);
  const Network network = test::toy_network_with(test::toy_gain());
  const Conditioning conditioning = test::toy_conditioning(2);
  const Tensor x = at::ones({2, 4, 2, 2});
  const Tensor t = at::tensor({0, 10}, at::kLong);
  NoiseSource first = NoiseSource::per_image(Rng::Cpu, {5, 6});
  NoiseSource second = NoiseSource::per_image(Rng::Cpu, {5, 6});
  const Tensor noise = second.draw(x.sizes());
  const Tensor got = p_sample(process, network, x, t, conditioning, first);
  EXPECT_TRUE(at::equal(got, p_sample(process, network, x, t, conditioning, noise)));
  // Row 0 is at t = 0, where no noise is added.
  const Tensor mean = p_mean_variance(process, network, x, t, conditioning, false).x_previous.mean;
  EXPECT_TRUE(at::equal(got[0], mean[0]));
  EXPECT_FALSE(at::allclose(got[1], mean[1]));
}

TEST(DiffusionProcessInput, ThatDoesNotFitIsAnErrorThatSaysWhy) {
  const DiffusionProcess process = process_of(Parameterization::Eps);
  const Tensor x = at::zeros({2, 4, 2, 2});
  const auto sample = [&](const Tensor& x_start, const Tensor& t, const Tensor& noise) {
    return message([&] { q_sample(process, x_start, t, noise); });
  };
  const Tensor t = at::zeros({2}, at::kLong);
  EXPECT_EQ(sample(x, t, x), "");
  EXPECT_EQ(sample(at::zeros({0, 4, 2, 2}), at::zeros({0}, at::kLong), at::zeros({0, 4, 2, 2})),
            "");
  EXPECT_NE(sample(x, t, at::zeros({1, 4, 2, 2})).find("[1, 4, 2, 2]"), std::string::npos);
  EXPECT_NE(sample(x, t, Tensor()).find("none"), std::string::npos);
  EXPECT_NE(sample(x, at::zeros({3}, at::kLong), x).find("int64 [2]"), std::string::npos);
  EXPECT_NE(sample(x, at::zeros({2}), x).find("float32"), std::string::npos);
  EXPECT_NE(sample(x, t + 1000, x).find("timestep 1000"), std::string::npos);
  EXPECT_NE(sample(x, t - 1, x).find("timestep -1"), std::string::npos);
  EXPECT_NE(sample(x.to(at::kInt), t, x).find("floating-point"), std::string::npos);
  const Network wrong = [](const Tensor& x_BCHW, const Tensor&, const Conditioning&) {
    return x_BCHW.slice(1, 0, 1);
  };
  EXPECT_NE(message([&] {
              p_mean_variance(process, wrong, x, t, {}, false);
            }).find("the network's output has shape [2, 1, 2, 2]"),
            std::string::npos);
}

TEST(DiffusionProcessInput, OptionsThatCannotBeHonouredAreUsageErrors) {
  const auto kind = [](const NoiseSchedule& schedule, double v_posterior) {
    try {
      make_diffusion_process(schedule, {.v_posterior = v_posterior});
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::Interrupted;
  };
  EXPECT_EQ(kind(make_noise_schedule({}), 1), ErrorKind::Interrupted);
  EXPECT_EQ(kind(make_noise_schedule({}), -0.1), ErrorKind::Usage);
  EXPECT_EQ(kind(make_noise_schedule({}), 1.1), ErrorKind::Usage);
  EXPECT_EQ(kind(make_noise_schedule({}), std::nan("")), ErrorKind::Usage);
  EXPECT_EQ(kind(make_noise_schedule({.timesteps = 1}), 0), ErrorKind::Usage);
}

}  // namespace
}  // namespace easel
