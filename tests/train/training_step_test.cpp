// Steps of the whole loop against CompVis's code (scripts/fixtures/training_step.py).
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/train/communicator.h>
#include <easel/train/config.h>
#include <easel/train/tasks.h>
#include <easel/train/trainer.h>

#include "tests/support/tiny_model.h"
#include "tests/support/tiny_training.h"

namespace easel {
namespace {

using test::TempDir;

// One example, whose picture its seed decides.
Dataset pictures() {
  return {.size = 1,
          .load =
              [](int64_t, uint64_t seed) {
                return Example{test::hashed_tensor("picture/" + std::to_string(seed), {3, 16, 16}),
                               "a red circle"};
              },
          .caption = [](int64_t, uint64_t) { return std::string("a red circle"); },
          .name = [](int64_t) { return std::string("picture"); }};
}

void fill(Parameters& parameters, const std::string& prefix) {
  const at::NoGradGuard no_grad;
  for (auto& parameter : parameters) {
    if (parameter.name == "logvar") continue;
    ASSERT_TRUE(parameter.name.starts_with(prefix)) << parameter.name;
    parameter.tensor->copy_(
        test::hashed_tensor(parameter.name.substr(prefix.size()), parameter.tensor->sizes()));
  }
}

// At most 32 evenly spaced values.
Tensor values(const Tensor& tensor) {
  const Tensor flat = tensor.detach().flatten();
  return flat.slice(0, 0, std::nullopt, std::max<int64_t>(1, flat.numel() / 32)).slice(0, 0, 32);
}

class TrainingSteps : public ::testing::Test {
 protected:
  explicit TrainingSteps(const std::string& name)
      : reference_(
            read_safetensors(EASEL_TEST_DATA "/training_step/" + name + ".safetensors").tensors) {}

  void train_steps(TrainingTask& task, TrainerOptions options) {
    options.batch_size = 2;
    options.seed = 42;
    options.folder = dir_ / "run";
    options.config.max_steps = 3;
    options.config.log_every_n_steps = 1;
    options.config.val_check_interval = 100;
    Communicator alone({}, at::kCPU);
    train(task, pictures(), std::nullopt, alone, options);
    state_ = read_safetensors(dir_ / "run/checkpoints/last.state").tensors;
  }
  // Every value of the reference in the state, under this name there.
  void expect_equal(const std::string& theirs, const std::string& ours, double size) {
    ASSERT_TRUE(state_.contains(ours)) << ours;
    const Tensor& want = reference_.at(theirs);
    const Tensor got = values(state_.at(ours));
    ASSERT_EQ(got.numel(), want.numel()) << theirs;
    EXPECT_LE((got - want.flatten()).abs().max().item<double>(), 1e-5 * size) << theirs;
  }
  void expect_losses(const std::string& metric, const std::vector<double>& want) {
    const auto lines = test::metric_lines(dir_ / "run");
    ASSERT_EQ(lines.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(lines[i].at(metric).get<double>(), want[i], 1e-5 * std::abs(want[i])) << i;
    }
  }

  TempDir dir_;
  std::map<std::string, Tensor> reference_, state_;
};

class DiffusionSteps : public TrainingSteps {
 protected:
  DiffusionSteps() : TrainingSteps("diffusion") {}
};

TEST_F(DiffusionSteps, AreCompVissLatentDiffusions) {
  const TrainConfig config = read_train_config(
      {dir_.write("sd.yaml", test::diffusion_yaml("data", "vae.safetensors"))},
      {"model.params.cond_stage_trainable=false", "model.params.scale_by_std=false",
       "model.params.scale_factor=0.5", "model.params.unet_config.params.dropout=0",
       "model.params.ucg_training=", "model.params.optimizer={eps: 1.0e-4}"});
  const auto& training = std::get<DiffusionTraining>(config.model);
  const TaskOptions options;
  auto model = std::make_shared<StableDiffusion>(
      test::tiny_model(load_tokenizer({}, training.model, {}), at::kFloat, training.model));
  TrainingTask task = make_diffusion_task(training, config.optimizer, options, model);
  fill(task.groups[0].parameters, "unet.");
  TrainerOptions trainer;
  trainer.config.accumulate_grad_batches = 2;
  trainer.config.gradient_clip_val = 0.5;
  trainer.use_ema = true;
  trainer.learning_rate = 1e-2;
  train_steps(task, trainer);

  int64_t num_averages = 0;
  for (const auto& [name, tensor] : reference_) {
    if (name == "losses" || name == "logvar") continue;
    const bool average = name.starts_with("ema.");
    num_averages += average;
    expect_equal(name, average ? "ema.unet." + name.substr(4) : "parameter.unet." + name, 1);
  }
  EXPECT_EQ(num_averages, static_cast<int64_t>(task.averaged.size()));
  // Which entries were drawn, and by how much they moved.
  EXPECT_LE((state_.at("parameter.logvar") - reference_.at("logvar")).abs().max().item<double>(),
            1e-6);
  EXPECT_GT(reference_.at("logvar").abs().max().item<double>(), 1e-3);
  const Tensor losses = reference_.at("losses").view({3, 2}).mean(1);
  expect_losses("train/loss",
                {losses[0].item<double>(), losses[1].item<double>(), losses[2].item<double>()});
}

class AutoencoderSteps : public TrainingSteps {
 protected:
  AutoencoderSteps() : TrainingSteps("autoencoder") {}
};

TEST_F(AutoencoderSteps, AreCompVissAutoencoderKls) {
  const TrainConfig config = read_train_config(
      {dir_.write("ae.yaml", test::autoencoder_yaml("data"))},
      {"model.params.optimizer={eps: 1.0}", "model.params.lossconfig.params.disc_ndf=64",
       "model.params.lossconfig.params.disc_num_layers=1",
       "model.params.lossconfig.params.kl_weight=0.01"});
  TrainingTask task =
      make_autoencoder_task(std::get<AutoencoderTraining>(config.model), config.optimizer, {});
  fill(task.groups[0].parameters, "");
  fill(task.groups[1].parameters, "loss.discriminator.");
  TrainerOptions trainer;
  trainer.learning_rate = 1e-3;
  train_steps(task, trainer);

  for (const auto& [name, tensor] : reference_) {
    if (name == "losses") continue;
    const bool judge = name.starts_with("discriminator.");
    expect_equal(name, (judge ? "parameter.loss." : "parameter.") + name, 1);
  }
  const Tensor losses = reference_.at("losses").view({3, 2});
  expect_losses("train/total_loss", {losses[0][0].item<double>(), losses[1][0].item<double>(),
                                     losses[2][0].item<double>()});
  const auto lines = test::metric_lines(dir_ / "run");
  EXPECT_FALSE(lines[0].contains("train/disc_loss"));  // disc_start is 1
  for (const int step : {1, 2}) {
    EXPECT_NEAR(lines[static_cast<size_t>(step)].at("train/disc_loss").get<double>(),
                losses[step][1].item<double>(), 1e-5);
  }
}

}  // namespace
}  // namespace easel
