// Whole runs from a config to checkpoints, small enough for a moment each.
#include "easel/train/trainer.h"

#include <csignal>
#include <numeric>

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <easel/base/error.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/train/run.h>

#include "tests/support/tiny_training.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_same_run;
using test::message_of;
using test::metric_lines;
using test::TempDir;

// Pictures, an untrained autoencoder and a config of each kind, for all tests of this process.
struct Material {
  TempDir dir;
  fs::path data = dir / "data";
  fs::path autoencoder_weights = dir / "fresh/checkpoints/last.safetensors";
  fs::path autoencoder, diffusion, contrastive;

  Material() {
    at::set_num_threads(1);
    test::write_pictures(data / "train", 6);
    test::write_pictures(data / "validation", 3);
    autoencoder = dir.write("autoencoder.yaml", test::autoencoder_yaml(data));
    diffusion = dir.write("diffusion.yaml", test::diffusion_yaml(data, autoencoder_weights));
    contrastive = dir.write("contrastive.yaml", test::contrastive_yaml(data));
    run_training({.bases = {autoencoder},
                  .overrides = {"lightning.trainer.max_steps=0"},
                  .folder = dir / "fresh",
                  .device = "cpu"});
  }
};

const Material& material() {
  static const Material all;
  return all;
}

class Training : public ::testing::Test {
 protected:
  TrainOutcome run(const fs::path& config, const std::string& name,
                   const std::vector<std::string>& overrides = {},
                   const TrainCallbacks& callbacks = {}) {
    return run_training(
        {.bases = {config}, .overrides = overrides, .folder = dir_ / name, .device = "cpu"},
        callbacks);
  }
  TrainOutcome resume(const std::string& name, const std::vector<std::string>& overrides = {},
                      const TrainCallbacks& callbacks = {}) {
    return run_training(
        {.overrides = overrides, .folder = dir_ / name, .resume = true, .device = "cpu"},
        callbacks);
  }
  // Four steps at once, and stopped behind each of the first three.
  void expect_exact_resume(const fs::path& config, const std::vector<std::string>& overrides) {
    std::vector<std::string> all = overrides;
    all.push_back("run.seed=7");
    EXPECT_FALSE(run(config, "whole", all).stopped);
    const TrainCallbacks stop_at_once{.stop = [] { return true; }};
    EXPECT_TRUE(run(config, "parts", all, stop_at_once).stopped);
    EXPECT_EQ(resume("parts", {}, stop_at_once).step, 2);
    EXPECT_EQ(resume("parts", {}, stop_at_once).step, 3);
    const TrainOutcome last = resume("parts");
    EXPECT_EQ(last.step, 4);
    EXPECT_FALSE(last.stopped);
    expect_same_run(dir_ / "parts", dir_ / "whole");
  }
  bool there(const fs::path& name) const { return fs::exists(dir_ / name); }
  TensorFile model(const std::string& run, const std::string& file = "last.safetensors") const {
    return read_tensor_file(dir_ / run / "checkpoints" / file);
  }

  TempDir dir_;
};

std::vector<double> values(const std::vector<json>& lines, const std::string& name) {
  std::vector<double> found;
  for (const json& line : lines) {
    if (line.contains(name)) found.push_back(line.at(name).get<double>());
  }
  return found;
}

// The mean of the last few losses is well below that of the first few.
void expect_falling(const std::vector<double>& losses, double part) {
  ASSERT_GE(losses.size(), 16u);
  const auto mean = [](auto begin, auto end) {
    return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
  };
  EXPECT_LT(mean(losses.end() - 8, losses.end()), part * mean(losses.begin(), losses.begin() + 4));
}

TEST_F(Training, LowersTheAutoencodersLoss) {
  run(material().autoencoder, "run",
      {"lightning.trainer.max_steps=40", "model.params.lossconfig.params.disc_factor=0",
       "lightning.trainer.val_check_interval=40"});
  expect_falling(values(metric_lines(dir_ / "run"), "train/rec_loss"), 0.6);
}

TEST_F(Training, LowersTheDiffusionLoss) {
  run(material().diffusion, "run",
      {"lightning.trainer.max_steps=60", "data.params.batch_size=4",
       "model.params.learn_logvar=false", "model.params.original_elbo_weight=0",
       "lightning.trainer.val_check_interval=60"});
  expect_falling(values(metric_lines(dir_ / "run"), "train/loss_simple"), 0.8);
}

