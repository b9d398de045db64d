#include "easel/diffusion/loss.h"

#include <cmath>
#include <functional>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/diffusion/training_process.h"
#include "tests/support/training_cases.h"

namespace easel {
namespace {

DiffusionLossOptions options_of(const nlohmann::json& settings) {
  DiffusionLossOptions options;
  options.loss_type = settings.at("loss_type").get<std::string>();
  options.l_simple_weight = settings.at("l_simple_weight").get<double>();
  options.original_elbo_weight = settings.at("original_elbo_weight").get<double>();
  options.learn_logvar = settings.at("learn_logvar").get<bool>();
  options.logvar_init = settings.at("logvar_init").get<double>();
  options.snr_gamma = settings.at("snr_gamma").get<double>();
  return options;
}

TEST(DiffusionLossParity, ValuesMetricsAndGradientsMatchCompVis) {
  const test::TrainingCases cases("loss");
  ASSERT_EQ(cases.size(), 42u);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& settings = cases.settings(i);
    SCOPED_TRACE(settings.dump());
    const DiffusionProcess process = test::training_process(settings);
    const DiffusionLossOptions options = options_of(settings);
    const Tensor t = cases.tensor(i, "t");
    const int64_t batch = t.size(0);
    const Tensor x_start = test::given("x_start", {batch, 4, 1, 2}).requires_grad_();
    const Tensor noise = test::given("noise", {batch, 4, 1, 2}).requires_grad_();
    const Tensor gain = test::toy_gain().requires_grad_();
    Tensor logvar;
    if (options.learn_logvar) {
      // Floats, because torch.sin of whole numbers, which the reference takes, is one.
      logvar = (initial_logvar(process, options).to(at::kDouble) * 0 + options.logvar_init +
                0.3 * at::arange(process.timesteps(), at::kFloat).sin())
                   .detach()
                   .requires_grad_();
    }
    const DiffusionLoss got = p_losses(process, test::toy_network_with(gain), x_start, t, noise,
                                       test::toy_conditioning(batch), options, logvar);
    // diffusers takes the ratios in float32.
    const double part = options.snr_gamma > 0 ? 1e-6 : 1e-9;
    cases.expect(i, "loss", got.loss, part);
    std::set<std::string> names;
    for (const std::string& name : cases.keys(i, "metric_")) {
      ASSERT_EQ(got.metrics.count(name), 1u) << name;
      cases.expect(i, "metric_" + name, got.metrics.at(name), part);
      EXPECT_FALSE(got.metrics.at(name).requires_grad()) << name;
      names.insert(name);
    }
    if (options.snr_gamma == 0) {
      EXPECT_EQ(names.size(), got.metrics.size());
    }
    got.loss.backward();
    cases.expect(i, "grad_x_start", x_start.grad(), part);
    cases.expect(i, "grad_noise", noise.grad(), part);
    cases.expect(i, "grad_gain", gain.grad(), part);
    if (options.learn_logvar) cases.expect(i, "grad_logvar", logvar.grad().index_select(0, t));
  }
}

struct LossCase {
  DiffusionProcess process;
  Tensor x_start = test::given("x_start", {3, 4, 2, 2});
  Tensor noise = test::given("noise", {3, 4, 2, 2});
  Tensor t = at::tensor({0, 400, 999}, at::kLong);

  explicit LossCase(Parameterization parameterization = Parameterization::Eps)
      : process(make_diffusion_process(make_noise_schedule({}),
                                       {.parameterization = parameterization})) {}

