#include "easel/models/patch_discriminator.h"

#include <functional>
#include <set>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/training_cases.h"

namespace easel {
namespace {

// Parameters of their names' values, in float64; buffers as initialize leaves them.
PatchDiscriminator hashed_discriminator(const PatchDiscriminatorConfig& config) {
  PatchDiscriminator discriminator(config);
  initialize(discriminator, 0);
  test::fill_hashed(discriminator, at::kDouble);
  for (const auto& [name, tensor] : nn::named_parameters(discriminator)) tensor->requires_grad_();
  for (const auto& [name, tensor] : nn::named_buffers(discriminator)) {
    if (at::isFloatingType(tensor->scalar_type())) *tensor = tensor->to(at::kDouble);
  }
  return discriminator;
}

TEST(PatchDiscriminatorParity, LogitsGradientsAndBuffersMatchTaming) {
  const test::TrainingCases cases("patch_discriminator");
  ASSERT_EQ(cases.size(), 7u);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& settings = cases.settings(i);
    SCOPED_TRACE(settings.dump());
    PatchDiscriminator discriminator =
        hashed_discriminator({.input_nc = settings.at("input_nc").get<int64_t>(),
                              .ndf = settings.at("ndf").get<int64_t>(),
                              .n_layers = settings.at("n_layers").get<int64_t>(),
                              .use_actnorm = settings.value("use_actnorm", false)});
    const std::vector<int64_t> shape = {2, discriminator.config().input_nc,
                                        settings.at("height").get<int64_t>(),
                                        settings.at("width").get<int64_t>()};
    const Tensor x = test::given("x", shape).requires_grad_();
    const Tensor logits = discriminator.forward_training(x);
    cases.expect(i, "logits_training", logits);
    test::weighted_sum(logits).backward();
    cases.expect(i, "grad_x", x.grad());
    std::set<std::string> names;
    for (const auto& [name, tensor] : nn::named_parameters(discriminator)) {
      cases.expect(i, "grad_" + name, tensor->grad());
      names.insert("grad_" + name);
    }
    for (const std::string& name : cases.keys(i, "grad_main")) {
      EXPECT_EQ(names.count("grad_main" + name), 1u) << name;
    }

    cases.expect(i, "logits_other", discriminator.forward_training(test::given("other", shape)));
    std::set<std::string> state;
    for (const auto& [name, tensor] : nn::named_buffers(discriminator)) {
      cases.expect(i, name, *tensor);
      state.insert(name);
    }
    for (const auto& [name, tensor] : nn::named_parameters(discriminator)) {
      if (!cases.has(i, name)) continue;  // only ActNorm's change in the forward pass
      cases.expect(i, name, *tensor);
      state.insert(name);
    }
    EXPECT_EQ(state.size(), cases.keys(i, "main.").size());

    x.mutable_grad() = Tensor();
    const Tensor trained = discriminator.forward(x);
    cases.expect(i, "logits", trained);
    test::weighted_sum(trained).backward();
    cases.expect(i, "grad_x_inference", x.grad());
  }
}

TEST(PatchDiscriminator, AllocatesNothingUntilInitialised) {
  const PatchDiscriminator discriminator{PatchDiscriminatorConfig{}};
  std::map<std::string, std::string> shapes;
  for (const auto& [name, tensor] : nn::named_parameters(discriminator)) {
    EXPECT_TRUE(tensor->is_meta()) << name;
    shapes[name] = shape_text(tensor->sizes());
  }
  int64_t num_parameters = 0;
  for (const auto& [name, tensor] : nn::named_parameters(discriminator)) {
    num_parameters += tensor->numel();
  }
  EXPECT_EQ(num_parameters, 2'765'633);  // of taming's with its defaults
  EXPECT_EQ(shapes.size(), 13u);
  EXPECT_EQ(shapes["main.0.weight"], "[64, 3, 4, 4]");
  EXPECT_EQ(shapes["main.0.bias"], "[64]");
  EXPECT_EQ(shapes.count("main.2.bias"), 0u);
  EXPECT_EQ(shapes["main.9.weight"], "[512]");
  EXPECT_EQ(shapes["main.11.weight"], "[1, 512, 4, 4]");
  const auto buffers = nn::named_buffers(discriminator);
  ASSERT_EQ(buffers.size(), 9u);
  EXPECT_EQ(buffers[0].name, "main.3.running_mean");
  EXPECT_EQ(buffers[2].name, "main.3.num_batches_tracked");
  for (const auto& [name, tensor] : buffers) EXPECT_TRUE(tensor->is_meta()) << name;
}

TEST(PatchDiscriminator, StartsAsTamingInitialisesIt) {
  for (const bool use_actnorm : {false, true}) {
    PatchDiscriminator first({.use_actnorm = use_actnorm});
    PatchDiscriminator second({.use_actnorm = use_actnorm});
    initialize(first, 7);
    initialize(second, 7);
    const auto others = nn::named_parameters(second);
    size_t i = 0;
    for (const auto& [name, tensor] : nn::named_parameters(first)) {
      EXPECT_TRUE(at::equal(*tensor, *others[i++].tensor)) << name;
      const double mean = tensor->mean().item<double>();
      if (tensor->dim() == 4 && name.ends_with("weight")) {
        EXPECT_NEAR(mean, 0, 0.003) << name;
        EXPECT_NEAR(tensor->std().item<double>(), 0.02, 0.001) << name;
      } else if (name.ends_with("weight")) {
        EXPECT_NEAR(mean, 1, 0.01) << name;
        EXPECT_NEAR(tensor->std().item<double>(), 0.02, 0.005) << name;
      } else if (name.ends_with("scale")) {
        EXPECT_TRUE(at::equal(*tensor, at::ones_like(*tensor))) << name;
      } else if (name.ends_with("loc") ||
                 (!use_actnorm && name != "main.0.bias" && name != "main.11.bias")) {
        EXPECT_TRUE(at::equal(*tensor, at::zeros_like(*tensor))) << name;
      } else {
        // A convolution's: PyTorch's own, up to 1 / sqrt(fan in).
        EXPECT_GT(tensor->abs().max().item<double>(), 0) << name;
        EXPECT_LT(tensor->abs().max().item<double>(), 0.145) << name;
      }
    }
    for (const auto& [name, tensor] : nn::named_buffers(first)) {
      EXPECT_TRUE(at::equal(*tensor, at::full_like(*tensor, name.ends_with("running_var") ? 1 : 0)))
          << name;
    }
  }
}

TEST(PatchDiscriminator, ActNormNormalisesTheFirstTrainingBatchOnly) {
  ActNorm norm(3);
  norm.loc = at::zeros({1, 3, 1, 1});
  norm.scale = at::ones({1, 3, 1, 1});
  norm.initialized.tensor = at::zeros({}, at::kByte);
  const Tensor x = 4 * at::randn({2, 3, 5, 5}) - 1;
  EXPECT_TRUE(at::equal(norm.forward(x), x));
  const Tensor y = norm.forward_training(x);
  EXPECT_LT(y.mean({0, 2, 3}).abs().max().item<double>(), 1e-5);
  EXPECT_LT((y.std({0, 2, 3}) - 1).abs().max().item<double>(), 1e-4);
  EXPECT_TRUE(at::equal(norm.forward_training(2 * x), norm.forward(2 * x)));
  EXPECT_GT(norm.forward(2 * x).std({0, 2, 3}).min().item<double>(), 1.5);
}

TEST(PatchDiscriminator, ForwardLeavesItsStateAlone) {
  PatchDiscriminator discriminator = hashed_discriminator({.ndf = 2, .n_layers = 2});
  const Tensor x = test::given("x", {1, 3, 12, 12});
  at::NoGradGuard no_grad;
  const Tensor first = discriminator.forward(x);
  EXPECT_TRUE(at::equal(discriminator.forward(x), first));
  discriminator.forward_training(x);
  EXPECT_FALSE(at::allclose(discriminator.forward(x), first));
}

std::string message(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PatchDiscriminatorInput, OfAWrongShapeIsAnErrorThatSaysTheRightOne) {
  PatchDiscriminator discriminator = hashed_discriminator({.ndf = 2});
  const auto run = [&](at::IntArrayRef shape) {
    const std::string training =
        message([&] { discriminator.forward_training(at::ones(shape, at::kDouble)); });
    EXPECT_EQ(training, message([&] { discriminator.forward(at::ones(shape, at::kDouble)); }));
    return training;
  };
  EXPECT_EQ(run({1, 3, 24, 25}), "");
  EXPECT_NE(run({1, 3, 23, 25}).find("at least 24"), std::string::npos);
  EXPECT_NE(run({1, 4, 24, 24}).find("expected [B, 3, H, W]"), std::string::npos);
  EXPECT_NE(run({3, 24, 24}).find("[3, 24, 24]"), std::string::npos);
  EXPECT_NE(run({0, 3, 24, 24}).find("[0, 3, 24, 24]"), std::string::npos);
}

TEST(PatchDiscriminatorInput, OneValueAChannelHasNoStatistics) {
  for (const bool use_actnorm : {false, true}) {
    PatchDiscriminator discriminator =
        hashed_discriminator({.ndf = 2, .n_layers = 1, .use_actnorm = use_actnorm});
    EXPECT_EQ(message([&] {
                discriminator.forward_training(at::ones({1, 3, 6, 6}, at::kDouble));
              }),
              "");
    BatchNorm2d norm(2);
    EXPECT_NE(message([&] {
                norm.forward_training(at::ones({1, 2, 1, 1}));
              }).find("larger batch"),
              std::string::npos);
  }
}

TEST(PatchDiscriminatorConfig, ThatCannotBeHonouredNamesTheField) {
  const auto expect_names = [](const char* field, const PatchDiscriminatorConfig& config) {
    EXPECT_NE(message([&] { PatchDiscriminator discriminator(config); }).find(field),
              std::string::npos)
        << field;
  };
  expect_names("input_nc", {.input_nc = 0});
  expect_names("ndf", {.ndf = -1});
  expect_names("n_layers", {.n_layers = 0});
  expect_names("n_layers", {.n_layers = 17});
}

}  // namespace
}  // namespace easel