TEST_F(Training, LowersTheContrastiveLoss) {
  run(material().contrastive, "run",
      {"lightning.trainer.max_steps=100", "data.params.batch_size=6", "run.scale_lr=false",
       "model.base_learning_rate=3.0e-3", "lightning.trainer.val_check_interval=40"});
  expect_falling(values(metric_lines(dir_ / "run"), "train/loss"), 0.5);
  const double scale = values(metric_lines(dir_ / "run"), "train/logit_scale").back();
  EXPECT_LE(scale, 100.001);
}

TEST_F(Training, ResumesAutoencoderAndDiscriminatorBitForBit) {
  expect_exact_resume(material().autoencoder, {"lightning.trainer.log_every_n_steps=2"});
  const TensorFile state = read_safetensors(dir_ / "whole/checkpoints/last.state");
  EXPECT_TRUE(state.tensors.contains("optimizer.1.exp_avg.loss.discriminator.main.0.weight"));
  EXPECT_EQ(
      state.tensors.at("buffer.loss.discriminator.main.3.num_batches_tracked").item<int64_t>(),
      9);  // a batch in each of 3 generator steps, two in each of 3 discriminator steps
}

TEST_F(Training, ResumesLatentDiffusionBitForBit) {
  expect_exact_resume(material().diffusion, {"lightning.trainer.accumulate_grad_batches=2",
                                             "lightning.trainer.gradient_clip_val=0.5"});
  const TensorFile state = read_safetensors(dir_ / "whole/checkpoints/last.state");
  EXPECT_EQ(state.metadata.at("ema_num_updates"), "4");
  EXPECT_EQ(state.metadata.at("step"), "4");
  EXPECT_FALSE(state.tensors.at("parameter.logvar")
                   .equal(at::zeros_like(state.tensors.at("parameter.logvar"))));
}

TEST_F(Training, ResumesFromALatentCacheBitForBit) {
  expect_exact_resume(material().diffusion,
                      {"data.params.cache_latents=" + (dir_ / "latents.safetensors").string()});
}

TEST_F(Training, ResumesContrastiveTrainingBitForBit) {
  expect_exact_resume(material().contrastive, {"lightning.trainer.precision=bf16"});
}

TEST_F(Training, GoesOnPastItsEndWhereMaxStepsIsRaised) {
  run(material().contrastive, "whole", {"lightning.trainer.max_steps=6"});
  run(material().contrastive, "parts");
  std::string said;
  const TrainCallbacks listen{
      .log = [&](LogLevel, std::string_view text) { said += std::string(text) + "\n"; }};
  const std::string before = test::file_bytes(dir_ / "parts/metrics.jsonl");
  EXPECT_EQ(resume("parts", {}, listen).step, 4);
  EXPECT_NE(said.find("is finished: step 4"), std::string::npos) << said;
  EXPECT_EQ(test::file_bytes(dir_ / "parts/metrics.jsonl"), before);

  EXPECT_EQ(resume("parts", {"lightning.trainer.max_steps=6"}).step, 6);
  expect_same_run(dir_ / "parts", dir_ / "whole");
  // The new end is kept.
  EXPECT_NE(test::file_bytes(dir_ / "parts/configs/project.yaml").find("max_steps: 6"),
            std::string::npos);
}

TEST_F(Training, RefusesAFolderThatIsThere) {
  fs::create_directories(dir_ / "run");
  const std::string message = message_of<Error>([&] { run(material().contrastive, "run"); });
  EXPECT_NE(message.find("exists: --resume"), std::string::npos) << message;
  EXPECT_TRUE(fs::is_empty(dir_ / "run"));
}

