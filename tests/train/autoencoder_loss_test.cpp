#include "easel/train/autoencoder_loss.h"

#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/training_cases.h"

namespace easel {
namespace {

AutoencoderLossOptions options_of(const nlohmann::json& settings) {
  AutoencoderLossOptions options;
  options.disc_start = settings.at("disc_start").get<int64_t>();
  options.perceptual_weight = settings.at("perceptual_weight").get<double>();
  options.disc_num_layers = settings.at("disc_num_layers").get<int64_t>();
  options.kl_weight = settings.at("kl_weight").get<double>();
  options.logvar_init = settings.value("logvar_init", options.logvar_init);
  options.disc_in_channels = settings.value("disc_in_channels", options.disc_in_channels);
  options.disc_factor = settings.value("disc_factor", options.disc_factor);
  options.disc_weight = settings.value("disc_weight", options.disc_weight);
  options.use_actnorm = settings.value("use_actnorm", options.use_actnorm);
  options.disc_conditional = settings.value("disc_conditional", options.disc_conditional);
  options.disc_loss = settings.value("disc_loss", options.disc_loss);
  return options;
}

PatchDiscriminator discriminator_of(const AutoencoderLossOptions& options) {
  PatchDiscriminator discriminator(discriminator_config(options));
  initialize(discriminator, 0);
  test::fill_hashed(discriminator, at::kDouble);
  for (const auto& [name, tensor] : nn::named_parameters(discriminator)) tensor->requires_grad_();
  for (const auto& [name, tensor] : nn::named_buffers(discriminator)) {
    if (at::isFloatingType(tensor->scalar_type())) *tensor = tensor->to(at::kDouble);
  }
  return discriminator;
}

Posterior posterior_of(const Tensor& moments) {
  const auto halves = moments.chunk(2, 1);
  return {halves[0], halves[1].clamp(-30, 20)};
}

void expect_metrics(const test::TrainingCases& cases, size_t i, const Metrics& metrics) {
  for (const auto& [name, value] : metrics) {
    cases.expect(i, "metric_" + name, value.to(at::kDouble));
    EXPECT_FALSE(value.requires_grad()) << name;
  }
}

TEST(AutoencoderLossParity, ValuesMetricsAndGradientsMatchCompVis) {
  const test::TrainingCases cases("autoencoder_loss");
  ASSERT_EQ(cases.size(), 10u);
  size_t num_adversarial = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& settings = cases.settings(i);
    SCOPED_TRACE(settings.dump());
    const AutoencoderLossOptions options = options_of(settings);
    const auto step = settings.at("step").get<int64_t>();
    const bool training = settings.at("training").get<bool>();
    PatchDiscriminator judge = discriminator_of(options);
    const Discriminator discriminator = [&](const Tensor& x_BCHW) {
      return training ? judge.forward_training(x_BCHW) : judge.forward(x_BCHW);
    };
    const Tensor moments = test::given("moments", {2, 4, 2, 2}).requires_grad_();
    const Tensor last_layer = test::given("last_layer", {3, 4, 3, 3}).requires_grad_();
    const Tensor logvar = at::full({}, options.logvar_init, at::kDouble).requires_grad_();
    std::optional<at::NoGradGuard> no_grad;
    if (!training) no_grad.emplace();
    ReconstructedBatch batch;
    batch.inputs_BCHW = test::given("inputs", {2, 3, 8, 6});
    batch.reconstructions_BCHW = at::conv2d(test::given("z", {2, 4, 8, 6}), last_layer, {}, 1, 1);
    batch.posterior = posterior_of(moments);
    if (settings.at("weights").get<bool>()) {
      batch.weights = test::given("weights", {2, 1, 8, 6}).abs();
    }
    if (settings.at("condition").get<bool>()) {
      batch.condition_BCHW = test::given("condition", {2, 2, 8, 6});
    }
    cases.expect(i, "kl", batch.posterior.kl());

    const TrainingLoss generator =
        generator_loss(options, batch, logvar, discriminator, last_layer, step);
    cases.expect(i, "generator", generator.total);
    const bool adversarial = is_adversarial(options, step);
    EXPECT_EQ(generator.metrics.size(), adversarial ? 8u : 7u);
    Metrics metrics = generator.metrics;
    if (!adversarial) {
      // CompVis runs the discriminator for nothing, and reports its weight.
      EXPECT_EQ(metrics.at("d_weight").item<double>(), 0);
      metrics.erase("d_weight");
    }
    expect_metrics(cases, i, metrics);
    if (training) {
      generator.total.backward();
      cases.expect(i, "grad_moments", moments.grad());
      cases.expect(i, "grad_last_layer", last_layer.grad());
      cases.expect(i, "grad_logvar", logvar.grad());
    }

    for (const auto& [name, tensor] : nn::named_parameters(judge)) {
      tensor->mutable_grad() = Tensor();
    }
    const Tensor before = last_layer.grad().defined() ? last_layer.grad().clone() : Tensor();
    const TrainingLoss judged = discriminator_loss(options, batch, discriminator, step);
    if (!adversarial) {
      EXPECT_FALSE(judged.total.defined());
      EXPECT_TRUE(judged.metrics.empty());
      EXPECT_EQ(cases.tensor(i, "discriminator").item<double>(), 0);
      continue;
    }
    ++num_adversarial;
    cases.expect(i, "discriminator", judged.total);
    EXPECT_EQ(judged.metrics.size(), 3u);
    expect_metrics(cases, i, judged.metrics);
    if (!training) continue;
    judged.total.backward();
    for (const auto& [name, tensor] : nn::named_parameters(judge)) {
      cases.expect(i, "grad_" + name, tensor->grad());
    }
    EXPECT_TRUE(at::equal(last_layer.grad(), before));
  }
  EXPECT_EQ(num_adversarial, 8u);
}

// A picture, its reconstruction, and no discriminator.
struct PlainCase {
  AutoencoderLossOptions options;
  ReconstructedBatch batch;
  Tensor logvar = at::zeros({});
  Discriminator none = [](const Tensor&) -> Tensor {
    ADD_FAILURE() << "the discriminator was run";
    return {};
  };