  DiffusionLoss loss(const Network& network, const DiffusionLossOptions& options,
                     const Tensor& logvar = {}) const {
    return p_losses(process, network, x_start, t, noise, {}, options, logvar);
  }
  // A network that is off by `error` everywhere.
  Network off_by(double error) const {
    return [this, error](const Tensor&, const Tensor&, const Conditioning&) {
      return training_target(process, x_start, noise, t) + error;
    };
  }
};

TEST(DiffusionLoss, OfANetworkThatIsOffByAConstantIsKnown) {
  for (const auto parameterization :
       {Parameterization::Eps, Parameterization::V, Parameterization::X0}) {
    const LossCase known(parameterization);
    EXPECT_EQ(known.loss(known.off_by(0), {}).loss.item<double>(), 0);
    EXPECT_NEAR(known.loss(known.off_by(-0.5), {}).loss.item<double>(), 0.25, 1e-12);
    EXPECT_NEAR(known.loss(known.off_by(-0.5), {.loss_type = "l1"}).loss.item<double>(), 0.5,
                1e-12);
    // The log-variance that fits the error is log(error^2): the loss is then 1 + log(error^2).
    const double fitting = std::log(0.25);
    EXPECT_NEAR(known.loss(known.off_by(-0.5), {.logvar_init = fitting}).loss.item<double>(),
                1 + fitting, 1e-12);
    const Tensor learnt = at::full({1000}, fitting, at::kDouble).requires_grad_();
    const DiffusionLoss loss = known.loss(known.off_by(0.5), {.learn_logvar = true}, learnt);
    EXPECT_NEAR(loss.metrics.at("loss_gamma").item<double>(), 1 + fitting, 1e-12);
    EXPECT_NEAR(loss.metrics.at("loss_simple").item<double>(), 0.25, 1e-12);
    loss.loss.backward();
    EXPECT_LT(learnt.grad().abs().max().item<double>(), 1e-12);
  }
}

TEST(DiffusionLoss, MinSnrWeighsNoTimestepAboveOneAndLeavesNoisyOnesAlone) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const auto snr = [&](size_t t) {
    return schedule.alphas_cumprod[t] / (1 - schedule.alphas_cumprod[t]);
  };
  ASSERT_GT(snr(0), 5);
  ASSERT_LT(snr(400), 5);
  const LossCase eps(Parameterization::Eps);
  EXPECT_NEAR(eps.loss(eps.off_by(1), {.snr_gamma = 5}).loss.item<double>(),
              (5 / snr(0) + 1 + 1) / 3, 1e-9);
  const LossCase v(Parameterization::V);
  EXPECT_NEAR(v.loss(v.off_by(1), {.snr_gamma = 5}).loss.item<double>(),
              (5 / (snr(0) + 1) + snr(400) / (snr(400) + 1) + snr(999) / (snr(999) + 1)) / 3, 1e-9);
  const LossCase x0(Parameterization::X0);
  const DiffusionLoss loss = x0.loss(x0.off_by(1), {.snr_gamma = 5});
  EXPECT_NEAR(loss.loss.item<double>(), (5 + snr(400) + snr(999)) / 3, 1e-9);
  EXPECT_NEAR(loss.metrics.at("loss_simple").item<double>(), 1, 1e-12);
}

TEST(DiffusionLoss, IsTakenInFloat32WhereTheNetworkIsInHalfPrecision) {
  const LossCase known;
  const Network half = [&](const Tensor& x_BCHW, const Tensor& t_B, const Conditioning&) {
    EXPECT_EQ(x_BCHW.scalar_type(), at::kFloat);
    EXPECT_EQ(t_B.scalar_type(), at::kFloat);
    return (known.noise + 0.25).to(at::kBFloat16);
  };
  const DiffusionLoss loss = p_losses(known.process, half, known.x_start.to(at::kFloat), known.t,
                                      known.noise.to(at::kFloat), {}, {});
  EXPECT_EQ(loss.loss.scalar_type(), at::kFloat);
  EXPECT_NEAR(loss.loss.item<double>(), 0.0625, 1e-3);
}

TEST(DiffusionLoss, HasOneLogVarianceATimestepToLearn) {
  const LossCase known;
  const Tensor logvar = initial_logvar(known.process, {.logvar_init = 0.5});
  EXPECT_TRUE(at::equal(logvar, at::full({1000}, 0.5f)));
}

std::string message(const std::function<void()>& run, ErrorKind kind) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "";
}

TEST(DiffusionLossOptions, ThatCannotBeHonouredNameTheField) {
  EXPECT_NO_THROW(check(DiffusionLossOptions{}));
  const auto expect_names = [](const char* field, const DiffusionLossOptions& options) {
    EXPECT_NE(message([&] { check(options); }, ErrorKind::Usage).find(field), std::string::npos)
        << field;
  };
  expect_names("loss_type", {.loss_type = "l3"});
  expect_names("l_simple_weight", {.l_simple_weight = -1});
  expect_names("original_elbo_weight", {.original_elbo_weight = std::nan("")});
  expect_names("logvar_init", {.logvar_init = std::numeric_limits<double>::infinity()});
  expect_names("snr_gamma", {.snr_gamma = -5});
  const LossCase known;
  EXPECT_NE(message([&] { known.loss(known.off_by(0), {.loss_type = "l3"}); }, ErrorKind::Usage),
            "");
}

TEST(DiffusionLossInput, ThatDoesNotFitIsAnErrorThatSaysWhy) {
  const LossCase known;
  const auto with_logvar = [&](bool learn, const Tensor& logvar) {
    return message([&] { known.loss(known.off_by(0), {.learn_logvar = learn}, logvar); },
                   ErrorKind::Runtime);
  };
  EXPECT_EQ(with_logvar(true, at::zeros({1000})), "");
  EXPECT_NE(with_logvar(true, {}).find("learn_logvar is true"), std::string::npos);
  EXPECT_NE(with_logvar(false, at::zeros({1000})).find("learn_logvar is false"), std::string::npos);
  EXPECT_NE(with_logvar(true, at::zeros({999})).find("[999]"), std::string::npos);
  EXPECT_NE(with_logvar(true, at::zeros({1000}, at::kLong)).find("int64"), std::string::npos);
}

}  // namespace
}  // namespace easel