TEST_F(Training, KeepsTheRunWhereResumingFails) {
  run(material().contrastive, "run");
  const auto broken = [&](const std::string& override) {
    return message_of<Error>([&] { resume("run", {"lightning.trainer.max_steps=6", override}); });
  };
  EXPECT_NE(broken("model.params.projection_dim=24").find("belongs to another model"),
            std::string::npos);
  EXPECT_NE(broken("model.params.text_config.num_hidden_layers=3").find("belongs to another model"),
            std::string::npos);
  const fs::path state = dir_ / "run/checkpoints/last.state";
  const std::string whole = test::file_bytes(state);
  dir_.write("run/checkpoints/last.state", whole.substr(0, whole.size() / 2));
  EXPECT_NE(broken("run.seed=3").find("last.state"), std::string::npos);
  dir_.write("run/checkpoints/last.state", whole);
  fs::remove(state);
  EXPECT_NE(broken("run.seed=3").find("holds no training run"), std::string::npos);
  fs::copy_file(dir_ / "run/checkpoints/last.safetensors", state);
  EXPECT_NE(broken("run.seed=3").find("no state of a training run"), std::string::npos);
  dir_.write("run/checkpoints/last.state", whole);
  EXPECT_EQ(test::file_bytes(dir_ / "run/configs/project.yaml").find("max_steps: 6"),
            std::string::npos);
  EXPECT_EQ(resume("run", {"lightning.trainer.max_steps=5"}).step, 5);
}

TEST_F(Training, CannotTurnAveragesOnOrOffBetween) {
  run(material().diffusion, "run", {"lightning.trainer.max_steps=1"});
  const std::string message = message_of<Error>([&] {
    resume("run", {"model.params.use_ema=false", "model.params.monitor=val/loss_simple",
                   "lightning.trainer.max_steps=2"});
  });
  EXPECT_NE(message.find("begun with use_ema"), std::string::npos) << message;
}

TEST_F(Training, StopsAtALossThatIsNoNumber) {
  const std::string message = message_of<Error>([&] {
    run(material().diffusion, "run",
        {"model.base_learning_rate=1.0e+30", "lightning.trainer.max_steps=20",
         "lightning.modelcheckpoint.params.every_n_train_steps=1", "model.params.monitor="});
  });
  EXPECT_TRUE(message.starts_with("step ")) << message;
  EXPECT_NE(message.find("the checkpoint of step "), std::string::npos) << message;
  EXPECT_TRUE(fs::exists(dir_ / "run/checkpoints/last.state"));
  const StableDiffusion model = load(dir_ / "run/checkpoints/last.safetensors", {});
  EXPECT_EQ(model.config.unet.model_channels, 32);
}

TEST_F(Training, KeepsTheBestByTheMonitor) {
  run(material().contrastive, "run",
      {"lightning.trainer.max_steps=12", "lightning.trainer.val_check_interval=3",
       "model.base_learning_rate=0.003", "lightning.modelcheckpoint.params.save_top_k=-1"});
  const std::vector<double> losses = values(metric_lines(dir_ / "run"), "val/loss");
  ASSERT_EQ(losses.size(), 4u);
  const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin();
  const TensorFile want = model("run", fmt::format("step-{:08}.safetensors", 3 * (best + 1)));
  for (const auto& [name, tensor] : model("run", "best.safetensors").tensors) {
    EXPECT_TRUE(tensor.equal(want.tensors.at(name))) << name;
  }
  for (const int step : {3, 6, 9, 12}) {
    EXPECT_TRUE(there(fmt::format("run/checkpoints/step-{:08}.safetensors", step))) << step;
  }
}

TEST_F(Training, NamesTheMonitorsThatThereAreBeforeTheFirstStep) {
  const std::string message = message_of<Error>(
      [&] { run(material().diffusion, "run", {"model.params.monitor=val/loss_simpel_ema"}); });
  EXPECT_NE(message.find("did you mean 'val/loss_simple_ema'"), std::string::npos) << message;
  EXPECT_FALSE(there("run"));
}

TEST_F(Training, ValidatesWithAndWithoutAverages) {
  run(material().diffusion, "run");
  const std::vector<json> lines = metric_lines(dir_ / "run");
  const auto plain = values(lines, "val/loss_simple");
  const auto averaged = values(lines, "val/loss_simple_ema");
  ASSERT_EQ(plain.size(), 2u);
  ASSERT_EQ(averaged.size(), 2u);
  EXPECT_NE(plain[1], averaged[1]);
  EXPECT_EQ(values(lines, "lr").size(), 4u);
}

