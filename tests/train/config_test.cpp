#include "easel/train/config.h"

#include <easel/base/error.h>

#include "tests/support/tiny_training.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::TempDir;

// Configs of the three kinds of model, over a folder of data that need not exist.
class Config : public ::testing::Test {
 protected:
  Config() {
    dir_.write("ae.yaml", test::autoencoder_yaml("data"));
    dir_.write("sd.yaml", test::diffusion_yaml("data", "vae.safetensors"));
    dir_.write("clip.yaml", test::contrastive_yaml("data"));
  }
  TrainConfig read(const std::string& file, const std::vector<std::string>& overrides = {}) const {
    return read_train_config({dir_ / file}, overrides);
  }
  void refused(const std::string& file, const std::vector<std::string>& overrides,
               const std::vector<std::string>& parts) const {
    try {
      read(file, overrides);
      ADD_FAILURE() << overrides.front() << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage) << error.what();
      for (const std::string& part : parts) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
            << "no '" << part << "' in: " << error.what();
      }
    }
  }
  TempDir dir_;
};

TEST_F(Config, ReadsAnAutoencoder) {
  const TrainConfig config = read("ae.yaml");
  const auto& training = std::get<AutoencoderTraining>(config.model);
  EXPECT_EQ(training.autoencoder.ch, 32);
  EXPECT_EQ(training.autoencoder.ch_mult, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(training.loss.disc_start, 1);
  EXPECT_EQ(training.loss.kl_weight, 1e-6);
  EXPECT_EQ(training.loss.disc_weight, 0.5);
  EXPECT_EQ(config.monitor, "val/rec_loss");
  EXPECT_EQ(config.base_learning_rate, 1e-3);
  // Adam(0.5, 0.9), as CompVis's AutoencoderKL has it.
  EXPECT_EQ(config.optimizer.beta1, 0.5);
  EXPECT_EQ(config.optimizer.beta2, 0.9);
  EXPECT_EQ(config.optimizer.weight_decay, 0);
  EXPECT_FALSE(config.use_ema);
}

TEST_F(Config, ReadsLatentDiffusion) {
  const TrainConfig config =
      read("sd.yaml",
           {"model.params.snr_gamma=5", "model.params.loss_type=l1",
            "model.params.ckpt_path=model.ckpt", "model.params.ignore_keys=[cond_stage_model]"});
  const auto& training = std::get<DiffusionTraining>(config.model);
  EXPECT_EQ(training.model.unet.model_channels, 32);
  EXPECT_EQ(training.model.text_encoder.vocab_size, 440);
  EXPECT_TRUE(training.cond_stage_trainable);
  EXPECT_TRUE(training.scale_by_std);
  EXPECT_EQ(training.caption_dropout, 0.5);
  EXPECT_EQ(training.caption_dropout_text, "");
  EXPECT_EQ(training.first_stage_ckpt, "vae.safetensors");
  EXPECT_EQ(training.cond_stage_ckpt, "");
  EXPECT_EQ(training.ckpt_path, "model.ckpt");
  EXPECT_EQ(training.ignore_keys, std::vector<std::string>{"cond_stage_model"});
  EXPECT_EQ(training.loss.original_elbo_weight, 0.1);
  EXPECT_EQ(training.loss.snr_gamma, 5);
  EXPECT_EQ(training.loss.loss_type, "l1");
  EXPECT_TRUE(training.loss.learn_logvar);
  EXPECT_TRUE(config.use_ema);
  EXPECT_EQ(config.optimizer.beta1, 0.9);
  EXPECT_EQ(config.optimizer.weight_decay, 0.01);
}

TEST_F(Config, ReadsContrastiveTraining) {
  const TrainConfig config = read("clip.yaml");
  const auto& training = std::get<ContrastiveTraining>(config.model);
  EXPECT_EQ(training.clip.projection_dim, 16);
  EXPECT_EQ(training.clip.text.max_position_embeddings, 16);
  EXPECT_EQ(training.clip.vision.patch_size, 8);
  EXPECT_EQ(training.tokenizer, EASEL_TEST_DATA "/sentencepiece/unigram.model");
}

TEST_F(Config, ReadsDataLightningAndRun) {
  const TrainConfig config = read(
      "clip.yaml",
      {"data.params.wrap=true", "data.params.num_workers=3", "data.params.train.params.size=32",
       "data.params.train.params.flip_p=0.5", "data.params.cache_latents=cache.safetensors",
       "lightning.trainer.max_epochs=3", "lightning.trainer.accumulate_grad_batches=2",
       "lightning.trainer.gradient_clip_val=1.5", "lightning.trainer.precision=bf16",
       "lightning.trainer.benchmark=True",
       "lightning.modelcheckpoint.params={every_n_train_steps: 500, save_top_k: -1}",
       "lightning.callbacks.image_logger={target: main.ImageLogger, params: "
       "{batch_frequency: 750, max_images: 8, increase_log_steps: False}}",
       "run={seed: 5, scale_lr: false, format: ckpt}"});
  EXPECT_EQ(config.data.batch_size, 2);
  EXPECT_EQ(config.data.num_workers, 3);
  EXPECT_EQ(config.data.cache_latents, "cache.safetensors");
  EXPECT_EQ(config.data.train.data_root, "data/train");
  EXPECT_EQ(config.data.train.size, 32);
  EXPECT_EQ(config.data.train.flip_p, 0.5);
  EXPECT_TRUE(config.data.train.require_captions);
  ASSERT_TRUE(config.data.validation);
  EXPECT_EQ(config.data.validation->data_root, "data/validation");
  EXPECT_EQ(config.trainer.max_steps, 4);
  EXPECT_EQ(config.trainer.max_epochs, 3);
  EXPECT_EQ(config.trainer.accumulate_grad_batches, 2);
  EXPECT_EQ(config.trainer.gradient_clip_val, 1.5);
  EXPECT_EQ(config.trainer.precision, Precision::BFloat16);
  EXPECT_EQ(config.trainer.every_n_train_steps, 500);
  EXPECT_EQ(config.trainer.save_top_k, -1);
  EXPECT_EQ(config.trainer.image_frequency, 750);
  EXPECT_EQ(config.trainer.image_count, 8);
  EXPECT_FALSE(config.trainer.image_increase_log_steps);
  EXPECT_EQ(config.run.seed, 5);
  EXPECT_FALSE(config.run.scale_lr);
  EXPECT_EQ(config.run.format, "ckpt");
}

TEST_F(Config, ReadsSchedulesUnderCompVissNames) {
  const auto schedule = [&](const std::string& text) {
    return *read("clip.yaml", {"model.params.scheduler_config=" + text}).lr_schedule;
  };
  const LrScheduleOptions linear = schedule(
      "{target: ldm.lr_scheduler.LambdaLinearScheduler, params: {warm_up_steps: [10000], "
      "cycle_lengths: [10000000000000], f_start: [1.0e-06], f_max: [1.0], f_min: [1.0]}}");
  EXPECT_EQ(linear.kind, LrScheduleKind::Linear);
  ASSERT_EQ(linear.cycles.size(), 1u);
  EXPECT_EQ(linear.cycles[0].cycle_length, 10000000000000);
  EXPECT_EQ(linear.cycles[0].f_start, 1e-6);
  const LrScheduleOptions cosine = schedule(
      "{target: ldm.lr_scheduler.LambdaWarmUpCosineScheduler, params: {warm_up_steps: 10, "
      "max_decay_steps: 100, lr_start: 0.1, lr_max: 1, lr_min: 0.01, verbosity_interval: 0}}");
  EXPECT_EQ(cosine.kind, LrScheduleKind::Cosine);
  EXPECT_EQ(cosine.cycles[0].f_min, 0.01);
  refused("clip.yaml",
          {"model.params.scheduler_config={target: ldm.lr_scheduler.LambdaLinearScheduler, "
           "params: {warm_up_steps: [1, 2], cycle_lengths: [10], f_start: [1], f_max: [1], f_min: "
           "[1]}}"},
          {"warm_up_steps"});
  refused("clip.yaml", {"model.params.scheduler_config={target: ldm.lr_scheduler.LambdaLinear}"},
          {"scheduler_config.target", "LambdaLinearScheduler"});
}

TEST_F(Config, MergesFilesFromLeftToRightThenOverrides) {
  const fs::path second = dir_.write("second.yaml",
                                     "lightning: {trainer: {max_steps: 9, log_every_n_steps: 3}}\n"
                                     "data: {params: {batch_size: 16}}\n");
  const TrainConfig config =
      read_train_config({dir_ / "clip.yaml", second}, {"data.params.batch_size=32", "run.seed=1"});
  EXPECT_EQ(config.trainer.max_steps, 9);
  EXPECT_EQ(config.trainer.log_every_n_steps, 3);
  EXPECT_EQ(config.trainer.val_check_interval, 2);  // the first file's
  EXPECT_EQ(config.data.batch_size, 32);
  // The whole text reads as the same config again.
  const TrainConfig again = read_train_config({dir_.write("kept.yaml", config.text)});
  EXPECT_EQ(again.data.batch_size, 32);
  EXPECT_EQ(again.trainer.max_steps, 9);
  EXPECT_EQ(again.text, config.text);
}

TEST_F(Config, KeepsTextsThatLookLikeOtherThings) {
  for (const std::string text : {"no", "null", "~", "12", "1.5", "# a", "a: b", ""}) {
    const TrainConfig config =
        read("sd.yaml", {"model.params.ucg_training={txt: {p: 0.1, val: \"" + text + "\"}}"});
    EXPECT_EQ(std::get<DiffusionTraining>(config.model).caption_dropout_text, text);
    const TrainConfig again = read_train_config({dir_.write("kept.yaml", config.text)});
    EXPECT_EQ(std::get<DiffusionTraining>(again.model).caption_dropout_text, text);
  }
}

TEST_F(Config, TokenizersPathsStartAtTheConfig) {
  const TrainConfig config =
      read("clip.yaml", {"model.params.text_config.tokenizer=../tokens.model"});
  const fs::path want = (dir_.path().parent_path() / "tokens.model").lexically_normal();
  EXPECT_EQ(std::get<ContrastiveTraining>(config.model).tokenizer, want);
  EXPECT_NE(config.text.find(want.string()), std::string::npos);
}

TEST_F(Config, NamesUnknownKeysAndTheNearestValidOnes) {
  const auto misspelt = [&](const std::string& file, const std::string& path,
                            const std::string& nearest, const std::string& value = "1") {
    refused(file, {path + "=" + value},
            {path.substr(path.rfind('.') + 1), "did you mean '" + nearest + "'"});
  };
  misspelt("ae.yaml", "modle", "model");
  misspelt("ae.yaml", "model.base_learning_rat", "base_learning_rate");
  misspelt("ae.yaml", "model.params.embed_dims", "embed_dim");
  misspelt("ae.yaml", "model.params.ddconfig.ch_mul", "ch_mult");
  misspelt("ae.yaml", "model.params.lossconfig.params.disc_stat", "disc_start");
  misspelt("ae.yaml", "model.params.optimizer", "beta1", "{bata1: 0.9}");
  misspelt("sd.yaml", "model.params.linear_strat", "linear_start");
  misspelt("sd.yaml", "model.params.unet_config.params.model_chanels", "model_channels");
  misspelt("sd.yaml", "model.params.first_stage_config.params.ckpt_pth", "ckpt_path");
  misspelt("sd.yaml", "model.params.cond_stage_config.params.hiden_size", "hidden_size");
  misspelt("sd.yaml", "model.params.ucg_training.text", "txt");
  misspelt("clip.yaml", "model.params.projection_dims", "projection_dim");
  misspelt("clip.yaml", "model.params.vision_config.patchsize", "patch_size");
  misspelt("clip.yaml", "data.params.batchsize", "batch_size");
  misspelt("clip.yaml", "data.params.train.params.dataroot", "data_root");
  misspelt("clip.yaml", "lightning.trainers", "trainer");
  misspelt("clip.yaml", "lightning.trainer.max_step", "max_steps");
  misspelt("clip.yaml", "lightning.modelcheckpoint.params.save_topk", "save_top_k");
  misspelt("clip.yaml", "lightning.callbacks.image_loger", "image_logger");
  misspelt("clip.yaml", "run.sed", "seed");
}

TEST_F(Config, NamesWhatIsMissingOrCannotBe) {
  const auto without = [&](const std::string& key) {
    std::string text = test::contrastive_yaml("data");
    const size_t at = text.find(key + ":");
    text.replace(at, key.size(), "#");
    dir_.write("cut.yaml", text);
    refused("cut.yaml", {}, {key});
  };
  without("base_learning_rate");
  without("batch_size");
  std::string text = test::contrastive_yaml("data");
  const std::string root = "data_root: data/train, ";
  dir_.write("cut.yaml", text.erase(text.find(root), root.size()));
  refused("cut.yaml", {}, {"data.params.train.params.data_root", "missing"});
  refused("clip.yaml", {"model.base_learning_rate=0"}, {"base_learning_rate", "above 0"});
  refused("clip.yaml", {"model.base_learning_rate=fast"}, {"'fast'", "a number"});
  refused("clip.yaml", {"model.target=easel.models.Clap"}, {"did you mean 'easel.models.Clip'"});
  refused("clip.yaml", {"data.target=main.DataModule"}, {"main.DataModuleFromConfig"});
  refused("clip.yaml", {"data.params.train.target=ldm.data.lsun.LSUNBedroomsTrain"},
          {"data.params.train.target", "easel.data.PictureFolder"});
  refused("clip.yaml", {"data.params.batch_size=0"}, {"from 1"});
  refused("clip.yaml", {"lightning.trainer.precision=8"}, {"32, 16 or bf16"});
  refused("clip.yaml", {"lightning.trainer.gpus=2"}, {"--device"});
  refused("clip.yaml", {"lightning.trainer.max_steps=-1"}, {"max_steps or max_epochs"});
  refused("clip.yaml", {"data.params.validation="}, {"monitor 'val/loss'", "validation"});
  refused("clip.yaml", {"run.format=pt"}, {"run.format", "safetensors"});
  refused("clip.yaml", {"run.seed=-1"}, {"run.seed"});
  refused("clip.yaml", {"model.params.optimizer={beta1: 1}"}, {"beta1", "below 1"});
  refused("clip.yaml", {"model=3"}, {"model", "a mapping"});
  refused("ae.yaml", {"model.params.lossconfig.params.perceptual_weight=1"},
          {"perceptual_weight", "set perceptual_weight to 0"});
  refused("ae.yaml", {"model.params.lossconfig.target=taming.modules.losses.LPIPS"},
          {"ldm.modules.losses.LPIPSWithDiscriminator"});
  refused("ae.yaml", {"model.params.image_key=segmentation"}, {"image_key"});
  refused("sd.yaml", {"model.params.ucg_training={txt: {p: 1.5, val: x}}"}, {"probability"});
  refused("sd.yaml", {"model.params.load_only_unet=true"}, {"load_only_unet"});
  refused("sd.yaml", {"model.params.num_timesteps_cond=2"}, {"num_timesteps_cond"});
  refused("sd.yaml", {"model.params.cond_stage_key=class_label"}, {"cond_stage_key", "captions"});
  refused("sd.yaml", {"model.params.loss_type=l3"}, {"loss_type"});
  EXPECT_NO_THROW(
      read("sd.yaml", {"model.params.first_stage_key=jpg", "model.params.cond_stage_key=caption",
                       "model.params.num_timesteps_cond=1", "model.params.log_every_t=200"}));
}

TEST_F(Config, RefusesBrokenFilesAndOverrides) {
  dir_.write("list.yaml", "- 1\n- 2\n");
  dir_.write("broken.yaml", "model: {a: 1\nb: [\n");
  refused("list.yaml", {}, {"list.yaml", "a mapping"});
  refused("broken.yaml", {}, {"broken.yaml:", "no valid YAML"});
  refused("broken.yaml", {"a=1"}, {"broken.yaml:", "no valid YAML"});
  refused("clip.yaml", {"a"}, {"'a'", "key=value"});
  refused("clip.yaml", {"a..b=1"}, {"empty key"});
  refused("clip.yaml", {"a=[1"}, {"the override", "no valid YAML"});
  EXPECT_NE(message_of<Error>([&] { read("nowhere.yaml"); }).find("nowhere.yaml"),
            std::string::npos);
  EXPECT_NE(message_of<Error>([&] { read_train_config({}); }).find("--base"), std::string::npos);
}

// The forms of CompVis's own configs that no dataset or network of Easel's fits.
TEST_F(Config, SaysWhatOfCompVissConfigsItCannotTrain) {
  const std::string data = test::data_yaml("data");
  const auto model = [&](const std::string& target, const std::string& params) {
    dir_.write("theirs.yaml", "model:\n  base_learning_rate: 2.0e-06\n  target: " + target +
                                  "\n  params: " + params + data);
  };
  model("ldm.models.diffusion.ddpm.LatentDiffusion",
        "{first_stage_config: {target: ldm.models.autoencoder.VQModelInterface, params: "
        "{embed_dim: 3}}, cond_stage_config: __is_unconditional__, unet_config: {target: x}}");
  refused("theirs.yaml", {}, {"cond_stage_config", "unconditional"});
  model("ldm.models.autoencoder.VQModel", "{embed_dim: 3}");
  refused("theirs.yaml", {}, {"ldm.models.autoencoder.VQModel", "AutoencoderKL"});
  model("ldm.models.autoencoder.AutoencoderKL",
        "{embed_dim: 4, monitor: val/rec_loss, ddconfig: {double_z: True, z_channels: 4, "
        "resolution: 16, in_channels: 3, out_ch: 3, ch: 32, ch_mult: [1, 2], num_res_blocks: 2, "
        "attn_resolutions: [], dropout: 0.0}, lossconfig: {target: "
        "ldm.modules.losses.LPIPSWithDiscriminator, params: {disc_start: 50001, kl_weight: "
        "0.000001, disc_weight: 0.5}}}");
  refused("theirs.yaml", {}, {"set perceptual_weight to 0"});
  EXPECT_NO_THROW(read("theirs.yaml", {"model.params.lossconfig.params.perceptual_weight=0"}));
}

}  // namespace
}  // namespace easel