  PlainCase() {
    options.perceptual_weight = 0;
    batch.inputs_BCHW = at::zeros({2, 3, 4, 4});
    batch.reconstructions_BCHW = at::full({2, 3, 4, 4}, 0.5);
    batch.posterior = {at::full({2, 4, 1, 1}, 2.0), at::zeros({2, 4, 1, 1})};
  }
};

TEST(AutoencoderLoss, IsKnownWithoutADiscriminator) {
  PlainCase plain;
  plain.options.kl_weight = 0.25;
  const auto total = [&](int64_t step) {
    return generator_loss(plain.options, plain.batch, plain.logvar, plain.none, {}, step)
        .total.item<double>();
  };
  // 48 values off by 0.5, and 4 latents with a mean of 2: KL = 4 * 2^2 / 2.
  EXPECT_NEAR(total(0), 48 * 0.5 + 0.25 * 8, 1e-4);
  plain.options.disc_factor = 0;
  EXPECT_NEAR(total(1'000'000), 48 * 0.5 + 0.25 * 8, 1e-4);
  EXPECT_FALSE(
      discriminator_loss(plain.options, plain.batch, plain.none, 1'000'000).total.defined());
  plain.logvar = at::full({}, std::log(0.5));
  EXPECT_NEAR(total(0), 48 * (1 + std::log(0.5)) + 0.25 * 8, 1e-4);
}

TEST(AutoencoderLoss, TheDiscriminatorComesInAtItsFirstStep) {
  AutoencoderLossOptions options;
  options.disc_start = 3;
  EXPECT_FALSE(is_adversarial(options, 2));
  EXPECT_TRUE(is_adversarial(options, 3));
  options.disc_factor = 0;
  EXPECT_FALSE(is_adversarial(options, 3));
}

TEST(AutoencoderLoss, IsTakenInFloat32WhereTheNetworkIsInHalfPrecision) {
  PlainCase plain;
  plain.options.disc_start = 0;
  for (Tensor* tensor : {&plain.batch.reconstructions_BCHW, &plain.batch.posterior.mean_BCHW,
                         &plain.batch.posterior.logvar_BCHW}) {
    *tensor = tensor->to(at::kBFloat16);
  }
  const at::NoGradGuard no_grad;
  const Discriminator half = [](const Tensor& x_BCHW) { return x_BCHW.to(at::kBFloat16); };
  const TrainingLoss loss = generator_loss(plain.options, plain.batch, plain.logvar, half, {}, 0);
  EXPECT_EQ(loss.total.scalar_type(), at::kFloat);
  EXPECT_EQ(loss.metrics.at("g_loss").scalar_type(), at::kFloat);
  EXPECT_NEAR(loss.total.item<double>(), 24 + 8, 1e-4);
  EXPECT_EQ(loss.metrics.at("d_weight").item<double>(), 0);
  EXPECT_NEAR(loss.metrics.at("g_loss").item<double>(), -0.5, 1e-6);
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

TEST(AutoencoderLossInput, ThatDoesNotFitIsAnErrorThatSaysWhy) {
  PlainCase plain;
  plain.options.disc_start = 0;
  const Tensor learnt = at::ones({}).requires_grad_();
  const Discriminator mean = [](const Tensor& x_BCHW) { return x_BCHW.mean(); };
  const auto run = [&](const Tensor& last_layer) {
    return message(
        [&] { generator_loss(plain.options, plain.batch, plain.logvar, mean, last_layer, 0); },
        ErrorKind::Runtime);
  };
  EXPECT_NE(run({}).find("not given"), std::string::npos);
  EXPECT_NE(run(learnt).find("not learnt"), std::string::npos);
  plain.batch.reconstructions_BCHW = plain.batch.reconstructions_BCHW * learnt;
  EXPECT_EQ(run(learnt), "");
  plain.options.disc_conditional = true;
  EXPECT_NE(run(learnt).find("disc_conditional is true"), std::string::npos);
  plain.options.disc_conditional = false;
  plain.batch.condition_BCHW = at::zeros({2, 1, 4, 4});
  EXPECT_NE(run(learnt).find("disc_conditional is false"), std::string::npos);
  plain.batch.inputs_BCHW = at::zeros({2, 3, 4, 5});
  EXPECT_NE(run(learnt).find("[2, 3, 4, 5]"), std::string::npos);
}

TEST(AutoencoderLossOptions, ThatCannotBeHonouredNameTheField) {
  const auto expect_names = [](const char* field,
                               const std::function<void(AutoencoderLossOptions&)>& change) {
    AutoencoderLossOptions options;
    options.perceptual_weight = 0;
    EXPECT_EQ(message([&] { check(options); }, ErrorKind::Usage), "");
    change(options);
    EXPECT_NE(message([&] { check(options); }, ErrorKind::Usage).find(field), std::string::npos)
        << field;
  };
  expect_names("set perceptual_weight to 0", [](auto& o) { o.perceptual_weight = 1; });
  expect_names("perceptual_weight", [](auto& o) { o.perceptual_weight = std::nan(""); });
  expect_names("pixelloss_weight", [](auto& o) { o.pixelloss_weight = 2; });
  expect_names("kl_weight", [](auto& o) { o.kl_weight = -1; });
  expect_names("disc_factor", [](auto& o) { o.disc_factor = -1; });
  expect_names("disc_weight", [](auto& o) { o.disc_weight = std::nan(""); });
  expect_names("logvar_init", [](auto& o) { o.logvar_init = std::nan(""); });
  expect_names("disc_start", [](auto& o) { o.disc_start = -1; });
  expect_names("did you mean 'hinge'", [](auto& o) { o.disc_loss = "hing"; });
  expect_names("n_layers", [](auto& o) { o.disc_num_layers = 0; });
  expect_names("input_nc", [](auto& o) { o.disc_in_channels = 0; });
  expect_names("ndf", [](auto& o) { o.disc_ndf = 0; });
}

}  // namespace
}  // namespace easel