TEST_F(Training, DrawsPicturesAsItGoes) {
  run(material().diffusion, "run",
      {"lightning.callbacks.image_logger.params={batch_frequency: 4, max_images: 2}"});
  for (const int step : {1, 2, 4}) {
    const Image grid = read_image(dir_ / fmt::format("run/images/{:08}.png", step));
    EXPECT_GE(grid.width, 2 * 16) << step;
  }
  EXPECT_FALSE(there("run/images/00000003.png"));
  run(material().autoencoder, "ae",
      {"lightning.callbacks.image_logger.params={batch_frequency: 3, max_images: 3, "
       "increase_log_steps: false}"});
  EXPECT_TRUE(there("ae/images/00000003.png"));
  EXPECT_FALSE(there("ae/images/00000001.png"));
  // Drawing changes nothing.
  run(material().autoencoder, "plain");
  expect_same_run(dir_ / "ae", dir_ / "plain");
}

TEST_F(Training, FollowsTheScheduleAndScalesTheRate) {
  run(material().contrastive, "run",
      {"data.params.batch_size=3", "lightning.trainer.accumulate_grad_batches=2",
       "model.params.scheduler_config={target: ldm.lr_scheduler.LambdaLinearScheduler, params: "
       "{warm_up_steps: [2], cycle_lengths: [10], f_start: [0.5], f_max: [1.0], f_min: [0.0]}}"});
  const auto rates = values(metric_lines(dir_ / "run"), "lr");
  ASSERT_EQ(rates.size(), 4u);
  const double base = 1e-3 * 3 * 2;
  EXPECT_NEAR(rates[0], 0.5 * base, 1e-12);
  EXPECT_NEAR(rates[1], 0.75 * base, 1e-12);
  EXPECT_NEAR(rates[2], 0.8 * base, 1e-12);
  run(material().contrastive, "unscaled", {"run.scale_lr=false"});
  EXPECT_NEAR(values(metric_lines(dir_ / "unscaled"), "lr")[0], 1e-3, 1e-12);
}

TEST_F(Training, CountsPicturesItCannotRead) {
  const fs::path data = dir_ / "data";
  test::write_pictures(data / "train", 5);
  test::write_pictures(data / "validation", 2);
  dir_.write("data/train/p03.png", "no picture");
  const fs::path config = dir_.write("c.yaml", test::contrastive_yaml(data));
  EXPECT_EQ(run(config, "run").num_bad, 1);
  // More than the whole dataset in one batch: the stream of examples has no end.
  EXPECT_EQ(run(config, "large", {"data.params.batch_size=7"}).step, 4);
  for (int i = 0; i < 5; ++i) dir_.write(fmt::format("data/train/p{:02}.png", i), "no picture");
  const std::string message = message_of<Error>([&] { run(config, "none"); });
  EXPECT_NE(message.find("none of the 5 examples"), std::string::npos) << message;
}

TEST_F(Training, RunsForEpochs) {
  const TrainOutcome outcome = run(material().contrastive, "run",
                                   {"lightning.trainer.max_steps=-1",
                                    "lightning.trainer.max_epochs=2", "data.params.batch_size=4"});
  EXPECT_EQ(outcome.step, 4);  // two batches hold the six pictures
}

TEST_F(Training, SavesCkptFilesTheSame) {
  run(material().diffusion, "a", {"lightning.trainer.max_steps=1"});
  run(material().diffusion, "b", {"lightning.trainer.max_steps=1", "run.format=ckpt"});
  const TensorFile a = model("a");
  const TensorFile b = model("b", "last.ckpt");
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    EXPECT_TRUE(b.tensors.at(name).equal(tensor)) << name;
  }
}

TEST_F(Training, FullDiskLeavesTheLastCheckpoint) {
  run(material().contrastive, "whole", {"lightning.trainer.max_steps=6"});
  run(material().contrastive, "run");
  const std::string before = test::file_bytes(dir_ / "run/checkpoints/last.state");
  struct rlimit old {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit low { before.size() / 2, old.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
  const std::string message =
      message_of<Error>([&] { resume("run", {"lightning.trainer.max_steps=6"}); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("checkpoints"), std::string::npos) << message;
  EXPECT_EQ(test::file_bytes(dir_ / "run/checkpoints/last.state"), before);
  for (const auto& entry : fs::directory_iterator(dir_ / "run/checkpoints")) {
    EXPECT_EQ(entry.path().filename().string().find("tmp"), std::string::npos) << entry.path();
  }
  resume("run", {"lightning.trainer.max_steps=6"});
  expect_same_run(dir_ / "run", dir_ / "whole");
}

}  // namespace
}  // namespace easel
