// Fine-tuning runs small enough for a test, on a model of hashed weights.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/nn/training_mode.h>
#include <easel/train/adamw.h>
#include <easel/train/config.h>
#include <easel/train/run.h>
#include <easel/train/tasks.h>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tiny_training.h"

namespace easel::test {

// A model as it is shipped (weights, .yaml beside them), four pictures, and what is laid over the
// model's config to fine-tune it.
class FineTuning {
 public:
  explicit FineTuning(const std::string& params) {
    write_pictures(data_ / "train", 4);
    write_pictures(data_ / "validation", 2);
    for (int n = 0; n < 4; ++n) {
      std::ofstream(data_ / "train" / fmt::format("p{:02}.txt", n)) << "a photo of * at " << n;
    }
    const ModelConfig config =
        parse_model_config(diffusion_yaml(data_, "autoencoder.safetensors"), "diffusion.yaml");
    model_ = write_tiny_model(
        dir_.path(), tiny_model(Tokenizer(SentencePieceTokenizer::from_file(config.tokenizer)),
                                at::kFloat, config));
    config_ = dir_.write("tiny.yaml", compvis_config_text(config));
    overlay_ = dir_.write("overlay.yaml", fmt::format(R"(model:
  base_learning_rate: 5.0e-3
  params:
    ckpt_path: {}
    use_ema: false
    scale_by_std: false
    monitor: val/loss_simple
    {})",
                                                      model_.string(), params) +
                                              data_yaml(data_));
  }

  TrainConfig config(const std::vector<std::string>& overrides = {}) const {
    return read_train_config({config_, overlay_}, overrides);
  }

  // A run of run_training in the folder NAME.
  std::filesystem::path run(const std::string& name, std::vector<std::string> overrides = {},
                            const TrainCallbacks& callbacks = {}) const {
    const std::filesystem::path folder = dir_ / name;
    run_training({.bases = {config_, overlay_},
                  .overrides = std::move(overrides),
                  .folder = folder,
                  .device = "cpu"},
                 callbacks);
    return folder;
  }
  void resume(const std::string& name) const {
    run_training({.folder = dir_ / name, .resume = true, .device = "cpu"});
  }
  std::string message(const std::vector<std::string>& overrides) const {
    return message_of<Error>([&] { run("failing", overrides); });
  }

  const TempDir& dir() const { return dir_; }

 private:
  TempDir dir_;
  std::filesystem::path data_ = dir_ / "data";
  std::filesystem::path model_, config_, overlay_;
};

// A task over a model in memory, and one batch of four pictures.
struct FineTuningTask {
  std::shared_ptr<StableDiffusion> model;
  TrainingTask task;
  Batch batch;

  explicit FineTuningTask(const TrainConfig& config, bool use_checkpoint = false) {
    DiffusionTraining training = std::get<DiffusionTraining>(config.model);
    training.model.unet.use_checkpoint = use_checkpoint;
    training.caption_dropout = 0;
    model = make_training_model(training, {});
    task = make_diffusion_task(training, config.optimizer, {}, model);
    batch.pictures_BCHW = hashed_tensor("pictures", {4, 3, 16, 16}).clamp(-1, 1);
    for (int64_t i = 0; i < 4; ++i) {
      batch.captions.push_back(fmt::format("a photo of * at {}", i));
      batch.indices.push_back(i);
      batch.seeds.push_back(static_cast<uint64_t>(100 + i));
    }
  }

  // The loss of the batch, which is the same each time but for what was learnt.
  Tensor loss() {
    const nn::TrainingMode training;
    return task.loss(batch, 0, 0).total;
  }

  std::vector<double> learn(int steps, double rate) {
    AdamW optimizer(task.groups.at(0).parameters, task.groups.at(0).optimizer);
    std::vector<double> losses;
    for (int i = 0; i < steps; ++i) {
      at::manual_seed(1);
      const Tensor value = loss();
      losses.push_back(value.item<double>());
      value.backward();
      optimizer.step(rate);
      optimizer.zero_grad();
    }
    return losses;
  }

  // Copies of the text encoder's and the UNet's weights as they are now, by their native names.
  std::map<std::string, Tensor> weights() const {
    std::map<std::string, Tensor> copies;
    const auto add = [&](const std::string& part, const auto& module) {
      for (const auto& [name, tensor] : nn::named_parameters(module)) {
        copies[part + name] = tensor->detach().clone();
      }
    };
    add("text_encoder.", model->text_encoder);
    add("unet.", model->unet);
    add("vae.", model->autoencoder);
    return copies;
  }
};

}  // namespace easel::test
